//! Local sockets, as the other nodes see them.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value as Json;
use socketio_pg_protocol::{
    EncodeError, Payload, SocketId,
    message::{Handshake, Room, SocketDescription},
};
use socketioxide::{
    SocketIo,
    adapter::Adapter,
    extract::{SocketRef, TryData},
};
use socketioxide_core::Sid;

/// What the application stores on a socket for other nodes to see: Node's `socket.data`.
///
/// Put it into the socket's extensions, again whenever it changes. Applications on every node, Node's included, find it in
/// the answer to `fetchSockets`; bytes (`serialize_bytes`) arrive as a `Buffer`.
///
/// ```
/// use serde_json::json;
/// use socketio_pg_core::SocketData;
/// use socketioxide::extract::SocketRef;
///
/// async fn on_connect(socket: SocketRef<impl socketioxide::adapter::Adapter>) {
///     if let Ok(data) = SocketData::new(&json!({ "user": "ada" })) {
///         socket.extensions.insert(data);
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct SocketData(Payload);

impl SocketData {
    /// Data that serializes to an object.
    ///
    /// # Errors
    /// When it cannot be written as JSON or MessagePack.
    pub fn new<T: Serialize + ?Sized>(data: &T) -> Result<Self, EncodeError> {
        Payload::from_serialize(data).map(Self)
    }
}

/// What the application knows of a connection and socketioxide does not: put it into the socket's extensions for other
/// nodes to see in the socket's handshake. [`record_handshake`] does so for `auth`.
#[derive(Clone, Debug, Default)]
pub struct ConnectInfo {
    /// What the client gave as `auth`.
    pub auth: Option<Json>,
    /// The client's address. Without it, a `SocketAddr` or `IpAddr` among the request's extensions is taken.
    pub address: Option<IpAddr>,
    /// Whether the transport is encrypted at this server.
    pub secure: bool,
}

/// Records how a client connected, for other nodes to see in the handshake of its socket: `auth`, `time` and `issued`, which
/// socketioxide does not keep. A connect middleware; without it `auth` is empty and `issued` the time of the first question.
///
/// ```
/// use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler};
/// use socketio_pg_core::record_handshake;
///
/// async fn on_connect(socket: SocketRef) {}
///
/// let (layer, io) = SocketIo::new_layer();
/// io.ns("/", on_connect.with(record_handshake));
/// ```
///
/// # Errors
/// None: the type is what middlewares have.
pub async fn record_handshake<A: Adapter>(socket: SocketRef<A>, auth: TryData<Json>) -> Result<(), Infallible> {
    let info = socket.extensions.get::<ConnectInfo>().unwrap_or_default();
    socket.extensions.insert(ConnectInfo { auth: auth.0.ok(), ..info });
    socket.extensions.insert(Issued(SystemTime::now()));
    Ok(())
}

/// When a socket was first seen here.
#[derive(Clone, Copy)]
struct Issued(SystemTime);

/// The server whose sockets are described, without its type.
pub(crate) trait Server: Send + Sync {
    /// Handshake and data of a socket that is connected.
    fn describe(&self, namespace: &str, sid: Sid) -> Option<(Handshake, Option<Payload>)>;

    /// Disconnects a client from all its namespaces, upon which it closes its connection.
    fn disconnect_everywhere(&self, sid: Sid);
}

impl<A: Adapter> Server for SocketIo<A> {
    fn describe(&self, namespace: &str, sid: Sid) -> Option<(Handshake, Option<Payload>)> {
        // socketioxide keeps a socket until its disconnect handler has ended, Node does not.
        let socket = self.of(namespace)?.get_socket(sid).filter(|socket| socket.connected())?;
        let data = socket.extensions.get::<SocketData>().map(|data| data.0);
        Some((handshake(&socket), data))
    }

    fn disconnect_everywhere(&self, sid: Sid) {
        for namespace in self.nsps() {
            if let Some(socket) = namespace.get_socket(sid)
                && let Err(error) = socket.disconnect()
            {
                tracing::debug!(%error, %sid, "a socket was not disconnected");
            }
        }
    }
}

/// A socket in the words of FETCH_SOCKETS_RESPONSE.
pub(crate) fn description(
    id: Sid,
    rooms: Vec<Room>,
    details: Option<(Handshake, Option<Payload>)>,
) -> SocketDescription {
    let (handshake, data) = details.unwrap_or_default();
    SocketDescription {
        id: SocketId::from(id.as_str()),
        handshake: Payload::from_serialize(&handshake).ok(),
        rooms: Some(rooms),
        // Node's sockets always have an object there.
        data: data.or_else(|| Payload::from_json("{}").ok()),
    }
}

/// Describes how a client connected, as Node does.
fn handshake<A: Adapter>(socket: &SocketRef<A>) -> Handshake {
    let request = socket.req_parts();
    let info = socket.extensions.get::<ConnectInfo>().unwrap_or_default();
    let Issued(issued) = socket.extensions.get().unwrap_or_else(|| {
        let now = Issued(SystemTime::now());
        socket.extensions.insert(now);
        now
    });
    let mut headers: BTreeMap<String, Json> = BTreeMap::new();
    for (name, value) in &request.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        match headers.get_mut(name.as_str()) {
            Some(Json::String(values)) => {
                values.push_str(", ");
                values.push_str(&value);
            }
            _ => {
                headers.insert(name.as_str().to_owned(), Json::String(value.into_owned()));
            }
        }
    }
    let address = info
        .address
        .or_else(|| request.extensions.get::<SocketAddr>().map(SocketAddr::ip))
        .or_else(|| request.extensions.get::<IpAddr>().copied());
    Handshake {
        xdomain: headers.contains_key("origin"),
        headers,
        time: javascript_date(issued),
        address: address.map(|address| address.to_string()).unwrap_or_default(),
        secure: info.secure,
        issued: since_epoch(issued).as_millis() as u64,
        url: request.uri.to_string(),
        query: query(request.uri.query().unwrap_or_default()),
        auth: info.auth.unwrap_or_else(|| Json::Object(serde_json::Map::new())),
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A query as Node parses it: the values of a key that comes several times make a list.
fn query(text: &str) -> serde_json::Map<String, Json> {
    let mut query = serde_json::Map::new();
    for (key, value) in form_urlencoded::parse(text.as_bytes()) {
        let value = Json::String(value.into_owned());
        match query.get_mut(&*key) {
            None => {
                query.insert(key.into_owned(), value);
            }
            Some(Json::Array(values)) => values.push(value),
            Some(first) => *first = Json::Array(vec![first.take(), value]),
        }
    }
    query
}

/// `Date.prototype.toString` in UTC: `Mon Nov 23 2026 00:01:41 GMT+0000 (Coordinated Universal Time)`.
fn javascript_date(time: SystemTime) -> String {
    let time: DateTime<Utc> = time.into();
    time.format("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_as_in_javascript() {
        let at = |seconds| javascript_date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)");
        // capture 40: issued 1795392101185
        assert_eq!(at(1_795_392_101), "Mon Nov 23 2026 00:01:41 GMT+0000 (Coordinated Universal Time)");
    }

    #[test]
    fn a_query_reads_as_in_node() {
        // capture 40: q1=v1&q2=a%2Cb&EIO=4&transport=websocket
        let parsed = query("q1=v1&q2=a%2Cb&q3=1&q3=2&q3=3&plus=a+b");
        let expected = serde_json::json!({"q1": "v1", "q2": "a,b", "q3": ["1", "2", "3"], "plus": "a b"});
        assert_eq!(Json::Object(parsed), expected);
    }
}
