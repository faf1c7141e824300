//! JSON: its grammar, placeholders, buffers, keys that occur twice.

use serde_json::value::RawValue;
use socketio_pg_protocol::{DecodeErrorKind, Value};

use crate::fixtures::Random;

#[test]
fn json_is_accepted_where_serde_json_accepts_it() {
    let seeds = [
        r#"{"type":3,"data":{"packet":{"type":2,"data":["v",-1.5e+3,true,null,"a\u00e9\ud83d\ude00\n"]}}}"#,
        r#" [ 0 , -0.1 , "\\\"\/" , { } , [ ] , false ] "#,
        r#""x\ud800y\udc00""#,
    ];
    let mut random = Random::new();
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..30_000 {
        let mut text = seeds[round % seeds.len()].to_owned();
        for _ in 0..random.below(4) {
            let alphabet = br#"[]{}",:\u0123459deDE+-. truefalsn/"#;
            let position = random.below(text.len() + 1);
            let byte = char::from(alphabet[random.below(alphabet.len())]);
            if position < text.len() && random.below(2) == 0 {
                text.replace_range(position..=position, &byte.to_string());
            } else {
                text.insert(position, byte);
            }
        }
        let ours = Value::from_json(&text);
        let theirs = serde_json::from_str::<&RawValue>(&text);
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{text}: {ours:?}, {theirs:?}");
        match ours {
            Ok(value) => {
                accepted += 1;
                assert_eq!(Value::from_json(&value.to_json()).unwrap().to_json(), value.to_json(), "{text}");
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), DecodeErrorKind::Json, "{text}");
            }
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
}

#[test]
fn errors_in_json_say_where() {
    for (text, reason) in [
        ("", "the text ends where a value is expected at byte 0"),
        ("[1,]", "no value begins with this character at byte 3"),
        ("{\"a\":1,}", "a key expected at byte 7"),
        ("\"a\n\"", "a control character that is not escaped at byte 2"),
        (r#""\u12""#, r"four hexadecimal digits expected after `\u` at byte 1"),
        ("01", "the value is followed by other text at byte 1"),
    ] {
        let error = Value::from_json(text).unwrap_err();
        assert!(error.to_string().ends_with(reason), "{text}: {error}");
    }
}

#[test]
fn placeholders_are_numbered_depth_first_and_put_back() {
    let bin = |byte| Value::Bin(vec![byte]);
    let value = Value::Array(vec![
        "event".into(),
        Value::Map(vec![("b".into(), bin(0)), ("a".into(), Value::Array(vec![bin(1), Value::Ext(5, vec![2])]))]),
        bin(3),
    ]);
    let (text, attachments) = value.to_json_with_attachments();
    assert_eq!(
        text,
        concat!(
            r#"["event",{"b":{"_placeholder":true,"num":0},"a":[{"_placeholder":true,"num":1},"#,
            r#"{"type":5,"data":{"_placeholder":true,"num":2}}]},{"_placeholder":true,"num":3}]"#
        )
    );
    assert_eq!(attachments, [[0], [1], [2], [3]]);
    let again = Value::from_json_with_attachments(&text, &attachments).unwrap();
    assert_eq!(again.to_json_with_attachments(), (text.clone(), attachments));
    assert!(again.has_binary());
    assert!(!Value::from_json(&text).unwrap().has_binary(), "without attachments a placeholder is an object");
}

#[test]
fn a_placeholder_without_its_attachment_is_an_error() {
    for number in ["1", "-1", "0.5", "\"0\"", "null", "1e300"] {
        let text = format!(r#"["e",{{"_placeholder":true,"num":{number}}}]"#);
        let error = Value::from_json_with_attachments(&text, &[[1]]).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::Shape, "{text}: {error}");
    }
    let not_one = r#"["e",{"_placeholder":false,"num":7},{"num":8}]"#;
    assert!(Value::from_json_with_attachments(not_one, &[[1]]).is_ok());
}

#[test]
fn only_what_is_exactly_a_buffers_json_is_revived() {
    let revived = |text: &str| Value::from_json(text).unwrap().revive_buffers();
    assert_eq!(revived(r#"{"type":"Buffer","data":[0,255]}"#), Value::Bin(vec![0, 255]));
    assert_eq!(revived(r#"{"data":[1],"type":"Buffer"}"#), Value::Bin(vec![1]));
    for text in [
        r#"{"type":"Buffer","data":[256]}"#,
        r#"{"type":"Buffer","data":[1.5]}"#,
        r#"{"type":"Buffer","data":"x"}"#,
        r#"{"type":"Buffer","data":[1],"more":1}"#,
        r#"{"type":"buffer","data":[1]}"#,
        r#"{"type":"Buffer"}"#,
    ] {
        assert_eq!(revived(text).to_json(), text);
    }
}

#[test]
fn a_key_given_twice_has_its_last_value_in_the_place_of_the_first() {
    let value = Value::from_json(r#"{"a":1,"b":2,"a":3}"#).unwrap();
    assert_eq!(value, Value::Map(vec![("a".into(), Value::Int(3)), ("b".into(), Value::Int(2))]));
    let many: Vec<String> = (0..1000).map(|n| format!(r#""k{}":{n}"#, n % 500)).collect();
    let value = Value::from_json(&format!("{{{}}}", many.join(","))).unwrap();
    let Value::Map(entries) = &value else { panic!() };
    assert_eq!((entries.len(), value.get("k7"), &entries[7].0), (500, Some(&Value::Int(507)), &"k7".into()));
    // what MessagePack repeats is kept, and read by its last value
    let twice = Value::Map(vec![("a".into(), Value::Int(1)), ("a".into(), Value::Int(2))]);
    assert_eq!(twice.get("a"), Some(&Value::Int(2)));
}
