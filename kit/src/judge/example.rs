//! Right messages, to be shown beside wrong ones.

use serde_json::{Value, json};

/// The smallest right message of a type.
pub(super) fn message(kind: u64, uid: &str, nsp: &str, request: &str) -> String {
    let opts = json!({ "rooms": [], "except": [], "flags": {} });
    let data = match kind {
        3 => json!({ "packet": { "type": 2, "data": ["event", "argument"] }, "opts": opts }),
        4 | 5 => json!({ "opts": opts, "rooms": ["room"] }),
        6 => json!({ "opts": opts, "close": false }),
        7 => json!({ "opts": opts, "requestId": request }),
        8 => json!({ "requestId": request, "sockets": [] }),
        9 => json!({ "packet": ["event", "argument"] }),
        10 | 12 => json!({ "requestId": request, "packet": "acknowledgement" }),
        11 => json!({ "requestId": request, "clientCount": 0 }),
        _ => Value::Null,
    };
    let data = if data.is_null() { String::new() } else { format!(r#""data":{data},"#) };
    format!(r#"{{"type":{kind},{data}"uid":{},"nsp":{}}}"#, json!(uid), json!(nsp))
}
