//! The ops of a server node.
//!
//! They use socketioxide's own operators where these can do it, because applications use them, and
//! the cluster handle for the rest.

use std::{sync::Arc, time::SystemTime};

use futures_util::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use socketio_pg_core::{
    Acknowledgements, Cluster, ClusterNamespace, ClusterSocket, Counts, Event, PostgresAdapter, Recovery, SocketData,
    backend::Backend,
    protocol::{SocketId, Value, value::Arguments},
    room_number,
};
use socketioxide::{SocketIo, adapter::Emitter, extract::SocketRef, operators::BroadcastOperators, socket::Sid};

use super::{
    arguments::{self, arguments_from_json},
    commands::{Answer, Command, Fields, failed},
    server::Extension,
};

type Adapter<B> = PostgresAdapter<Emitter, B>;

pub(crate) struct Node<B: Backend, E> {
    pub(crate) io: SocketIo<Adapter<B>>,
    pub(crate) cluster: Cluster<B>,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) extension: E,
}

impl<B: Backend, E: Extension> Node<B, E> {
    pub(crate) async fn carry_out(self: Arc<Self>, command: Command) -> Answer {
        let fields = command.fields;
        match command.op.as_str() {
            "emit" => self.emit(fields).await,
            "emitWithAck" => self.emit_with_ack(fields).await,
            "socketsJoin" => {
                self.select(&fields)?.join(fields.list("join")).await.map_err(failed)?;
                Ok(Json::Null)
            }
            "socketsLeave" => {
                self.select(&fields)?.leave(fields.list("leave")).await.map_err(failed)?;
                Ok(Json::Null)
            }
            "disconnectSockets" if fields.flag("close") => {
                self.handle(&fields).disconnect_sockets(true).await.map_err(failed)?;
                Ok(Json::Null)
            }
            "disconnectSockets" => {
                self.select(&fields)?.disconnect().await.map_err(failed)?;
                Ok(Json::Null)
            }
            "fetchSockets" => {
                let sockets = self.handle(&fields).fetch_sockets().await.map_err(failed)?;
                Ok(sockets.into_iter().map(described).collect())
            }
            "countSockets" => Ok(json!(self.handle(&fields).socket_count().await.map_err(failed)?)),
            "socketIds" => Ok(json!(self.handle(&fields).socket_ids().await.map_err(failed)?)),
            "remote" => self.remote(fields).await,
            "serverSideEmit" => {
                let event = fields.required("event")?;
                self.cluster.of(fields.nsp()).server_side_emit(event, &fields.args()).await.map_err(failed)?;
                Ok(Json::Null)
            }
            "serverSideEmitWithAck" => {
                let mut namespace = self.cluster.of(fields.nsp());
                if let Some(timeout) = fields.timeout() {
                    namespace = namespace.timeout(timeout);
                }
                let event = fields.required("event")?;
                let answers = namespace.server_side_emit_with_ack::<_, Value>(event, &fields.args()).await;
                Ok(responses(answers.map_err(failed)?.all().await))
            }
            "replyServerSide" => self.reply_server_side(fields),
            "serverCount" => Ok(json!(self.cluster.of(fields.nsp()).server_count())),
            "localSockets" => {
                let sockets = self.handle(&fields).local().fetch_sockets().await.map_err(failed)?;
                Ok(sockets.into_iter().map(|socket| json!({ "id": socket.id, "rooms": rooms(&socket) })).collect())
            }
            "localRooms" => {
                let rooms = self.select(&fields)?.local().rooms().await.map_err(failed)?;
                Ok(rooms.iter().map(|room| json!(room)).collect())
            }
            "joinRemote" => {
                // As an application does it that has fetched sockets.
                for socket in self.select(&fields)?.fetch_sockets().await.map_err(failed)? {
                    socket.join(fields.list("join")).await.map_err(failed)?;
                }
                Ok(Json::Null)
            }
            "setData" => {
                let data = fields.get("data").map(arguments::from_json).unwrap_or(Value::Nil);
                let data = SocketData::new(&data).map_err(failed)?;
                self.local_socket(&fields, "socket")?.extensions.insert(data);
                Ok(Json::Null)
            }
            "events" => Ok(self.events.lock().iter().map(|event| format!("{event:?}")).collect()),
            "gaps" => Ok(self.events.lock().iter().filter_map(gap).collect()),
            "addNamespace" => {
                self.io.ns(fields.nsp().to_owned(), async || {}).await.map_err(failed)?;
                Ok(Json::Null)
            }
            "deleteNamespace" => {
                self.io.delete_ns(fields.nsp());
                Ok(Json::Null)
            }
            "counts" => {
                let Counts { rejected, dropped, .. } = self.cluster.counts();
                Ok(json!({ "rejected": rejected, "dropped": dropped }))
            }
            "isReady" => Ok(json!(self.cluster.health().is_ready())),
            "close" => {
                self.io.close().await;
                self.cluster.close().await;
                Ok(Json::Null)
            }
            unknown => match self.extension.carry_out(unknown).await {
                Some(answer) => answer,
                None => Err(format!("unknown op: {unknown}")),
            },
        }
    }

    async fn emit(&self, fields: Fields) -> Answer {
        let event = fields.required("event")?;
        if let Some(compress) = fields.get("compress").and_then(Json::as_bool) {
            self.handle(&fields).compress(compress).emit(event, &fields.args()).await.map_err(failed)?;
        } else {
            self.select(&fields)?.emit(event, &fields.args()).await.map_err(failed)?;
        }
        Ok(Json::Null)
    }

    async fn emit_with_ack(&self, fields: Fields) -> Answer {
        let mut operators = self.select(&fields)?;
        if let Some(timeout) = fields.timeout() {
            operators = operators.timeout(timeout);
        }
        let event = fields.required("event")?;
        let mut acks = operators.emit_with_ack::<_, Arguments>(event, &fields.args()).await.map_err(failed)?;
        let (mut answers, mut error) = (Vec::new(), Json::Null);
        while let Some((_, ack)) = acks.next().await {
            match ack {
                // As in Node.js, only the first argument of an acknowledgement is passed on.
                Ok(Arguments(values)) => answers.push(values.first().map_or(Json::Null, arguments::to_json)),
                Err(socketioxide::AckError::Timeout) => error = json!("operation has timed out"),
                Err(other) => return Err(failed(other)),
            }
        }
        Ok(json!({ "responses": answers, "error": error }))
    }

    async fn remote(&self, fields: Fields) -> Answer {
        let target = SocketId::from(fields.required("target")?);
        let namespace = self.cluster.of(fields.nsp());
        let mut socket = namespace.socket(&target);
        if socket.fetch_sockets().await.map_err(failed)?.is_empty() {
            return Err(format!("no such socket in {}: {target}", fields.nsp()));
        }
        if let Some(timeout) = fields.timeout() {
            socket = socket.timeout(timeout);
        }
        match fields.required("do")? {
            "emit" => socket.emit(fields.required("event")?, &fields.args()).await.map_err(failed)?,
            "emitWithAck" => {
                let acks: Acknowledgements<Value> =
                    socket.emit_with_ack(fields.required("event")?, &fields.args()).await.map_err(failed)?;
                return Ok(responses(acks.all().await));
            }
            "join" => socket.sockets_join(fields.list("join")).await.map_err(failed)?,
            "leave" => socket.sockets_leave(fields.list("leave")).await.map_err(failed)?,
            "disconnect" => socket.disconnect_sockets(fields.flag("close")).await.map_err(failed)?,
            unknown => return Err(format!("remote cannot do: {unknown}")),
        }
        Ok(Json::Null)
    }

    fn reply_server_side(&self, fields: Fields) -> Answer {
        let event = fields.required("event")?;
        let namespace = self.cluster.of(fields.nsp());
        namespace.off_server_side(event);
        if !fields.flag("never") {
            // As in Node.js, only the first value of an acknowledgement is passed on; without a
            // value it is empty.
            match arguments_from_json(fields.get("with")).0.into_iter().next() {
                Some(value) => {
                    namespace.on_server_side_with_ack(event, move |_: Arguments| std::future::ready(value.clone()))
                }
                None => namespace.on_server_side_with_ack(event, |_: Arguments| std::future::ready(())),
            }
        }
        Ok(Json::Null)
    }

    /// The sockets that a command selects, with socketioxide's own operators.
    fn select(&self, fields: &Fields) -> Result<BroadcastOperators<Adapter<B>>, String> {
        let mut operators = match fields.text("from") {
            Some(_) => self.local_socket(fields, "from")?.broadcast(),
            None => self.io.of(fields.nsp()).ok_or_else(|| format!("no such namespace: {}", fields.nsp()))?,
        };
        for room in fields.list("rooms") {
            operators = operators.to(room);
        }
        for room in fields.list("except") {
            operators = operators.except(room);
        }
        if fields.flag("local") {
            operators = operators.local();
        }
        if fields.flag("volatile") {
            operators = operators.volatile();
        }
        Ok(operators)
    }

    /// The sockets that a command selects, with the operators of the cluster handle.
    fn handle(&self, fields: &Fields) -> ClusterNamespace<B> {
        let mut namespace = self.cluster.of(fields.nsp());
        for room in fields.list("rooms") {
            namespace = namespace.to(room);
        }
        for room in fields.list("except").into_iter().chain(fields.text("from").map(str::to_owned)) {
            namespace = namespace.except(room);
        }
        if fields.flag("local") {
            namespace = namespace.local();
        }
        if fields.flag("volatile") {
            namespace = namespace.volatile();
        }
        if let Some(timeout) = fields.timeout() {
            namespace = namespace.timeout(timeout);
        }
        namespace
    }

    fn local_socket(&self, fields: &Fields, name: &str) -> Result<SocketRef<Adapter<B>>, String> {
        let id = fields.required(name)?;
        let sid: Sid = id.parse().map_err(|error| format!("{id}: {error:?}"))?;
        let operators = self.io.of(fields.nsp()).ok_or_else(|| format!("no such namespace: {}", fields.nsp()))?;
        operators.get_socket(sid).ok_or_else(|| format!("no such socket on this node in {}: {id}", fields.nsp()))
    }
}

/// From when to when messages may be missing, in milliseconds of Unix time, and whether the log had
/// all of them.
fn gap(event: &Event) -> Option<Json> {
    let Event::Gap { since, until, recovery } = event else { return None };
    let milliseconds =
        |time: &SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|it| it.as_secs_f64() * 1e3);
    let is_recovered = matches!(recovery, Recovery::Complete { .. });
    Some(json!([milliseconds(since)?, milliseconds(until)?, is_recovered]))
}

fn responses((answers, outcome): (Vec<Value>, Result<(), socketio_pg_core::Error>)) -> Json {
    let error = outcome.err().map(|error| match error {
        socketio_pg_core::Error::NotAcknowledged { .. } => "operation has timed out".to_owned(),
        other => other.to_string(),
    });
    json!({ "responses": answers.iter().map(arguments::to_json).collect::<Json>(), "error": error })
}

/// Rooms that are named by numbers, as numbers.
fn rooms(socket: &ClusterSocket) -> Json {
    socket.rooms.iter().map(|name| room_number(name).map_or_else(|| json!(name), Json::from)).collect()
}

fn described(socket: ClusterSocket) -> Json {
    json!({
        "id": socket.id,
        "rooms": rooms(&socket),
        "handshake": socket.handshake,
        "data": socket.data.map(arguments::payload_to_json),
    })
}
