//! `sockets`: the sockets of a namespace, and where they are.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};
use socketio_pg_core::protocol::{
    Body, NodeId,
    message::{FetchSockets, Only, Room, SocketDescription},
};
use tokio::time::Instant;

use crate::{
    arguments::{Sockets, Target},
    connected,
    failure::Failure,
    output::{self, Table},
    payload,
    session::{Session, new_request},
    survey::Survey,
};

pub(crate) async fn run(target: &Target, command: &Sockets) -> Result<(), Failure> {
    let mut session = Session::open(target).await?;
    session.prove_hearing().await?;
    let mut survey = Survey::default();
    survey.ask_for(&mut session, &command.namespace.name, command.selection.query()).await?;
    survey.listen_until(&mut session, Instant::now() + command.survey.wait).await?;
    let asked = (std::slice::from_ref(&command.namespace.name), command.survey.wait);
    if survey.nodes().next().is_none() {
        return Failure::unless_complete(&connected::missing(target, &mut session, &survey, asked).await?);
    }
    let all_counted = survey.nodes().all(|(.., seen)| seen.sockets.is_some());
    let mut missing = Vec::new();
    if !command.count || !all_counted {
        let found = fetch(&mut session, &mut survey, command).await?;
        if !found.missing.is_empty() {
            missing.push(format!(
                "no answer within {:?} from {}. Give them more time with --timeout",
                command.timeout,
                survey.full_names(&found.missing)
            ));
        }
        if !command.count {
            print(&survey, &found.sockets, target.json);
        }
    }
    if command.count {
        print_counts(&survey, target.json);
    }
    missing.extend(connected::missing(target, &mut session, &survey, asked).await?);
    Failure::unless_complete(&missing)
}

struct Found {
    sockets: Vec<(NodeId, SocketDescription)>,
    missing: BTreeSet<NodeId>,
}

/// Asks all servers for their sockets, or for their number only, and waits for those that are known.
async fn fetch(session: &mut Session, survey: &mut Survey, command: &Sockets) -> Result<Found, Failure> {
    let request = new_request();
    survey.asked(request.clone());
    let mut missing = survey.uids(&command.namespace.name);
    let only = command.count.then_some(Only::Count);
    let fetch = FetchSockets { opts: command.selection.selector(), request_id: request.clone(), only };
    let body = Body::FetchSockets(fetch);
    session.publish(&command.namespace.name, body).await?;
    let deadline = Instant::now() + command.timeout;
    let mut sockets = Vec::new();
    let mut answered = BTreeSet::new();
    while !missing.is_empty() {
        let Some(heard) = session.next_until(deadline).await? else { break };
        survey.note(&heard);
        let Ok(message) = heard.message else { continue };
        match (message.uid, message.body) {
            (Some(uid), Body::FetchSocketsResponse(response)) if response.request_id == request => {
                if only.is_none() && response.is_brief() {
                    continue; // without the sockets, which it has
                }
                missing.remove(&uid);
                answered.insert(uid.clone());
                sockets.extend(response.sockets.into_iter().map(|socket| (uid.clone(), socket)));
            }
            // It was slower than the survey, and has been asked as well.
            (Some(uid), Body::Heartbeat | Body::InitialHeartbeat) if !answered.contains(&uid) && !uid.is_emitter() => {
                missing.insert(uid);
            }
            (Some(uid), Body::AdapterClose) => {
                missing.remove(&uid);
            }
            _ => {}
        }
    }
    Ok(Found { sockets, missing })
}

fn print_counts(survey: &Survey, json: bool) {
    let counts = survey.nodes().filter_map(|(.., seen)| seen.sockets);
    let total = counts.fold(0_u64, u64::saturating_add);
    if json {
        for (namespace, uid, seen) in survey.nodes() {
            output::json(&json!({
                "namespace": namespace, "uid": uid, "name": survey.name(uid), "sockets": seen.sockets,
            }));
        }
        return;
    }
    let mut table = Table::new(&["SOCKETS", "SERVER", "UID"]);
    for (_, uid, seen) in survey.nodes() {
        let sockets = seen.sockets.map_or_else(|| "-".to_owned(), |sockets| sockets.to_string());
        table.row([sockets, survey.name(uid).unwrap_or("-").to_owned(), uid.to_string()]);
    }
    table.row([total.to_string(), "in all".to_owned(), String::new()]);
    table.print();
}

fn print(survey: &Survey, sockets: &[(NodeId, SocketDescription)], json: bool) {
    let mut table = Table::new(&["ID", "SERVER", "ADDRESS", "ROOMS", "DATA"]);
    for (uid, socket) in sockets {
        if json {
            output::json(&Line { uid, server: survey.name(uid), socket });
            continue;
        }
        let handshake = socket.handshake.as_ref().and_then(|handshake| handshake.deserialize::<Value>().ok());
        let address = handshake.as_ref().and_then(|handshake| handshake["address"].as_str()).unwrap_or_default();
        table.row([
            socket.id.to_string(),
            survey.name(uid).map_or_else(|| uid.to_string(), str::to_owned),
            address.to_owned(),
            rooms(socket),
            socket.data.as_ref().map(payload::shown).unwrap_or_default(),
        ]);
    }
    if !json {
        table.print();
    }
}

/// A socket for programs.
#[derive(Serialize)]
struct Line<'a> {
    uid: &'a NodeId,
    server: Option<&'a str>,
    #[serde(flatten)]
    socket: &'a SocketDescription,
}

/// The rooms of a socket, without the one that is named like it.
fn rooms(socket: &SocketDescription) -> String {
    let own = Room::from(socket.id.as_str());
    let rooms = socket.rooms.iter().flatten().filter(|room| **room != own);
    rooms.map(payload::room).collect::<Vec<_>>().join(", ")
}
