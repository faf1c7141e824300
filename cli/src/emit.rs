//! `emit`, `join`, `leave`, `disconnect`, `server-side-emit`: acts as an emitter, and may wait for
//! what comes back.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    time::Duration,
};

use serde::{Serialize, Serializer, ser::SerializeTuple};
use serde_json::json;
use socketio_pg_core::{
    Error,
    protocol::{
        Body, NodeId, Payload, RequestId, Value,
        message::{Broadcast, Packet, ServerSideEmit, broadcast, server_side},
    },
};
use socketio_pg_tokio_postgres::Emitter;
use tokio::time::Instant;

use crate::{
    arguments::{self, Disconnect, EventArguments, Rooms, Selection, Target},
    database,
    failure::Failure,
    output, payload,
    session::{Session, new_request},
    survey::Survey,
};

/// How much longer than clients servers may take to answer.
const GRACE: Duration = Duration::from_secs(1);

pub(crate) async fn emit(target: &Target, command: &arguments::Emit) -> Result<(), Failure> {
    let arguments = Arguments::read(&command.arguments)?;
    if command.ack {
        return emit_with_ack(target, command, arguments).await;
    }
    let mut emitter = emitter(target, &command.namespace, &command.selection);
    if command.volatile {
        emitter = emitter.volatile();
    }
    if command.no_compress {
        emitter = emitter.compress(false);
    }
    Ok(emitter.emit(&command.event, &arguments, &database::client(target).await?).await?)
}

pub(crate) async fn join(target: &Target, command: &Rooms) -> Result<(), Failure> {
    let emitter = emitter(target, &command.namespace, &command.selection);
    let rooms = command.rooms.iter().map(String::as_str);
    Ok(emitter.sockets_join(rooms, &database::client(target).await?).await?)
}

pub(crate) async fn leave(target: &Target, command: &Rooms) -> Result<(), Failure> {
    let emitter = emitter(target, &command.namespace, &command.selection);
    let rooms = command.rooms.iter().map(String::as_str);
    Ok(emitter.sockets_leave(rooms, &database::client(target).await?).await?)
}

pub(crate) async fn disconnect(target: &Target, command: &Disconnect) -> Result<(), Failure> {
    let emitter = emitter(target, &command.namespace, &command.selection);
    Ok(emitter.disconnect_sockets(command.close, &database::client(target).await?).await?)
}

pub(crate) async fn server_side_emit(target: &Target, command: &arguments::ServerSideEmit) -> Result<(), Failure> {
    let arguments = Arguments::read(&command.arguments)?;
    if command.ack {
        return server_side_emit_with_ack(target, command, arguments).await;
    }
    let emitter = Emitter::with_options(&target.options()).of(&command.namespace);
    Ok(emitter.server_side_emit(&command.event, &arguments, &database::client(target).await?).await?)
}

fn emitter(target: &Target, namespace: &str, selection: &Selection) -> Emitter {
    let mut emitter = Emitter::with_options(&target.options()).of(namespace);
    for room in &selection.room {
        emitter = emitter.to(room.as_str());
    }
    for room in &selection.except {
        emitter = emitter.except(room.as_str());
    }
    emitter
}

/// Emits an event, and writes what clients acknowledge.
async fn emit_with_ack(target: &Target, command: &arguments::Emit, arguments: Arguments) -> Result<(), Failure> {
    if broadcast::RESERVED_EVENTS.contains(&command.event.as_str()) {
        return Err(Error::ReservedEvent { event: command.event.clone() }.into());
    }
    let (mut session, survey) = known_servers(target, &command.namespace, command.survey.wait).await?;
    let request = new_request();
    let mut opts = command.selection.selector();
    if let Some(flags) = &mut opts.flags {
        flags.set_timeout(command.timeout);
        if command.no_compress {
            flags.set("compress", false);
        }
    }
    let packet = Packet::event(arguments.packet(&command.event));
    let body = Body::Broadcast(Broadcast { packet, request_id: Some(request.clone()), opts });
    session.publish_and_log(&command.namespace, body).await?;
    let mut waiting = Waiting::new(request, survey.uids(&command.namespace), command.timeout);
    let (mut clients, mut acknowledged) = (0_u64, 0_u64);
    while !waiting.nodes.is_empty() || acknowledged < clients {
        let Some((uid, body)) = waiting.next(&mut session).await? else { break };
        match body {
            Body::BroadcastClientCount(count) => {
                waiting.nodes.remove(&uid);
                clients = clients.saturating_add(count.client_count);
            }
            Body::BroadcastAck(ack) => {
                acknowledged += 1;
                print_answer(target, &survey, &uid, ack.packet.as_ref());
            }
            _ => {}
        }
    }
    if waiting.nodes.is_empty() && acknowledged >= clients {
        if !target.json {
            output::note(&format!("{acknowledged} of {clients} clients acknowledged"));
        }
        return Ok(());
    }
    let silent = waiting.silent(&survey);
    Err(Failure::Incomplete(format!(
        "{acknowledged} of {clients} clients acknowledged within {:?}{silent}",
        command.timeout
    )))
}

/// Emits an event to servers, and writes what they respond.
async fn server_side_emit_with_ack(
    target: &Target,
    command: &arguments::ServerSideEmit,
    arguments: Arguments,
) -> Result<(), Failure> {
    if server_side::RESERVED_EVENTS.contains(&command.event.as_str()) {
        return Err(Error::ReservedEvent { event: command.event.clone() }.into());
    }
    let (mut session, survey) = known_servers(target, &command.namespace, command.survey.wait).await?;
    let request = new_request();
    let packet = arguments.packet(&command.event);
    session
        .publish(&command.namespace, Body::ServerSideEmit(ServerSideEmit { request_id: Some(request.clone()), packet }))
        .await?;
    let mut waiting = Waiting::new(request, survey.uids(&command.namespace), command.timeout);
    while !waiting.nodes.is_empty() {
        let Some((uid, body)) = waiting.next(&mut session).await? else { break };
        if let Body::ServerSideEmitResponse(response) = body {
            waiting.nodes.remove(&uid);
            print_answer(target, &survey, &uid, response.packet.as_ref());
        }
    }
    let answered = waiting.answered.len();
    let all = answered + waiting.nodes.len();
    if waiting.nodes.is_empty() {
        if !target.json {
            output::note(&format!("{answered} of {all} servers responded"));
        }
        return Ok(());
    }
    let silent = waiting.silent(&survey);
    Err(Failure::Incomplete(format!("{answered} of {all} servers responded within {:?}{silent}", command.timeout)))
}

async fn known_servers(target: &Target, namespace: &str, wait: Duration) -> Result<(Session, Survey), Failure> {
    if target.outbox.is_some() {
        return Err(Failure::failed(
            "what is acknowledged does not go through the outbox: leave out --outbox, or --ack",
        ));
    }
    let mut session = Session::open(target).await?;
    session.prove_hearing().await?;
    let mut survey = Survey::default();
    survey.ask(&mut session, namespace).await?;
    survey.listen_until(&mut session, Instant::now() + wait).await?;
    if survey.nodes().next().is_none() {
        // Nothing was emitted.
        return Err(Failure::no_server(&session.namespaces(), target));
    }
    Ok((session, survey))
}

fn print_answer(target: &Target, survey: &Survey, uid: &NodeId, packet: Option<&Payload>) {
    if target.json {
        output::json(&json!({ "uid": uid, "server": survey.name(uid), "answer": packet }));
    } else {
        output::line(&output::printable(&packet.map(payload::shown).unwrap_or_default()));
    }
}

/// A request that waits for answers.
struct Waiting {
    request: RequestId,
    /// The nodes that have not answered.
    nodes: BTreeSet<NodeId>,
    answered: BTreeSet<NodeId>,
    deadline: Instant,
}

impl Waiting {
    fn new(request: RequestId, nodes: BTreeSet<NodeId>, timeout: Duration) -> Self {
        Self { request, nodes, answered: BTreeSet::new(), deadline: Instant::now() + timeout + GRACE }
    }

    /// The next answer. `None` when the time is over, or when no node is left that could answer.
    async fn next(&mut self, session: &mut Session) -> Result<Option<(NodeId, Body)>, Failure> {
        while let Some(heard) = session.next_until(self.deadline).await? {
            let Ok(message) = heard.message else { continue };
            let Some(uid) = message.uid.filter(|uid| !uid.is_emitter()) else { continue };
            // A server that was slower than the survey was asked as well.
            if matches!(message.body, Body::Heartbeat | Body::InitialHeartbeat) && !self.answered.contains(&uid) {
                self.nodes.insert(uid);
                continue;
            }
            if matches!(message.body, Body::AdapterClose) {
                self.nodes.remove(&uid);
                return Ok(Some((uid, message.body)));
            }
            if message.body.is_response() && message.body.request_id() == Some(&self.request) {
                self.answered.insert(uid.clone());
                return Ok(Some((uid, message.body)));
            }
        }
        Ok(None)
    }

    /// Which nodes did not answer, for people.
    fn silent(&self, survey: &Survey) -> String {
        let names: Vec<_> = self.nodes.iter().map(|uid| survey.full_name(uid)).collect();
        if names.is_empty() { String::new() } else { format!("; no answer from {}", names.join(", ")) }
    }
}

/// The arguments of an event. They are written as a tuple, and so as several arguments.
struct Arguments(Vec<Value>);

impl Arguments {
    fn read(arguments: &EventArguments) -> Result<Self, Failure> {
        arguments.arguments.iter().map(|text| argument(text)).collect::<Result<_, _>>().map(Self)
    }

    /// `[event, ...arguments]`.
    fn packet(self, event: &str) -> Payload {
        let all = std::iter::once(Value::Str(event.to_owned())).chain(self.0);
        Payload::Value(Value::Array(all.collect()))
    }
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for argument in &self.0 {
            tuple.serialize_element(argument)?;
        }
        tuple.end()
    }
}

/// An argument: JSON, or `@` and the name of a file.
fn argument(text: &str) -> Result<Value, Failure> {
    let Some(path) = text.strip_prefix('@') else {
        return Value::from_json(text).map_err(|_| {
            let quoted = output::shell_quoted(&serde_json::Value::from(text).to_string());
            Failure::failed(format!(
                "the argument {text:?} is not JSON: for a text, write it with quotes, as {quoted}; for the bytes of a \
                 file, write @ and its name"
            ))
        });
    };
    let bytes = if path == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    bytes.map(Value::Bin).map_err(|error| Failure::failed(format!("the file {path:?} cannot be read: {error}")))
}
