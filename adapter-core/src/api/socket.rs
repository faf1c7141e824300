//! A socket on any node of the cluster.

use serde::Serialize;
use socketio_pg_protocol::{
    NodeId, Payload, SocketId, Value,
    message::{Handshake, Room, SocketDescription},
};

use crate::socketio::{handshake, room};

/// A socket on any node of the cluster. It serializes with its fields as they are named here.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
#[doc(alias = "RemoteSocket")]
pub struct ClusterSocket {
    /// Its id: 20 characters on Node.js, 16 on socketioxide.
    pub id: SocketId,
    /// The node it is connected to.
    pub node: Option<NodeId>,
    /// Its rooms, including the one named by its id; [`room_number`](crate::room_number) tells
    /// which are named by numbers.
    pub rooms: Vec<String>,
    /// How it connected, as far as its node tells.
    pub handshake: Handshake,
    /// What the application stored on it: `socket.data` of Node.js,
    /// [`SocketData`](crate::SocketData) here.
    pub data: Option<Payload>,
}

impl ClusterSocket {
    pub(crate) fn new(node: Option<NodeId>, socket: SocketDescription) -> Self {
        let SocketDescription { id, handshake, rooms, data } = socket;
        let mut names: Vec<String> = Vec::new();
        // Other values than strings and numbers are room names only by mistake.
        let is_shown = |room: &&Room| match room {
            Room::Name(_) => true,
            Room::Other(value) => value.as_f64().is_some(),
        };
        for name in rooms.iter().flatten().filter(is_shown).filter_map(room::name) {
            // The room of its own id may be in the list twice: see [`room::joined`].
            if !(name == id.as_str() && names.iter().any(|known| *known == name)) {
                names.push(name.into_owned());
            }
        }
        Self {
            id,
            node,
            rooms: names,
            handshake: handshake.and_then(handshake::read).unwrap_or_default(),
            data: data.map(with_binary),
        }
    }
}

/// Node.js does not look for binary in this message: inline, a `Buffer` comes as
/// `{"type":"Buffer","data":[…]}`.
fn with_binary(data: Payload) -> Payload {
    match &data {
        Payload::Json(text) if text.get().contains(r#""Buffer""#) => match Value::from_json(text.get()) {
            Ok(value) => Payload::Value(value.revive_buffers()),
            Err(_) => data,
        },
        _ => data,
    }
}
