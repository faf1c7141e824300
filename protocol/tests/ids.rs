//! Ids that nodes keep are short: longer ones are refused, inline and in attachments.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use socketio_pg_protocol::{Message, Notification, value::Value, value::to_msgpack};

/// Messages with `$` where an id may stand.
const PLACES: [&str; 9] = [
    r#"{"type":2,"uid":"$","nsp":"/"}"#,
    r#"{"type":2,"uid":"a","nsp":"/","nonce":"$"}"#,
    r#"{"type":2,"uid":"a","nsp":"/","source":"_sio_adapter","requesterUid":"$"}"#,
    r#"{"type":2,"uid":"a","nsp":"/","source":"_sio_adapter","nodeId":"$"}"#,
    r#"{"type":7,"data":{"opts":{"rooms":[],"except":[]},"requestId":"$"},"uid":"a","nsp":"/"}"#,
    r#"{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":[],"except":[]},"requestId":"$"},"uid":"a"}"#,
    r#"{"type":9,"data":{"packet":["e"],"requestId":"$"},"uid":"a","nsp":"/"}"#,
    r#"{"type":12,"data":{"packet":1,"requestId":"$"},"uid":"a","nsp":"/"}"#,
    r#"{"type":8,"data":{"requestId":"r","sockets":[{"id":"$","handshake":{},"rooms":[]}]},"uid":"a","nsp":"/"}"#,
];

fn as_attachment(text: &str) -> Vec<u8> {
    to_msgpack(&Value::from_json(text).unwrap()).unwrap()
}

#[test]
fn an_id_of_256_bytes_is_read() {
    let longest = "é".repeat(128);
    for place in PLACES {
        let text = place.replace('$', &longest);
        Notification::decode(&text).unwrap();
        Message::from_msgpack(&as_attachment(&text)).unwrap();
    }
}

#[test]
fn a_longer_one_is_refused_wherever_it_stands() {
    for length in [257, 4 * 1024 * 1024] {
        let long = "x".repeat(length);
        for place in PLACES {
            let text = place.replace('$', &long);
            for error in [
                Notification::decode(&text).unwrap_err(),
                Message::from_json(&text).unwrap_err(),
                Message::from_msgpack(&as_attachment(&text)).unwrap_err(),
            ] {
                assert_eq!(error.kind().as_str(), "long-id", "{place}: {error}");
                assert!(error.to_string().len() < 200, "{error}");
            }
        }
        let header = format!(r#"{{"uid":"{long}","type":3,"attachmentId":"1"}}"#);
        assert_eq!(Notification::decode(&header).unwrap_err().kind().as_str(), "long-id");
    }
}

#[test]
fn a_namespace_may_be_longer() {
    let nsp = format!("/{}", "x".repeat(3000));
    Notification::decode(&format!(r#"{{"type":2,"uid":"a","nsp":"{nsp}"}}"#)).unwrap();
}
