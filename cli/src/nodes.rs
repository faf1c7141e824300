//! `nodes`: who is in the cluster.

use std::time::Duration;

use serde_json::json;
use socketio_pg_core::protocol::{
    Body, NodeId,
    message::{FetchSockets, Only, Selector},
};
use tokio::time::Instant;

use crate::{
    arguments::{Nodes, Target},
    connected,
    failure::Failure,
    output::{self, Table},
    session::{Session, new_request},
    survey::{Seen, Survey},
};

/// After so much silence Node.js takes a server for dead.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often servers are asked while they are watched. A server that speaks may be silent for 5 s.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// In how many rounds the sockets of servers that do not tell how many they have are counted once:
/// that costs servers of Node.js a description of each socket.
const COUNT_AGAIN: u32 = 12;

pub(crate) async fn run(target: &Target, command: &Nodes) -> Result<(), Failure> {
    let mut session = Session::open(target).await?;
    session.prove_hearing().await?;
    let mut survey = Survey::of_namespaces(&mut session, &command.namespace, command.survey.wait).await?;
    count_sockets(&mut survey, &mut session, command.survey.wait).await?;
    if command.watch {
        return watch(survey, session, target.json, command).await;
    }
    print(&survey, target.json, |table| table.print());
    let wait = command.survey.wait;
    let mut missing = connected::missing(target, &mut session, &survey, (&command.namespace, wait)).await?;
    let uncounted = survey.uncounted();
    if !uncounted.is_empty() {
        let names = survey.full_names(uncounted);
        missing.push(format!(
            "no answer within {wait:?} to how many sockets they have from {names}. Give them more time with --wait"
        ));
    }
    let incomplete = survey.incomplete();
    if !incomplete.is_empty() && command.namespace.is_empty() {
        missing.push(format!(
            "more namespaces than a server can tell of: {}; name those that you look for with --namespace",
            survey.full_names(incomplete)
        ));
    }
    Failure::unless_complete(&missing)
}

/// Asks servers that do not tell how many sockets they have for the number. Servers of Node.js answer
/// with their sockets; others answer too.
async fn count_sockets(survey: &mut Survey, session: &mut Session, wait: Duration) -> Result<(), Failure> {
    let uncounted = survey.nodes().filter(|(.., seen)| seen.sockets.is_none());
    let namespaces: std::collections::BTreeSet<_> = uncounted.map(|(namespace, ..)| namespace.to_owned()).collect();
    if namespaces.is_empty() {
        return Ok(());
    }
    for namespace in namespaces {
        let request = new_request();
        survey.asked(request.clone());
        let body = Body::FetchSockets(FetchSockets::new(Selector::all(), request).only(Only::Count));
        session.publish(&namespace, body).await?;
    }
    let deadline = Instant::now() + wait;
    while survey.nodes().any(|(.., seen)| seen.sockets.is_none()) {
        let Some(heard) = session.next_until(deadline).await? else { break };
        survey.note(&heard);
    }
    Ok(())
}

/// Shows the servers as they come and go.
async fn watch(mut survey: Survey, mut session: Session, json: bool, command: &Nodes) -> Result<(), Failure> {
    for round in 1_u32.. {
        let again = Instant::now() + ASK_AGAIN;
        while Instant::now() < again {
            print(&survey, json, Table::print_screen);
            survey.listen_until(&mut session, Instant::now() + Duration::from_secs(1)).await?;
            survey.forget_silent(HEARTBEAT_TIMEOUT);
        }
        survey.ask_again(&mut session).await?;
        survey.listen_until(&mut session, Instant::now() + command.survey.wait).await?;
        if command.namespace.is_empty() {
            for namespace in survey.new_namespaces(&session) {
                survey.ask(&mut session, &namespace).await?;
            }
        }
        if round.is_multiple_of(COUNT_AGAIN) {
            survey.count_again();
        }
        count_sockets(&mut survey, &mut session, command.survey.wait).await?;
    }
    Ok(())
}

fn print(survey: &Survey, json: bool, print_table: impl FnOnce(&mut Table)) {
    if json {
        for (namespace, uid, seen) in survey.nodes() {
            output::json(&as_json(namespace, uid, seen));
        }
        return;
    }
    if survey.nodes().next().is_none() {
        return;
    }
    let mut table = Table::new(&["NAME", "LANGUAGE", "VERSION", "UID", "NAMESPACE", "SOCKETS", "HEARD"]);
    for (namespace, uid, seen) in survey.nodes() {
        let info = seen.info.clone().unwrap_or_default();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            or_dash(info.name),
            or_dash(info.language),
            or_dash(info.version),
            uid.to_string(),
            namespace.to_owned(),
            or_dash(seen.sockets.map(|sockets| sockets.to_string())),
            format!("{:.1} s ago", seen.heard.elapsed().as_secs_f64()),
        ]);
    }
    print_table(&mut table);
}

fn as_json(namespace: &str, uid: &NodeId, seen: &Seen) -> serde_json::Value {
    let info = seen.info.clone().unwrap_or_default();
    json!({
        "time": output::now_in_milliseconds(),
        "name": info.name,
        "language": info.language,
        "version": info.version,
        "uid": uid,
        "namespace": namespace,
        "sockets": seen.sockets,
        "heardSecondsAgo": seen.heard.elapsed().as_secs_f64(),
    })
}
