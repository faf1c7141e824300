//! What the page and the servers tell each other: the names of events and features, and the form of
//! a socket. The judge is `@socket.io/admin-ui` 0.5.1.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use socketio_pg_core::{
    ClusterSocket,
    protocol::{Payload, Value, message::Handshake},
    room_number,
};

use crate::options::AdminOptions;

pub(crate) const SESSION: &str = "session";
pub(crate) const CONFIG: &str = "config";
pub(crate) const SERVER_STATS: &str = "server_stats";
pub(crate) const ALL_SOCKETS: &str = "all_sockets";
pub(crate) const SOCKET_CONNECTED: &str = "socket_connected";
pub(crate) const SOCKET_UPDATED: &str = "socket_updated";
pub(crate) const SOCKET_DISCONNECTED: &str = "socket_disconnected";
pub(crate) const ROOM_JOINED: &str = "room_joined";
pub(crate) const ROOM_LEFT: &str = "room_left";

/// The key in a socket's data under which a server tells the client.
const ADMIN_KEY: &str = "_admin";

/// What the page may offer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    supported_features: Vec<&'static str>,
}

impl Config {
    pub(crate) fn new(options: &AdminOptions) -> Self {
        let mut supported_features = Vec::new();
        if !options.read_only {
            supported_features.extend(["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"]);
        }
        supported_features.push("AGGREGATED_EVENTS");
        if options.mode == crate::options::Mode::Development {
            supported_features.push("ALL_EVENTS");
        }
        Self { supported_features }
    }
}

/// A socket, as the page shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdminSocket {
    id: String,
    /// `None` for a socket of a server that is not instrumented, as `transport`.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<String>,
    nsp: String,
    pub(crate) data: Payload,
    handshake: AdminHandshake,
    rooms: Vec<Value>,
    /// The rooms as this process names them.
    #[serde(skip)]
    pub(crate) room_names: BTreeSet<String>,
}

/// How a client connected, without `auth`, which may hold secrets.
#[derive(Debug, Serialize)]
struct AdminHandshake {
    address: String,
    headers: BTreeMap<String, Json>,
    query: Map<String, Json>,
    issued: u64,
    secure: bool,
    time: String,
    url: String,
    xdomain: bool,
}

impl AdminSocket {
    pub(crate) fn new(namespace: &str, socket: ClusterSocket) -> Self {
        let (data, client_id, transport) = split_data(socket.data);
        Self {
            id: socket.id.to_string(),
            client_id,
            transport,
            nsp: namespace.to_owned(),
            data,
            handshake: AdminHandshake::new(socket.handshake),
            rooms: socket.rooms.iter().map(|name| room(name)).collect(),
            room_names: socket.rooms.into_iter().collect(),
        }
    }
}

impl AdminHandshake {
    /// Behind a proxy, the page shows the address that the proxy names, as in Node.js.
    fn new(handshake: Handshake) -> Self {
        let named = |name: &str| handshake.headers.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        let address = named("cf-connecting-ip").or_else(|| named("x-forwarded-for")).unwrap_or(&handshake.address);
        Self {
            address: address.to_owned(),
            headers: handshake.headers,
            query: handshake.query,
            issued: handshake.issued,
            secure: handshake.secure,
            time: handshake.time,
            url: handshake.url,
            xdomain: handshake.xdomain,
        }
    }
}

/// The data of the application, and what the server added to it: client and transport.
fn split_data(data: Option<Payload>) -> (Payload, Option<String>, Option<String>) {
    let value = data.map(Payload::into_value);
    let Some(Ok(Value::Map(mut entries))) = value else {
        let other = match value {
            Some(Ok(other)) => other,
            _ => Value::Map(Vec::new()),
        };
        return (Payload::Value(other), None, None);
    };
    let at = entries.iter().position(|(key, _)| key.as_str() == Some(ADMIN_KEY));
    let of_server = at.map(|at| entries.remove(at).1);
    let text = |key: &str| Some(of_server.as_ref()?.get(key)?.as_str()?.to_owned());
    (Payload::Value(Value::Map(entries)), text("clientId"), text("transport"))
}

/// The name of a room as Node.js has it: a number, or a string.
pub(crate) fn room(name: &str) -> Value {
    room_number(name).map_or_else(|| name.into(), Value::from)
}

/// The time at which something happens.
pub(crate) fn now() -> Value {
    timestamp(SystemTime::now().into())
}

/// A time in the form in which JavaScript writes a `Date` as JSON.
fn timestamp(time: DateTime<Utc>) -> Value {
    time.to_rfc3339_opts(SecondsFormat::Millis, true).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use socketio_pg_core::number_room;

    use super::*;

    fn json_of(value: &impl Serialize) -> Json {
        serde_json::to_value(value).expect("it can be written")
    }

    #[test]
    fn data_is_divided_into_that_of_the_application_and_that_of_the_server() {
        let data = r#"{"user":"ada","_admin":{"clientId":"abc","transport":"polling"}}"#;
        let (data, client, transport) = split_data(Payload::from_json(data).ok());
        assert_eq!((client.as_deref(), transport.as_deref()), (Some("abc"), Some("polling")));
        assert_eq!(json_of(&data), json!({ "user": "ada" }));

        for (sent, shown) in [
            (None, json!({})),
            (Some("null"), json!(null)),
            (Some("[1]"), json!([1])),
            (Some(r#"{"_admin":7}"#), json!({})),
            (Some(r#"{"_admin":{"clientId":7}}"#), json!({})),
        ] {
            let (data, client, transport) = split_data(sent.and_then(|text| Payload::from_json(text).ok()));
            assert_eq!((json_of(&data), client, transport), (shown, None, None));
        }
    }

    #[test]
    fn a_room_that_is_named_by_a_number_is_a_number() {
        assert_eq!(json_of(&room(&number_room(42))), json!(42));
        assert_eq!(json_of(&room("42")), json!("42"));
    }

    #[test]
    fn a_proxy_names_the_address() {
        let shown = |headers: Json| {
            let headers = serde_json::from_value(headers).expect("they are headers");
            let handshake = Handshake { headers, address: "10.0.0.1".to_owned(), ..Handshake::default() };
            AdminHandshake::new(handshake).address
        };
        assert_eq!(shown(json!({})), "10.0.0.1");
        assert_eq!(shown(json!({ "x-forwarded-for": "" })), "10.0.0.1");
        assert_eq!(shown(json!({ "x-forwarded-for": "192.0.2.1" })), "192.0.2.1");
        assert_eq!(shown(json!({ "x-forwarded-for": "192.0.2.1", "cf-connecting-ip": "192.0.2.2" })), "192.0.2.2");
    }

    #[test]
    fn a_time_reads_as_in_javascript() {
        let time = DateTime::from_timestamp_millis(1_795_392_101_185).expect("it is a time");
        assert_eq!(timestamp(time).as_str(), Some("2026-11-23T00:01:41.185Z"));
    }
}
