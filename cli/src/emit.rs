//! `emit`, `join`, `leave`, `disconnect`, `server-side-emit`: acts as an emitter, and may wait for
//! what comes back.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    time::Duration,
};

use serde_json::json;
use socketio_pg_core::{
    Error,
    backend::ErrorKind,
    protocol::{
        Body, NodeId, Payload, RequestId, Value,
        message::{Broadcast, Packet, ServerSideEmit, broadcast, server_side},
        value::Arguments,
    },
};
use socketio_pg_tokio_postgres::Emitter;
use tokio::time::Instant;
use tokio_postgres::Transaction;

use crate::{
    arguments::{self, Disconnect, EventArguments, Rooms, Selection, Target},
    asking, connected, database,
    failure::Failure,
    output, payload,
    session::{Session, new_request},
    survey::Survey,
};

/// How long emitting may wait for a lock of another session.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How much longer than clients servers may take to answer.
const GRACE: Duration = Duration::from_secs(1);

pub(crate) async fn emit(target: &Target, command: &arguments::Emit) -> Result<(), Failure> {
    let arguments = read_arguments(&command.arguments)?;
    if command.ack {
        return emit_with_ack(target, command, arguments).await;
    }
    let mut emitter = emitter(target, &command.namespace.name, &command.selection);
    if command.volatile {
        emitter = emitter.volatile();
    }
    if command.no_compress {
        emitter = emitter.compress(false);
    }
    send(target, async |transaction| emitter.emit(&command.event, &arguments, transaction).await).await
}

pub(crate) async fn join(target: &Target, command: &Rooms) -> Result<(), Failure> {
    let emitter = emitter(target, &command.namespace.name, &command.selection);
    let rooms = command.rooms.iter().map(String::as_str);
    send(target, async |transaction| emitter.sockets_join(rooms, transaction).await).await
}

pub(crate) async fn leave(target: &Target, command: &Rooms) -> Result<(), Failure> {
    let emitter = emitter(target, &command.namespace.name, &command.selection);
    let rooms = command.rooms.iter().map(String::as_str);
    send(target, async |transaction| emitter.sockets_leave(rooms, transaction).await).await
}

pub(crate) async fn disconnect(target: &Target, command: &Disconnect) -> Result<(), Failure> {
    let emitter = emitter(target, &command.namespace.name, &command.selection);
    send(target, async |transaction| emitter.disconnect_sockets(command.close, transaction).await).await
}

pub(crate) async fn server_side_emit(target: &Target, command: &arguments::ServerSideEmit) -> Result<(), Failure> {
    let arguments = read_arguments(&command.arguments)?;
    if command.ack {
        return server_side_emit_with_ack(target, command, arguments).await;
    }
    let emitter = Emitter::with_options(&target.options()).of(&command.namespace.name);
    send(target, async |transaction| emitter.server_side_emit(&command.event, &arguments, transaction).await).await
}

/// Emits in a transaction that does not wait for long when another session locks a table.
async fn send(target: &Target, emit: impl AsyncFnOnce(&Transaction<'_>) -> Result<(), Error>) -> Result<(), Failure> {
    let mut client = database::client(target).await?;
    let transaction = client.transaction().await.map_err(asking::failure)?;
    let lock_timeout = format!("SET LOCAL lock_timeout = '{}s'", LOCK_TIMEOUT.as_secs());
    transaction.batch_execute(&lock_timeout).await.map_err(asking::failure)?;
    emit(&transaction).await.map_err(|error| match &error {
        Error::Publish(reason) if reason.kind() != ErrorKind::Connection => Failure::failed(format!(
            "{error}: `socketio-pg doctor` says what is wrong with the database, and what to do"
        )),
        _ => error.into(),
    })?;
    transaction.commit().await.map_err(|error| match error.as_db_error() {
        Some(refused) => Failure::failed(format!("the message was not published: {}", refused.message())),
        None => Failure::failed(format!("it is not known whether the message was published: {error}")),
    })
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
    let (mut session, survey) =
        open_session_and_find_servers(target, &command.namespace.name, command.survey.wait).await?;
    let request = new_request();
    let mut opts = command.selection.selector();
    if let Some(flags) = &mut opts.flags {
        flags.set_timeout(command.timeout);
        if command.no_compress {
            flags.set("compress", false);
        }
    }
    let packet = Packet::event(event_payload(&command.event, arguments));
    let body = Body::Broadcast(Broadcast { packet, request_id: Some(request.clone()), opts });
    session.publish_and_log(&command.namespace.name, body).await?;
    let mut waiting = PendingRequest::new(request, survey.uids(&command.namespace.name), command.timeout);
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
    let result = format!("{acknowledged} of {clients} clients acknowledged");
    let is_complete = waiting.nodes.is_empty() && acknowledged >= clients;
    let asked = (&*command.namespace.name, command.survey.wait);
    report_result(target, &mut session, &survey, asked, &waiting, (&result, is_complete)).await
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
    let (mut session, survey) =
        open_session_and_find_servers(target, &command.namespace.name, command.survey.wait).await?;
    let request = new_request();
    let packet = event_payload(&command.event, arguments);
    session
        .publish(
            &command.namespace.name,
            Body::ServerSideEmit(ServerSideEmit { request_id: Some(request.clone()), packet }),
        )
        .await?;
    let mut waiting = PendingRequest::new(request, survey.uids(&command.namespace.name), command.timeout);
    while !waiting.nodes.is_empty() {
        let Some((uid, body)) = waiting.next(&mut session).await? else { break };
        if let Body::ServerSideEmitResponse(response) = body {
            waiting.nodes.remove(&uid);
            print_answer(target, &survey, &uid, response.packet.as_ref());
        }
    }
    let answered = waiting.answered.len();
    let all = answered + waiting.nodes.len();
    let result = format!("{answered} of {all} servers responded");
    let is_complete = waiting.nodes.is_empty();
    let asked = (&*command.namespace.name, command.survey.wait);
    report_result(target, &mut session, &survey, asked, &waiting, (&result, is_complete)).await
}

/// Writes how many answered. Fails when a server that the survey found did not. A connected server
/// that the survey did not find costs only a warning: it may belong to another cluster.
async fn report_result(
    target: &Target,
    session: &mut Session,
    survey: &Survey,
    (namespace, wait): (&str, Duration),
    request: &PendingRequest,
    (result, is_complete): (&str, bool),
) -> Result<(), Failure> {
    for silent in connected::missing(target, session, survey, (&[namespace.to_owned()], wait)).await? {
        output::warning(&silent);
    }
    if !is_complete {
        let silent = request.silent(survey);
        return Err(Failure::Incomplete(format!("{result} within {:?}{silent}", request.timeout)));
    }
    if !target.json {
        output::note(result);
    }
    Ok(())
}

async fn open_session_and_find_servers(
    target: &Target,
    namespace: &str,
    wait: Duration,
) -> Result<(Session, Survey), Failure> {
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
        // No server answered: stop before emitting.
        let asked = (&[namespace.to_owned()][..], wait);
        Failure::unless_complete(&connected::missing(target, &mut session, &survey, asked).await?)?;
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
struct PendingRequest {
    request: RequestId,
    /// The nodes that have not answered.
    nodes: BTreeSet<NodeId>,
    answered: BTreeSet<NodeId>,
    /// How long clients or servers may take.
    timeout: Duration,
    deadline: Instant,
}

impl PendingRequest {
    fn new(request: RequestId, nodes: BTreeSet<NodeId>, timeout: Duration) -> Self {
        let deadline = Instant::now() + timeout + GRACE;
        Self { request, nodes, answered: BTreeSet::new(), timeout, deadline }
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
        if self.nodes.is_empty() {
            return String::new();
        }
        format!("; no answer from {}", survey.full_names(&self.nodes))
    }
}

/// The arguments of the command line.
fn read_arguments(arguments: &EventArguments) -> Result<Arguments, Failure> {
    arguments.arguments.iter().map(|text| read_argument(text)).collect::<Result<_, _>>().map(Arguments)
}

/// `[event, ...arguments]`.
fn event_payload(event: &str, arguments: Arguments) -> Payload {
    let all = std::iter::once(Value::Str(event.to_owned())).chain(arguments.0);
    Payload::Value(Value::Array(all.collect()))
}

/// An argument: JSON, or `@` and the name of a file.
fn read_argument(text: &str) -> Result<Value, Failure> {
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
