//! Strings that are not UTF-8. The expected values are what Node.js returned when the fuzz target
//! `node_msgpack` asked it.

use socketio_pg_protocol::{Value, value::to_msgpack};

/// A MessagePack `str` of more than 200 bytes, 255 at most.
fn long(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    bytes.resize(text.len() + 201, b'q');
    [&[0xd9, bytes.len() as u8], &*bytes].concat()
}

#[test]
fn a_key_of_garbage_is_the_key_that_it_spells() {
    // c0 b5 is a `5` in two bytes
    let index = Value::from_msgpack(b"\x82\xa1a\x00\xa2\xc0\xb5\x01").unwrap();
    assert_eq!(index.to_json(), r#"{"5":1,"a":0}"#, "an index comes first");
    let twice = Value::from_msgpack(b"\x82\xa15\x00\xa2\xc0\xb5\x01").unwrap();
    assert_eq!(twice.to_json(), r#"{"5":1}"#, "each key is there once");
    let surrogate = Value::from_msgpack(b"\x82\xa3\xed\xa0\x80\x00\xa4\xf0\x8d\xa0\x80\x01").unwrap();
    assert_eq!(surrogate.to_json(), r#"{"\ud800":1}"#, "however it is spelled");
}

#[test]
fn a_long_string_is_read_as_text_decoder_reads_it() {
    let broken = Value::from_msgpack(&long(b"\xed\xa0\x80")).unwrap();
    assert!(broken.to_json().starts_with("\"\u{fffd}\u{fffd}\u{fffd}q"), "{broken}");
    let marked = Value::from_msgpack(&long("\u{feff}".as_bytes())).unwrap();
    assert!(marked.to_json().starts_with("\"q"), "a byte order mark is dropped: {marked}");
    let short = Value::from_msgpack(b"\xa4\xef\xbb\xbfx").unwrap();
    assert_eq!(short, Value::from("\u{feff}x"), "but not of a short string");
}

#[test]
fn lone_surrogates_of_a_long_string_survive_json_and_are_replaced_in_messagepack() {
    let text = format!(r#""\ud800{}""#, "q".repeat(201));
    let value = Value::from_json(&text).unwrap();
    assert_eq!(value.to_json(), text);
    assert_eq!(to_msgpack(&value).unwrap(), long("\u{fffd}".as_bytes()));
    let short = Value::from_json(r#""\ud800q""#).unwrap();
    assert_eq!(to_msgpack(&short).unwrap(), b"\xa4\xed\xa0\x80q");
}
