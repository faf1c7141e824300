//! Tables that were written by JavaScript itself: see `fixtures/javascript.mjs`.

use serde::Deserialize;
use socketio_pg_protocol::{Value, value::to_msgpack};

use crate::fixtures::{fixture, to_hex, unhex};

#[test]
fn numbers_are_spelled_as_javascript_spells_them() {
    let table = javascript().numbers;
    assert!(table.len() > 300);
    for (bits, text) in table {
        let number = f64::from_be_bytes(unhex(&bits).try_into().unwrap());
        let expected = if number.is_finite() { text.as_str() } else { "null" };
        assert_eq!(Value::Float(number).to_json(), expected, "{bits}");
        assert_eq!(Value::Map(vec![(Value::Float(number), Value::Nil)]).to_json(), format!(r#"{{"{text}":null}}"#));
        if number.is_finite() {
            assert_eq!(Value::from_json(&text).unwrap().as_f64(), Some(number), "{text}");
        }
    }
}

#[test]
fn of_two_shortest_texts_of_a_number_the_even_one_is_taken() {
    for (number, text) in [(f64::from(f32::from_bits(0x3dcc_a200)), "0.09991836547851562"), (5e-324, "5e-324")] {
        assert_eq!(Value::Float(number).to_json(), text);
    }
}

#[test]
fn json_of_messagepack_is_what_node_stringifies() {
    let table = javascript().msgpack;
    assert!(table.len() > 100);
    for (hex, json) in table {
        let bytes = unhex(&hex);
        let value = Value::from_msgpack(&bytes).unwrap_or_else(|error| panic!("{hex}: {error}"));
        assert_eq!(value.to_json(), json, "{hex}");
        assert_eq!(value.to_string(), json, "{hex}");
        assert_eq!(Value::from_msgpack(&to_msgpack(&value).unwrap()).unwrap().to_json(), json, "{hex} written again");
    }
}

#[test]
fn serde_json_writes_what_node_stringifies() {
    for (hex, json) in javascript().msgpack {
        let value = Value::from_msgpack(&unhex(&hex)).unwrap();
        // serde_json has no equal for a broken string; binary is left to the format.
        if json.contains("\\ud") || value.has_binary() || json.len() > 250 {
            continue;
        }
        let expected: serde_json::Value = serde_json::from_str(&json).unwrap();
        let written: serde_json::Value = serde_json::from_str(&serde_json::to_string(&value).unwrap()).unwrap();
        assert!(same_json(&written, &expected), "{hex}: {written} is not {expected}");
    }
}

#[test]
fn messagepack_of_json_is_what_node_encodes() {
    let table = javascript().json;
    assert!(table.len() > 100);
    for (text, hex) in table {
        let value = Value::from_json(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(to_hex(&to_msgpack(&value).unwrap()), hex, "{text}");
    }
}

#[test]
fn dates_are_written_as_node_writes_them() {
    for (millis, hex) in javascript().dates {
        let date = Value::from_date_millis(millis);
        assert_eq!(to_hex(&to_msgpack(&date).unwrap()), hex, "{millis}");
        assert_eq!(date.as_date_millis(), Some(millis));
    }
}

#[derive(Deserialize)]
struct JavaScript {
    numbers: Vec<(String, String)>,
    msgpack: Vec<(String, String)>,
    json: Vec<(String, String)>,
    dates: Vec<(i64, String)>,
}

fn javascript() -> JavaScript {
    serde_json::from_str(&fixture("javascript.json")).unwrap()
}

/// Equal, with numbers compared as numbers.
fn same_json(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (a, b) {
        (Number(a), Number(b)) => a.as_f64() == b.as_f64(),
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b)),
        (Object(a), Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_json(a, b)))
        }
        _ => a == b,
    }
}
