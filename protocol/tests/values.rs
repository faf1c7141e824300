//! `Value` against what Node does with the same bytes: the captures of real clusters, and the tables in
//! `fixtures/javascript.json`.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_json::value::RawValue;
use socketio_pg_protocol::{
    DecodeErrorKind, EncodeError, Value,
    value::{ValueError, to_msgpack},
};

// ---------------------------------------------------------------------------------------------- captures

#[test]
fn every_captured_attachment_is_written_as_it_was_read() {
    let mut count = 0;
    for (scenario, attachment) in attachments() {
        let value = Value::from_msgpack(&attachment).unwrap_or_else(|error| panic!("{scenario}: {error}"));
        assert_eq!(to_msgpack(&value).unwrap(), attachment, "{scenario}");
        count += 1;
    }
    assert!(count >= 100, "only {count} attachments found");
}

#[test]
fn rmp_serde_writes_the_captured_attachments_too_but_for_lone_surrogates() {
    let known = ["71-values-msgpack/lone-high-surrogate", "71-values-msgpack/lone-low-surrogate"];
    let different: Vec<String> = attachments()
        .into_iter()
        .filter(|(_, attachment)| {
            rmp_serde::to_vec_named(&Value::from_msgpack(attachment).unwrap()).unwrap() != *attachment
        })
        .map(|(scenario, _)| scenario)
        .collect();
    assert_eq!(different, known);
}

#[test]
fn a_client_gets_the_frames_that_it_gets_from_node() {
    for scenario in ["15-broadcast-large-text", "17-broadcast-binary", "71-values-msgpack", "73-threshold-boundaries"] {
        let mut expected = frames_of_b1(scenario);
        for line in lines(scenario).into_iter().filter(|line| line.attachment_hex.is_some()) {
            let attachment = unhex(line.attachment_hex.as_deref().unwrap());
            let message = Value::from_msgpack(&attachment).unwrap();
            let event = message.get("data").and_then(|data| data.get("packet")?.get("data")).unwrap();
            if line.label() == "own-__proto__" {
                // Node's receiver throws at this key; ours does not
                assert!(!expected.contains_key("own-__proto__"), "Node reads the key __proto__ by now: compare it too");
                assert_eq!(frames(event)[0], Frame::text(r#"51-["v",{"__proto__":{"x":1},"y":2},{"_placeholder":true,"num":0}]"#));
                continue;
            }
            assert_eq!(Some(frames(event)), expected.remove(line.label()), "{}", line.scenario);
        }
        expected.retain(|label, _| !(scenario.starts_with("73") && lines(scenario).iter().any(|line| line.label() == label)));
        assert!(expected.is_empty(), "frames of {scenario} that no attachment led to: {expected:?}");
    }
}

#[test]
fn inline_data_read_as_a_tree_is_written_as_node_wrote_it() {
    for scenario in ["10-broadcast-plain", "11-broadcast-no-args", "70-values-json", "73-threshold-boundaries"] {
        let mut expected = frames_of_b1(scenario);
        let mut count = 0;
        for line in lines(scenario).into_iter().filter(|line| line.attachment_hex.is_none()) {
            let message: Inline = serde_json::from_str(&line.payload).unwrap();
            let value = Value::from_json(message.data.packet.data.get()).unwrap();
            // read without attachments a placeholder is no placeholder, and there is no binary
            assert_eq!(expected.remove(line.label()), Some(frames(&value)), "{}", line.scenario);
            count += 1;
        }
        assert!(count > 0, "{scenario}");
    }
}

#[test]
fn buffers_in_socket_data_are_revived() {
    let answers: Vec<Value> = lines("41-fetch-sockets-binary-and-large-data")
        .iter()
        .filter(|line| line.attachment_hex.is_none() && line.payload.starts_with(r#"{"type":8"#))
        .map(|line| Value::from_json(&line.payload).unwrap())
        .collect();
    assert!(answers.iter().all(|answer| !answer.has_binary()));
    let revived: Vec<Value> = answers.into_iter().map(Value::revive_buffers).collect();
    assert!(revived.iter().any(Value::has_binary));
    assert!(revived.iter().all(|answer| !answer.to_json_with_attachments().0.contains("Buffer")));
}

// ---------------------------------------------------------------------------------------------- javascript.json

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
        // a broken string has no equal in serde_json; binary is left to the format
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

// ---------------------------------------------------------------------------------------------- JSON

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

// ---------------------------------------------------------------------------------------------- serde

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Player {
    name: String,
    score: f64,
    level: u8,
    picture: ByteBuf,
    team: Option<Team>,
    seen: Vec<(i64, u64)>,
    friends: BTreeMap<u32, String>,
    address: std::net::IpAddr,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Team {
    None,
    Solo(String),
    Pair(String, String),
    Club { name: String, #[serde(flatten)] rest: BTreeMap<String, i32> },
}

fn player(team: Option<Team>) -> Player {
    Player {
        name: "Ada".into(),
        score: 2.0,
        level: 7,
        picture: ByteBuf::from([1, 2, 3]),
        team,
        seen: vec![(-1, u64::MAX)],
        friends: BTreeMap::from([(7, "Bea".into())]),
        address: "::1".parse().unwrap(),
    }
}

#[test]
fn types_of_an_application_survive_as_a_value_and_on_both_roads() {
    let teams = [
        None,
        Some(Team::None),
        Some(Team::Solo("a".into())),
        Some(Team::Pair("a".into(), "b".into())),
        Some(Team::Club { name: "c".into(), rest: BTreeMap::from([("x".into(), 1)]) }),
    ];
    for team in teams {
        let player = player(team);
        let value = Value::from_serialize(&player).unwrap();
        assert!(value.has_binary());
        assert_eq!(value.get("address").unwrap().as_str(), Some("::1"), "as in JSON");
        assert_eq!(Player::deserialize(value.clone()).unwrap(), player);

        let attachment = to_msgpack(&value).unwrap();
        assert_eq!(Player::deserialize(Value::from_msgpack(&attachment).unwrap()).unwrap(), player);

        // JSON spells integers beyond 2^53 as doubles, and keys as strings
        let (text, attachments) = value.to_json_with_attachments();
        let read = Value::from_json_with_attachments(&text, &attachments).unwrap();
        let read = Player::deserialize(read);
        assert!(read.is_err(), "18446744073709552000 is above u64::MAX");
        let smaller = Player { seen: vec![(-5, 1 << 60)], ..player };
        let value = Value::from_serialize(&smaller).unwrap();
        let (text, attachments) = value.to_json_with_attachments();
        let read = Value::from_json_with_attachments(&text, &attachments).unwrap();
        assert_eq!(Player::deserialize(read).unwrap(), smaller);
    }
}

#[test]
fn an_application_type_becomes_what_serde_json_makes_of_it() {
    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct Newtype(i8);
    fn check<T: Serialize>(data: T) {
        assert_eq!(Value::from_serialize(&data).unwrap().to_json(), serde_json::to_string(&data).unwrap());
    }
    check(());
    check(Unit);
    check(Newtype(-3));
    check(("a", 'é', 1.5, None::<i32>, Some(true)));
    check(Team::Club { name: "c".into(), rest: BTreeMap::from([("x".into(), 1)]) });
    check([Team::None, Team::Solo("s".into()), Team::Pair("p".into(), "q".into())]);
    check(BTreeMap::from([(1, "one"), (2, "two")]));
    check((i8::MIN, i16::MIN, i32::MIN, u8::MAX, u16::MAX, u32::MAX, 1_u128, -1_i128));
    check(std::net::Ipv4Addr::LOCALHOST);
    // sequences and maps whose length is not known beforehand
    check(Unsized(0));
    check(Unsized(40));
}

/// A sequence and a map that do not tell their lengths.
struct Unsized(u32);

impl Serialize for Unsized {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Inner(u32);
        impl Serialize for Inner {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                (0..self.0).try_for_each(|n| map.serialize_entry(&format!("k{n}"), &n))?;
                map.end()
            }
        }
        use serde::ser::SerializeSeq;
        let mut seq = serializer.serialize_seq(None)?;
        (0..self.0).try_for_each(|n| seq.serialize_element(&Inner(n)))?;
        seq.end()
    }
}

#[test]
fn dates_extensions_and_broken_strings_pass_through_a_type_intact() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Envelope {
        kind: i32,
        data: Value,
        more: Option<Value>,
        #[serde(flatten)]
        rest: HashMap<String, Value>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(i32),
        Other(Value),
    }
    let odd = Value::Array(vec![
        Value::Ext(-1, vec![0, 0, 0, 9]),
        Value::Ext(7, vec![1; 300]),
        Value::BrokenStr(b"x\xed\xa0\x80y".to_vec()),
        Value::Bin(vec![1, 2]),
        Value::Float32(0.1),
        Value::UInt(u64::MAX),
        Value::Map(vec![(Value::BrokenStr(vec![0xed, 0xb0, 0x80]), Value::Nil), (Value::Int(3), Value::Bool(true))]),
    ]);
    let envelope = Envelope {
        kind: 3,
        data: odd.clone(),
        more: Some(Value::Ext(-1, vec![0; 4])),
        rest: HashMap::from([("rest".into(), odd.clone())]),
    };
    let bytes = to_msgpack(&envelope).unwrap();
    assert_eq!(Envelope::deserialize(Value::from_msgpack(&bytes).unwrap()).unwrap(), envelope);
    assert_eq!(Value::deserialize(odd.clone()).unwrap(), odd);
    assert_eq!(Untagged::deserialize(odd.clone()).unwrap(), Untagged::Other(odd.clone()));

    // rmp-serde knows extensions; a broken string is binary to it
    let Value::Array(mut read) = rmp_serde::from_slice(&to_msgpack(&odd).unwrap()).unwrap() else { panic!() };
    read.pop();
    assert_eq!(read[..2], odd.as_array().unwrap()[..2]);
    assert_eq!(read[2], Value::Bin(b"x\xed\xa0\x80y".to_vec()));
}

#[test]
fn a_broken_string_can_be_read_as_a_string_or_as_bytes() {
    let broken = || Value::BrokenStr(b"x\xed\xa0\x80y".to_vec());
    assert_eq!(String::deserialize(broken()).unwrap(), "x\u{fffd}y");
    assert_eq!(serde_json::to_string(&broken()).unwrap(), "\"x\u{fffd}y\"");
    assert_eq!(Value::deserialize(broken()).unwrap(), broken());
}

#[test]
fn integers_may_be_written_as_floats() {
    assert_eq!(u8::deserialize(Value::Float(3.0)), Ok(3));
    assert_eq!(i64::deserialize(Value::Float32(-4.0)), Ok(-4));
    assert_eq!(u64::deserialize(Value::Float(1e19)), Ok(10_000_000_000_000_000_000));
    assert_eq!(f64::deserialize(Value::Int(3)), Ok(3.0));
    for (number, what) in [(3.5, "a fraction"), (-1.0, "negative"), (256.0, "too great"), (f64::NAN, "no number")] {
        assert!(u8::deserialize(Value::Float(number)).is_err(), "{what}");
    }
    assert!(u64::deserialize(Value::Float(1e20)).is_err());
}

#[test]
fn a_value_of_the_wrong_kind_is_an_error_that_names_it() {
    let error: ValueError = String::deserialize(Value::Int(3)).unwrap_err();
    assert_eq!(error.to_string(), "invalid type: integer `3`, expected a string");
    let error = Team::deserialize(Value::from("Chess")).unwrap_err();
    assert!(error.to_string().starts_with("unknown variant `Chess`"), "{error}");
    let error = <(i32, i32)>::deserialize(Value::Array(vec![Value::Int(1); 3])).unwrap_err();
    assert!(error.to_string().starts_with("invalid length 3"), "{error}");
}

#[test]
fn keys_that_no_javascript_object_has_are_refused() {
    for hex in ["81c001", "81c201", "819001", "818001", "81c40001", "81d6ff0000000001"] {
        let error = Value::from_msgpack(&unhex(hex)).unwrap_err();
        assert!(error.to_string().contains("neither a string nor a number at byte 1"), "{hex}: {error}");
    }
    let error = Value::from_serialize(&HashMap::from([((1, 2), 3)])).unwrap_err();
    assert!(matches!(error, EncodeError::MessagePack(_)), "{error}");
    assert!(Value::from_msgpack(&unhex("81a95f5f70726f746f5f5f01")).is_ok(), "__proto__ is a key like others");
}

// ---------------------------------------------------------------------------------------------- hostile input

#[test]
fn an_attachment_cut_short_or_continued_is_an_error() {
    for (scenario, attachment) in attachments() {
        // of the large ones, the ends: the middle of a 10 kB string is all alike
        let cuts = (0..attachment.len()).filter(|cut| *cut < 300 || attachment.len() - *cut < 300);
        for cut in cuts {
            let error = Value::from_msgpack(&attachment[..cut]).unwrap_err();
            assert!(error.to_string().contains("left at byte"), "{scenario} cut at {cut}: {error}");
        }
        let mut continued = attachment.clone();
        continued.push(0xc0);
        let error = Value::from_msgpack(&continued).unwrap_err();
        let expected = format!("the value is followed by 1 more bytes at byte {}", attachment.len());
        assert!(error.to_string().ends_with(&expected), "{scenario}: {error}");
    }
}

#[test]
fn garbage_is_read_without_a_panic() {
    let mut random = Random::new();
    let attachments: Vec<Vec<u8>> = attachments().into_iter().map(|(_, bytes)| bytes).filter(|bytes| bytes.len() < 1000).collect();
    let mut decoded = 0;
    for round in 0..20_000 {
        let mut bytes: Vec<u8> = if round % 2 == 0 {
            (0..random.below(64)).map(|_| random.below(256) as u8).collect()
        } else {
            attachments[random.below(attachments.len())].clone()
        };
        for _ in 0..random.below(4) {
            if !bytes.is_empty() {
                let position = random.below(bytes.len());
                bytes[position] = random.below(256) as u8;
            }
        }
        let Ok(value) = Value::from_msgpack(&bytes) else { continue };
        decoded += 1;
        // whatever was read can be written, in a form that is read as the same
        let written = to_msgpack(&value).unwrap();
        assert_eq!(to_msgpack(&Value::from_msgpack(&written).unwrap()).unwrap(), written);
        let (text, attachments) = value.to_json_with_attachments();
        assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "{text}");
        // unless it has placeholders of its own
        if !text.contains("_placeholder") || value.has_binary() {
            let _ = Value::from_json_with_attachments(&text, &attachments);
        }
        assert!(serde_json::to_string(&value).is_ok());
        let _ = Value::deserialize(value.clone()).unwrap();
        let _ = value.revive_buffers();
    }
    assert!(decoded > 1000, "only {decoded} were values");
}

#[test]
fn lengths_that_are_only_claimed_take_no_memory() {
    let before = peak_virtual_memory();
    for header in ["dd", "df", "db", "c6", "c9"] {
        let bytes = unhex(&format!("{header}ffffffff00"));
        let error = Value::from_msgpack(&bytes).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::MessagePack, "{header}: {error}");
    }
    // arrays within arrays and maps within maps, each claiming all the bytes that follow
    for unit in ["dd000f0000", "df000f000001"] {
        let mut bytes = unhex(&unit.repeat(120));
        bytes.resize(1 << 20, 0);
        assert!(Value::from_msgpack(&bytes).is_err());
        let error = Value::from_msgpack(&unhex(&unit.repeat(900))).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::TooDeep);
    }
    let taken = peak_virtual_memory() - before;
    assert!(taken < 1 << 20, "{taken} kB");
}

/// In kB, where the system tells. Address space counts, so that memory that is asked for and never touched does, too.
fn peak_virtual_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn deep_nesting_is_refused_on_a_small_stack() {
    on_a_small_stack(|| {
        let inputs = [vec![0x91; 100_000], [0x81, 0xa0].repeat(100_000), [0x92, 0xc0].repeat(100_000)];
        for bytes in inputs {
            assert_eq!(Value::from_msgpack(&bytes).unwrap_err().kind(), DecodeErrorKind::TooDeep);
        }
        for text in ["[".repeat(100_000), r#"{"":"#.repeat(100_000), "[0,".repeat(100_000)] {
            assert_eq!(Value::from_json(&text).unwrap_err().kind(), DecodeErrorKind::TooDeep);
        }
        let endless = (0..100_000).fold(Some(Box::new(Chain(None))), |next, _| Some(Box::new(Chain(next))));
        let endless = std::mem::ManuallyDrop::new(endless);
        assert!(matches!(to_msgpack(&*endless), Err(EncodeError::TooDeep(_))));
    });
}

#[derive(Serialize)]
enum Link {
    #[allow(dead_code)]
    Chain(Box<Chain>),
}

/// Nests a sequence in each link.
struct Chain(Option<Box<Chain>>);

impl Serialize for Chain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

#[test]
fn the_deepest_value_goes_every_way_on_a_small_stack() {
    on_a_small_stack(|| {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let text = format!("{}1{}", open.repeat(128), close.repeat(128));
            let value = Value::from_json(&text).unwrap();
            assert_eq!(value.to_json(), text);
            let bytes = to_msgpack(&value).unwrap();
            assert_eq!(Value::from_msgpack(&bytes).unwrap(), value);
            assert_eq!(Value::deserialize(value.clone()).unwrap(), value);
            assert_eq!(Value::from_serialize(&value).unwrap(), value);
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
            assert!(!value.has_binary());
            assert_eq!(value.clone().revive_buffers(), value);
            assert!(matches!(to_msgpack(&[value]), Err(EncodeError::TooDeep(_))));
        }
    });
}

/// As small as the stack of a tokio worker.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(test).unwrap().join().unwrap();
}

// ---------------------------------------------------------------------------------------------- fixtures

#[derive(Deserialize)]
struct Line {
    scenario: String,
    payload: String,
    attachment_hex: Option<String>,
}

impl Line {
    fn label(&self) -> &str {
        self.scenario.split_once('/').map_or("", |(_, label)| label)
    }
}

#[derive(Deserialize)]
struct Inline {
    data: InlineData,
}

#[derive(Deserialize)]
struct InlineData {
    packet: InlinePacket,
}

#[derive(Deserialize)]
struct InlinePacket {
    data: Box<RawValue>,
}

/// What a client gets, as text or as binary.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Frame {
    Text(String),
    Binary {
        #[serde(rename = "$binary_hex")]
        hex: String,
    },
}

impl Frame {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// The frames of an event in the main namespace.
fn frames(event: &Value) -> Vec<Frame> {
    let (text, attachments) = event.to_json_with_attachments();
    let head = if attachments.is_empty() { "2".into() } else { format!("5{}-", attachments.len()) };
    let binary = attachments.into_iter().map(|bytes| Frame::Binary { hex: to_hex(bytes) });
    std::iter::once(Frame::Text(head + &text)).chain(binary).collect()
}

/// What the client of the receiving node got, by label.
fn frames_of_b1(scenario: &str) -> HashMap<String, Vec<Frame>> {
    #[derive(Deserialize)]
    struct Observed {
        client_frames: Vec<ClientFrame>,
    }
    #[derive(Deserialize)]
    struct ClientFrame {
        client: String,
        data: Frame,
        #[serde(default)]
        label: Option<String>,
    }
    let observed: Observed = serde_json::from_str(&fixture(&format!("captures/{scenario}.observed.json"))).unwrap();
    let mut frames: HashMap<String, Vec<Frame>> = HashMap::new();
    for frame in observed.client_frames.into_iter().filter(|frame| frame.client == "b1") {
        frames.entry(frame.label.unwrap_or_default()).or_default().push(frame.data);
    }
    frames
}

fn lines(scenario: &str) -> Vec<Line> {
    fixture(&format!("captures/{scenario}.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All captured attachments, with their scenarios.
fn attachments() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(fixtures().join("captures")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "jsonl"))
        .flat_map(|file| lines(file.file_stem().unwrap().to_str().unwrap()))
        .filter_map(|line| Some((line.scenario, unhex(&line.attachment_hex?))))
        .collect()
}

#[derive(Deserialize)]
struct JavaScript {
    numbers: Vec<(String, String)>,
    msgpack: Vec<(String, String)>,
    json: Vec<(String, String)>,
}

fn javascript() -> JavaScript {
    serde_json::from_str(&fixture("javascript.json")).unwrap()
}

fn fixture(name: &str) -> String {
    fs::read_to_string(fixtures().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"))
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// splitmix64, from a seed that is printed when a test fails; `SEED=…` repeats it.
struct Random(u64);

impl Random {
    fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
        println!("SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}
