//! The handshake of a client, in the form in which Node.js describes its own sockets.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, header, request::Parts};
use socketio_pg_protocol::{Payload, Value, message::Handshake};
use socketioxide::{adapter::Adapter, extract::SocketRef, handler::FromConnectParts, socket::Socket};

use crate::socketio::packet;

/// How deep the `auth` and the data of a socket may be. Readers of an attachment go 128 levels deep,
/// and five levels stand around it there: one socket that is deeper would make the description of all
/// unreadable.
pub(crate) const MAX_LEVELS: usize = 100;

/// Node.js refuses a MessagePack text with this key, and so all that is described beside it.
const REFUSED_KEY: &str = "__proto__";

/// What the application knows of a connection but socketioxide does not: insert it into the
/// socket's extensions for other nodes to see in the socket's handshake. [`record_handshake`] does
/// so for `auth`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConnectInfo {
    /// What the client gave as `auth`. A value that is not an object, or is more than 100 levels
    /// deep, is sent as `{}`: Node.js's applications rely on an object. Keys `__proto__` are left
    /// out, as Node.js reads no message that has one.
    pub auth: Option<Value>,
    /// The client's address. Without it, the function given to
    /// [`Cluster::attach_with_address`](crate::Cluster::attach_with_address) finds it.
    pub address: Option<IpAddr>,
    /// Whether the transport is encrypted at this server.
    pub secure: bool,
}

impl ConnectInfo {
    /// Sets [`ConnectInfo::auth`].
    #[must_use]
    pub fn auth(mut self, auth: Value) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Sets [`ConnectInfo::address`].
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Sets [`ConnectInfo::secure`].
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }
}

/// Records how a client connected, for other nodes to see in the handshake of its socket: `auth`,
/// `time` and `issued`, which socketioxide does not keep. It is a connect middleware. Without it
/// `auth` is empty and `issued` is the time of the first request for the socket.
///
/// Like Node.js, it refuses a client whose `auth` is not an object. Node.js closes the connection,
/// here the client gets a `connect_error`. It also refuses one whose `auth` is more than 100 levels
/// deep: other nodes could not read the descriptions of this server's sockets.
///
/// ```
/// # use socketio_pg_core::record_handshake;
/// use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler};
///
/// async fn on_connect(socket: SocketRef) {}
///
/// let (layer, io) = SocketIo::new_layer();
/// io.ns("/", on_connect.with(record_handshake));
/// ```
///
/// # Errors
/// [`InvalidAuth`], which socketioxide reports to the client.
#[doc(alias("handshake", "auth"))]
pub async fn record_handshake<A: Adapter>(socket: SocketRef<A>, auth: Auth) -> Result<(), InvalidAuth> {
    let info = socket.extensions.get::<ConnectInfo>().unwrap_or_default();
    socket.extensions.insert(ConnectInfo { auth: auth.0?, ..info });
    socket.extensions.insert(Issued(SystemTime::now()));
    Ok(())
}

/// The `auth` of a client that connects: an extractor, for [`record_handshake`].
///
/// socketioxide's own `Data` refuses lone surrogates, which JavaScript's strings may have.
#[derive(Debug)]
pub struct Auth(Result<Option<Value>, InvalidAuth>);

/// The `auth` of a client is not an object, or more than 100 levels deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid payload")]
#[non_exhaustive]
pub struct InvalidAuth;

impl<A: Adapter> FromConnectParts<A> for Auth {
    type Error = Infallible;

    fn from_connect_parts(_: &Arc<Socket<A>>, auth: &Option<socketioxide_core::Value>) -> Result<Self, Infallible> {
        let Some(auth) = auth else { return Ok(Self(Ok(None))) };
        Ok(Self(match packet::value(auth) {
            Ok(object @ Value::Map(_)) if !is_too_deep(&object) => Ok(Some(object)),
            // The msgpack parser of socketioxide returns `undefined` as `null`.
            Ok(Value::Nil) if matches!(auth, socketioxide_core::Value::Bytes(_)) => Ok(None),
            _ => Err(InvalidAuth),
        }))
    }
}

/// When a socket connected, or, if that is not known, when it was first described.
#[derive(Clone, Copy)]
struct Issued(SystemTime);

/// Whether [`record_handshake`] has seen the socket.
pub(crate) fn is_recorded<A: Adapter>(socket: &SocketRef<A>) -> bool {
    socket.extensions.get::<Issued>().is_some()
}

/// The address that a server gives to its service by default.
pub(crate) fn plain_address(request: &Parts) -> Option<IpAddr> {
    let with_port = request.extensions.get::<SocketAddr>().map(SocketAddr::ip);
    with_port.or_else(|| request.extensions.get::<IpAddr>().copied())
}

/// Describes how a client connected, with keys in the order in which Node.js has them.
pub(crate) fn write<A: Adapter>(socket: &SocketRef<A>, address: impl Fn(&Parts) -> Option<IpAddr>) -> Option<Payload> {
    let request = socket.req_parts();
    let info = socket.extensions.get::<ConnectInfo>().unwrap_or_default();
    let Issued(issued) = socket.extensions.get().unwrap_or_else(|| {
        let now = Issued(SystemTime::now());
        socket.extensions.insert(now);
        now
    });
    let address = info.address.or_else(|| address(request)).map(|address| address.to_string());
    let auth = info.auth.filter(|auth| matches!(auth, Value::Map(_)) && !is_too_deep(auth)).map(describable);
    let entries = [
        ("headers", headers(&request.headers)),
        ("time", javascript_date(issued).into()),
        ("address", address.unwrap_or_default().into()),
        ("xdomain", request.headers.contains_key(header::ORIGIN).into()),
        ("secure", info.secure.into()),
        ("issued", i64::try_from(since_epoch(issued).as_millis()).unwrap_or(i64::MAX).into()),
        ("url", request.uri.to_string().into()),
        ("query", query(request.uri.query().unwrap_or_default())),
        ("auth", auth.unwrap_or_else(|| Value::Map(Vec::new()))),
    ];
    let entries = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
    // As text, because JSON text can contain JavaScript's lone surrogates.
    Payload::from_json(Value::Map(entries).to_json()).ok()
}

/// Reads the handshake that a node sent, through JSON, as Node.js's applications see it: a date is
/// text then.
pub(crate) fn read(handshake: Payload) -> Option<Handshake> {
    let value = handshake.into_value().ok()?;
    let exact = serde_json::from_str(&value.to_json());
    // Lone surrogates become U+FFFD.
    exact.or_else(|_| serde_json::from_str(&serde_json::to_string(&value)?)).ok()
}

/// Whether a value is too deep to be described.
pub(crate) fn is_too_deep(value: &Value) -> bool {
    is_deeper(value, MAX_LEVELS)
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    let is_inner_deeper = |inner: &Value| is_deeper(inner, levels.saturating_sub(1));
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(is_inner_deeper),
        Value::Map(entries) => levels == 0 || entries.iter().any(|(_, inner)| is_inner_deeper(inner)),
        _ => false,
    }
}

/// Whether a value has a key for which Node.js refuses it.
pub(crate) fn has_refused_key(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_refused_key),
        Value::Map(entries) => {
            entries.iter().any(|(key, inner)| key.as_str() == Some(REFUSED_KEY) || has_refused_key(inner))
        }
        _ => false,
    }
}

/// A value without those keys.
pub(crate) fn describable(mut value: Value) -> Value {
    remove_refused_keys(&mut value);
    value
}

fn remove_refused_keys(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove_refused_keys),
        Value::Map(entries) => {
            entries.retain(|(key, _)| key.as_str() != Some(REFUSED_KEY));
            entries.iter_mut().for_each(|(_, inner)| remove_refused_keys(inner));
        }
        _ => {}
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Of these headers, Node.js takes only the first where a request has several.
const SINGLE: [&str; 18] = [
    "age",
    "authorization",
    "content-length",
    "content-type",
    "etag",
    "expires",
    "from",
    "host",
    "if-modified-since",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "proxy-authorization",
    "referer",
    "retry-after",
    "server",
    "user-agent",
];

/// Headers as Node.js reads them: in the order of arrival, each byte a character of Latin-1.
fn headers(headers: &HeaderMap) -> Value {
    let text = |name: &HeaderName| {
        let mut values = headers.get_all(name).into_iter().map(|value| {
            let bytes = value.as_bytes().iter();
            bytes.map(|byte| char::from(*byte)).collect::<String>()
        });
        if SINGLE.contains(&name.as_str()) {
            return values.next().unwrap_or_default();
        }
        let separator = if name == header::COOKIE { "; " } else { ", " };
        values.collect::<Vec<_>>().join(separator)
    };
    let names = headers.keys().filter(|name| name.as_str() != REFUSED_KEY);
    Value::Map(names.map(|name| (name.as_str().into(), text(name).into())).collect())
}

/// A query as engine.io reads it: of a key that comes several times, the last value in the first
/// place.
fn query(text: &str) -> Value {
    let mut query: Vec<(Value, Value)> = Vec::new();
    // A client may send thousands of keys.
    let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
    for (key, value) in form_urlencoded::parse(text.as_bytes()).filter(|(key, _)| key != REFUSED_KEY) {
        let value = Value::from(&*value);
        match places.entry(key) {
            Entry::Occupied(place) => query[*place.get()].1 = value,
            Entry::Vacant(place) => {
                query.push((Value::from(&**place.key()), value));
                place.insert(query.len() - 1);
            }
        }
    }
    Value::Map(query)
}

/// `Date.prototype.toString` in UTC:
/// `Mon Nov 23 2026 00:01:41 GMT+0000 (Coordinated Universal Time)`.
fn javascript_date(time: SystemTime) -> String {
    let time: DateTime<Utc> = time.into();
    time.format("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)").to_string()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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
        // Seen with engine.io 6.6.12: `&e=1&e=2&b=3&e=4`.
        let parsed = query("EIO=4&q2=a%2Cb&e=1&e=2&b=3&e=4&plus=a+b");
        assert_eq!(parsed.to_json(), r#"{"EIO":"4","q2":"a,b","e":"4","b":"3","plus":"a b"}"#);
    }

    #[test]
    fn what_makes_node_refuse_a_description_is_left_out() {
        assert_eq!(query("a=1&__proto__=2&__proto_=3").to_json(), r#"{"a":"1","__proto_":"3"}"#);
        let mut sent = HeaderMap::new();
        for name in ["__proto__", "a"] {
            sent.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        assert_eq!(headers(&sent).to_json(), r#"{"a":"1"}"#);
        let nested = Value::from_json(r#"{"__proto__":1,"list":[{"__proto__":{},"b":2}]}"#).expect("it is JSON");
        assert!(has_refused_key(&nested));
        let nested = describable(nested);
        assert!(!has_refused_key(&nested));
        assert_eq!(nested.to_json(), r#"{"list":[{"b":2}]}"#);
    }

    #[test]
    fn headers_read_as_in_node() {
        let mut sent = HeaderMap::new();
        for (name, value) in [
            ("host", &b"example"[..]),
            ("x-latin", b"caf\xe9"),
            ("x-many", b"1"),
            ("cookie", b"a=1"),
            ("authorization", b"first"),
            ("x-many", b"2"),
            ("cookie", b"b=2"),
            ("authorization", b"second"),
            ("a-last", b"1"),
        ] {
            sent.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).expect("it is a value"));
        }
        // Seen with Node.js 20.
        let expected = r#"{"host":"example","x-latin":"café","x-many":"1, 2","cookie":"a=1; b=2","authorization":"first","a-last":"1"}"#;
        assert_eq!(headers(&sent).to_json(), expected);
    }
}
