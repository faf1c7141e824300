//! Describes local sockets to other nodes.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use http::request::Parts;
use serde::Serialize;
use socketio_pg_protocol::{
    EncodeError, Payload, SocketId, Value,
    message::{Handshake, Room, SocketDescription},
};
use socketioxide::{SocketIo, adapter::Adapter, extract::SocketRef, operators::BroadcastOperators};
use socketioxide_core::Sid;

use crate::socketio::handshake::{self, MAX_LEVELS};

/// What the application stores on a socket for other nodes to see: Node.js's `socket.data`.
///
/// Insert it into the socket's extensions, and again whenever it changes. Applications on every
/// node, Node.js's included, find it in the result of `fetchSockets`; bytes (`serialize_bytes`)
/// arrive as a `Buffer`.
///
/// ```
/// # use socketio_pg_core::SocketData;
/// use serde_json::json;
/// use socketioxide::extract::SocketRef;
/// use std::future::{Ready, ready};
///
/// fn on_connect<A: socketioxide::adapter::Adapter>(socket: SocketRef<A>) -> Ready<()> {
///     if let Ok(data) = SocketData::new(&json!({ "user": "ada" })) {
///         socket.extensions.insert(data);
///     }
///     ready(())
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[doc(alias = "socket.data")]
pub struct SocketData(Payload);

impl SocketData {
    /// Data that serializes to an object. Keys `__proto__` are left out: Node.js reads no message that
    /// has one.
    ///
    /// # Errors
    /// When it cannot be written as JSON or MessagePack, or is more than 100 levels deep: other nodes
    /// could read the data of no socket of this server.
    pub fn new<T: Serialize + ?Sized>(data: &T) -> Result<Self, EncodeError> {
        let payload = Payload::from_serialize(data)?;
        let value = payload.clone().into_value().map_err(|error| EncodeError::TooDeep(error.to_string()))?;
        if handshake::is_too_deep(&value) {
            return Err(EncodeError::TooDeep(format!("the data has more than {MAX_LEVELS} levels")));
        }
        Ok(Self(if handshake::has_refused_key(&value) { into_payload(handshake::describable(value)) } else { payload }))
    }
}

/// The server whose sockets are described, with its type erased.
pub(crate) trait Server: Send + Sync {
    /// Handshake and data of a connected socket; with `of_client`, the data also says which client
    /// the socket belongs to.
    fn describe(&self, namespace: &str, sid: Sid, of_client: bool) -> Option<(Payload, Option<Payload>)>;

    /// Leaves out the sockets that [`Self::describe`] would not describe.
    fn retain_connected(&self, namespace: &str, sids: &mut Vec<Sid>);

    /// Disconnects clients from all their namespaces; they then close their connections.
    fn disconnect_everywhere(&self, sids: &[Sid]);
}

/// A server, and the function that finds the addresses of its clients.
pub(crate) struct Attached<A: Adapter, F> {
    server: SocketIo<A>,
    address: F,
    /// Whether it was logged that handshakes are not recorded.
    told: AtomicBool,
}

impl<A: Adapter, F> Attached<A, F> {
    pub(crate) fn new(server: SocketIo<A>, address: F) -> Self {
        Self { server, address, told: AtomicBool::new(false) }
    }
}

impl<A, F> Server for Attached<A, F>
where
    A: Adapter,
    F: Fn(&Parts) -> Option<IpAddr> + Send + Sync,
{
    fn describe(&self, namespace: &str, sid: Sid, of_client: bool) -> Option<(Payload, Option<Payload>)> {
        let socket = connected(&self.server.of(namespace)?, sid)?;
        if !handshake::is_recorded(&socket) && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                namespace,
                "other nodes see no auth and no time of connection in the handshakes of this server: add \
                 `.with(record_handshake)` to the connect handler of each namespace"
            );
        }
        let data = socket.extensions.get::<SocketData>().map(|data| data.0);
        let data = if of_client { Some(with_client(&socket, data)) } else { data };
        Some((handshake::write(&socket, &self.address)?, data))
    }

    fn retain_connected(&self, namespace: &str, sids: &mut Vec<Sid>) {
        match self.server.of(namespace) {
            Some(namespace) => sids.retain(|sid| connected(&namespace, *sid).is_some()),
            None => sids.clear(),
        }
    }

    fn disconnect_everywhere(&self, sids: &[Sid]) {
        // Once for all: a server may have many namespaces.
        let namespaces: Vec<_> = self.server.nsps().into_iter().collect();
        for sid in sids {
            for socket in namespaces.iter().filter_map(|namespace| namespace.get_socket(*sid)) {
                if let Err(error) = socket.disconnect() {
                    tracing::debug!(%error, %sid, "a socket was not disconnected");
                }
            }
        }
    }
}

/// A socket that is not being disconnected. socketioxide keeps a socket until its disconnect handler
/// has ended, Node.js does not.
fn connected<A: Adapter>(namespace: &BroadcastOperators<A>, sid: Sid) -> Option<SocketRef<A>> {
    namespace.get_socket(sid).filter(|socket| socket.connected())
}

/// A socket in the form of FETCH_SOCKETS_RESPONSE.
pub(crate) fn description(id: Sid, rooms: Vec<Room>, details: Option<(Payload, Option<Payload>)>) -> SocketDescription {
    let (handshake, data) = match details {
        Some((handshake, data)) => (Some(handshake), data),
        None => (Payload::from_serialize(&Handshake::default()).ok(), None),
    };
    SocketDescription {
        id: SocketId::from(id.as_str()),
        handshake,
        rooms: Some(rooms),
        // Node.js's sockets always have an object here.
        data: data.or_else(|| Payload::from_json("{}").ok()),
    }
}

/// Adds to the data of a socket what Socket.IO's Admin UI reads there: the client, and its
/// transport. Data that is not an object stays as it is.
fn with_client<A: Adapter>(socket: &SocketRef<A>, data: Option<Payload>) -> Payload {
    let transport: &str = socket.transport_type().into();
    // The id of a socket is the id of its client, of which Node.js's servers tell this much.
    let client = socket.id.as_str().chars().take(12).collect::<String>();
    let of_client = Value::Map(vec![("clientId".into(), client.into()), ("transport".into(), transport.into())]);
    let data = data.unwrap_or_else(|| Payload::Value(Value::Map(Vec::new())));
    let Ok(Value::Map(mut entries)) = data.clone().into_value() else { return data };
    entries.retain(|(key, _)| key.as_str() != Some("_admin"));
    entries.push(("_admin".into(), of_client));
    into_payload(Value::Map(entries))
}

/// Data without binary travels as JSON.
fn into_payload(value: Value) -> Payload {
    if value.has_binary() {
        return Payload::Value(value);
    }
    Payload::from_json(value.to_json()).unwrap_or(Payload::Value(value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is a test's report")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_that_others_could_not_read_is_refused_or_left_out() {
        let mut deep = json!(1);
        for _ in 0..MAX_LEVELS {
            deep = json!({ "a": deep });
        }
        assert!(SocketData::new(&deep).is_ok());
        let error = SocketData::new(&json!({ "a": deep })).unwrap_err();
        assert!(error.to_string().contains("more than 100 levels"), "{error}");

        let data = SocketData::new(&json!({ "user": "ada", "list": [{ "__proto__": 1, "b": 2 }] })).unwrap();
        let text = data.0.into_value().unwrap().to_json();
        assert_eq!(text, r#"{"user":"ada","list":[{"b":2}]}"#);
    }
}
