//! The shape of a message's `data`, as a writer must produce it.

use socketio_pg_core::protocol::{MAX_ID_BYTES, Value};

use super::Rule;

/// What is wrong, and with which rule.
pub(super) type Wrong = (Rule, String);
type Checked = Result<(), Wrong>;

/// The rule about messages of a type.
pub(super) fn rule(kind: u64) -> Rule {
    match kind {
        3 => Rule::Broadcast,
        4 => Rule::Join,
        5 => Rule::Leave,
        6 => Rule::Disconnect,
        7 => Rule::FetchSockets,
        8 => Rule::Sockets,
        9 => Rule::ServerSideEmit,
        10 => Rule::ServerSideResponse,
        11 => Rule::ClientCount,
        12 => Rule::Acknowledgement,
        _ => Rule::Type,
    }
}

/// Checks the data of a message.
pub(super) fn check(kind: u64, data: Option<&Value>) -> Checked {
    if matches!(kind, 1 | 2 | 13) {
        return Ok(());
    }
    let rule = rule(kind);
    let data = data.filter(|data| matches!(data, Value::Map(_)));
    let data = data.ok_or_else(|| (rule, "`data` is not an object".to_owned()))?;
    let wrong = |text: &str| Err((rule, text.to_owned()));
    request_id(rule, data, matches!(kind, 7 | 8 | 10 | 11 | 12))?;
    if (3..=7).contains(&kind) {
        opts(rule, data.get("opts"))?;
    }
    match kind {
        3 => packet(data.get("packet")),
        4 | 5 if data.get("rooms").and_then(Value::as_array).is_none() => wrong("`rooms` is not an array"),
        6 if !matches!(data.get("close"), Some(Value::Bool(_))) => wrong("`close` is neither true nor false"),
        7 => match data.get("only").map(Value::as_str) {
            None | Some(Some("count" | "ids")) => Ok(()),
            _ => wrong("`only` is neither `count` nor `ids`"),
        },
        8 => sockets(data.get("sockets")).and_then(|()| brief(data)),
        9 => match data.get("packet").and_then(Value::as_array) {
            None => wrong("`packet` is not an array"),
            Some(packet) if !packet.first().is_some_and(is_name) => wrong("`packet` does not begin with the event"),
            Some(_) => Ok(()),
        },
        11 if !data.get("clientCount").is_some_and(is_count) => wrong("`clientCount` is not a number of sockets"),
        _ => Ok(()),
    }
}

fn request_id(rule: Rule, data: &Value, is_needed: bool) -> Checked {
    match data.get("requestId") {
        None if is_needed => Err((rule, "`requestId` is missing".to_owned())),
        None => Ok(()),
        Some(Value::Nil) => Err((Rule::Absent, "`requestId` is null".to_owned())),
        Some(id) => match id.as_str() {
            Some(id) if id.len() <= MAX_ID_BYTES => Ok(()),
            Some(_) => Err((rule, format!("`requestId` has more than {MAX_ID_BYTES} bytes"))),
            None => Err((rule, "`requestId` is not a string".to_owned())),
        },
    }
}

fn opts(rule: Rule, opts: Option<&Value>) -> Checked {
    let opts = opts.filter(|opts| matches!(opts, Value::Map(_)));
    let opts = opts.ok_or_else(|| (rule, "`opts` is not an object".to_owned()))?;
    let wrong = |text: String| Err((Rule::Flags, text));
    for key in ["rooms", "except"] {
        if opts.get(key).and_then(Value::as_array).is_none() {
            return wrong(format!("`opts.{key}` is not an array"));
        }
    }
    let Some(flags) = opts.get("flags") else { return Ok(()) };
    if !matches!(flags, Value::Map(_)) {
        return wrong("`opts.flags` is not an object".to_owned());
    }
    for flag in ["volatile", "compress", "expectSingleResponse"] {
        if !matches!(flags.get(flag), None | Some(Value::Bool(_))) {
            return wrong(format!("the flag `{flag}` is not a boolean"));
        }
    }
    if flags.get("timeout").is_some_and(|timeout| number(timeout).is_none()) {
        return wrong("the flag `timeout` is not a number of milliseconds".to_owned());
    }
    if matches!(flags.get("local"), Some(Value::Bool(true))) {
        return wrong("a local event is not published".to_owned());
    }
    Ok(())
}

fn packet(packet: Option<&Value>) -> Checked {
    let wrong = |text: &str| Err((Rule::Broadcast, text.to_owned()));
    let Some(packet) = packet.filter(|packet| matches!(packet, Value::Map(_))) else {
        return wrong("`packet` is not an object");
    };
    if packet.get("type").and_then(number) != Some(2.0) {
        return wrong("`packet.type` is not 2: clients disconnect");
    }
    match packet.get("data").and_then(Value::as_array) {
        None => wrong("`packet.data` is not an array"),
        Some(data) if !data.first().is_some_and(is_name) => wrong("`packet.data` does not begin with the event"),
        Some(_) => Ok(()),
    }
}

const HANDSHAKE: [&str; 9] = ["headers", "time", "address", "xdomain", "secure", "issued", "url", "query", "auth"];

fn sockets(sockets: Option<&Value>) -> Checked {
    let wrong = |text: &str| Err((Rule::Sockets, text.to_owned()));
    let Some(sockets) = sockets.and_then(Value::as_array) else { return wrong("`sockets` is not an array") };
    for socket in sockets {
        if !matches!(socket, Value::Map(_)) {
            return wrong("a socket is not an object");
        }
        if socket.get("id").and_then(Value::as_str).is_none_or(|id| id.len() > MAX_ID_BYTES) {
            return wrong("a socket has no `id`");
        }
        if socket.get("rooms").and_then(Value::as_array).is_none() {
            return wrong("a socket has no array of `rooms`");
        }
        let Some(handshake @ Value::Map(_)) = socket.get("handshake") else {
            return wrong("a socket has no `handshake`");
        };
        if let Some(key) = HANDSHAKE.into_iter().find(|key| handshake.get(key).is_none()) {
            return wrong(&format!("a `handshake` has no `{key}`"));
        }
        if socket.get("server").is_some() {
            return wrong("a socket has a key `server`, by which Node.js takes it for another kind of object");
        }
    }
    Ok(())
}

/// What stands beside `sockets` in a brief answer.
fn brief(data: &Value) -> Checked {
    let wrong = |text: &str| Err((Rule::Sockets, text.to_owned()));
    if data.get("count").is_some_and(|count| !is_count(count)) {
        return wrong("`count` is not a number of sockets");
    }
    let has_sockets = data.get("sockets").and_then(Value::as_array).is_some_and(|sockets| !sockets.is_empty());
    if has_sockets && let Some(key) = ["count", "ids"].into_iter().find(|key| data.get(key).is_some()) {
        return wrong(&format!("`{key}` stands in the place of `sockets`, which are there"));
    }
    let is_id = |id: &Value| id.as_str().is_some_and(|id| id.len() <= MAX_ID_BYTES);
    if data.get("ids").is_some_and(|ids| !ids.as_array().is_some_and(|ids| ids.iter().all(is_id))) {
        return wrong("`ids` is not an array of ids");
    }
    Ok(())
}

/// 2^53 - 1: all languages count up to it exactly.
const MAX_COUNT: f64 = 9_007_199_254_740_991.0;

/// Whether it can be how many sockets there are.
fn is_count(value: &Value) -> bool {
    number(value).is_some_and(|count| (0.0..=MAX_COUNT).contains(&count) && count.fract() == 0.0)
}

/// The names of events: strings, and numbers.
fn is_name(value: &Value) -> bool {
    matches!(value, Value::Str(_) | Value::BrokenStr(_)) || number(value).is_some()
}

pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Float32(_) => value.as_f64(),
        _ => None,
    }
}
