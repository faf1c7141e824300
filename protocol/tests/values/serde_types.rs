//! Values and the types of an application.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use socketio_pg_protocol::{
    EncodeError, Value,
    value::{ValueError, to_msgpack},
};

use crate::fixtures::unhex;

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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Team {
    None,
    Solo(String),
    Pair(String, String),
    Club {
        name: String,
        #[serde(flatten)]
        rest: BTreeMap<String, i32>,
    },
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
    // Many values beside each other are not deep.
    check(vec![Vec::<i32>::new(); 300]);
    check(vec![Some(Team::Solo("s".into())); 300]);
    check(vec![Some(Team::Pair("p".into(), "q".into())); 300]);
    check(vec![Some(Team::Club { name: "c".into(), rest: BTreeMap::new() }); 300]);
    // Sequences and maps whose length is not known beforehand.
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

    // rmp-serde knows extensions; it reads a broken string as binary.
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
fn in_json_an_integral_float_is_an_integer() {
    let value = Value::Array(vec![Value::Float(3.0), Value::Float(-0.0), Value::Float32(2.0), Value::Float(0.5)]);
    assert_eq!(serde_json::to_string(&value).unwrap(), "[3,0,2,0.5]");
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
    let error = to_msgpack(&HashMap::from([((1, 2), 3)])).unwrap_err();
    assert!(matches!(&error, EncodeError::MessagePack(reason) if reason.contains("map key")), "{error}");
    assert!(Value::from_msgpack(&unhex("81a95f5f70726f746f5f5f01")).is_ok(), "__proto__ is a key like others");
}
