//! Properties of all messages, values, names of channels and lives of a node.
//!
//! proptest prints the input that a property fails with, made as small as it can be, and keeps its
//! seed in a file beside this one (`proptest-regressions`), from where the case is repeated first.
//! `PROPTEST_CASES=10000` looks longer.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

#[path = "properties/cluster.rs"]
mod cluster;
mod documents;
mod mutations;
#[path = "properties/schemas.rs"]
mod schemas;

use proptest::{prelude::*, test_runner::FileFailurePersistence};
use socketio_pg_protocol::{
    Body, Message, Notification, Value,
    budget::{Budget, MAX_PAYLOAD},
    channel,
    message::{KeyOrder, Selector},
    notification::{Encoded, Header},
    strategies,
    value::to_msgpack,
};

/// Keeps what failed beside the source.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_message_survives_json(message in strategies::message(strategies::json())) {
        let text = message.to_json().unwrap();
        let read = Message::from_json(&text).unwrap();
        prop_assert_eq!(&read, &message);
        prop_assert_eq!(read.to_json().unwrap(), text.as_str());
        prop_assert_eq!(Message::from_json_borrowed(&text).unwrap().to_owned().into_owned(), message);
    }

    #[test]
    fn a_message_survives_messagepack(message in strategies::message(strategies::data())) {
        let bytes = message.clone().into_msgpack().unwrap();
        let read = Message::from_msgpack(&bytes).unwrap();
        // not compared as values: NaN is equal to nothing
        prop_assert_eq!(format!("{:?}", with_values(read.clone())), format!("{:?}", with_values(message)));
        prop_assert_eq!(read.into_msgpack().unwrap(), bytes);
    }

    #[test]
    fn both_encodings_tell_the_same(message in strategies::message(strategies::json())) {
        let by_json = Message::from_json(&message.to_json().unwrap()).unwrap();
        let by_msgpack = Message::from_msgpack(&message.into_msgpack().unwrap()).unwrap();
        prop_assert_eq!(&by_json, &by_msgpack);
        prop_assert_eq!(by_json.to_json().unwrap(), by_msgpack.to_json().unwrap());
    }

    #[test]
    fn the_order_of_keys_and_unknown_keys_do_not_matter_in_json(
        message in strategies::message(strategies::json()),
        seed in any::<u64>(),
    ) {
        let tree = Value::from_json(&message.to_json().unwrap()).unwrap();
        let scrambled = Scrambler(seed).message(tree).to_json();
        let read = Message::from_json(&scrambled).unwrap();
        prop_assert_eq!(without_order(read), without_order(message), "{}", scrambled);
    }

    #[test]
    fn the_order_of_keys_and_unknown_keys_do_not_matter_in_messagepack(
        message in strategies::message(strategies::json()),
        seed in any::<u64>(),
    ) {
        let tree = Value::from_msgpack(&message.clone().into_msgpack().unwrap()).unwrap();
        let scrambled = to_msgpack(&Scrambler(seed).message(tree)).unwrap();
        prop_assert_eq!(without_order(Message::from_msgpack(&scrambled).unwrap()), without_order(message));
    }

    #[test]
    fn a_message_of_an_unknown_type_passes_through(kind in 14..u64::MAX >> 11, data in prop::option::of(strategies::json())) {
        let body = Body::Unknown { kind, data: data.map(Into::into) };
        let message = Message::new("8f42b1c09d5e7a36".into(), "/", body);
        prop_assert_eq!(&Message::from_json(&message.to_json().unwrap()).unwrap(), &message);
        prop_assert_eq!(&Message::from_msgpack(&message.clone().into_msgpack().unwrap()).unwrap(), &message);
    }

    #[test]
    fn json_and_messagepack_agree_on_every_value(value in strategies::json()) {
        let text = value.to_json();
        prop_assert_eq!(&Value::from_json(&text).unwrap(), &value);
        let packed = Value::from_msgpack(&to_msgpack(&value).unwrap()).unwrap();
        prop_assert_eq!(&packed, &value);
        prop_assert_eq!(packed.to_json(), text);
    }

    #[test]
    fn any_data_survives_messagepack(value in strategies::data()) {
        let bytes = to_msgpack(&value).unwrap();
        let read = Value::from_msgpack(&bytes).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{value:?}"));
        prop_assert_eq!(to_msgpack(&read).unwrap(), bytes);
    }

    #[test]
    fn any_data_reaches_clients_as_json_with_its_binary_apart(value in strategies::data()) {
        let (text, attachments) = value.to_json_with_attachments();
        let read = Value::from_json_with_attachments(&text, &attachments).unwrap();
        prop_assert_eq!(read.to_json_with_attachments(), (text, attachments));
        prop_assert_eq!(Value::from_json(&value.to_json()).unwrap().to_json(), value.to_json());
    }

    #[test]
    fn the_budget_is_exact(threshold in prop_oneof![0..9000_usize, any::<usize>()], bytes in 0..10_000_usize) {
        let budget = Budget::new(threshold);
        for bytes in [bytes, threshold.saturating_sub(1), threshold, MAX_PAYLOAD, MAX_PAYLOAD + 1] {
            // the shortest message has more than 0 bytes
            let fits = bytes == 0 || (bytes < threshold && bytes <= MAX_PAYLOAD);
            prop_assert_eq!(budget.fits(bytes), fits, "{} of {}", bytes, threshold);
            prop_assert_eq!(bytes <= budget.max_inline(), fits);
        }
    }

    #[test]
    fn a_message_travels_inline_exactly_when_it_fits_and_has_no_binary(
        message in strategies::message(strategies::data()),
        to_spare in -2..=2_isize,
    ) {
        let json = message.to_json().unwrap();
        let budget = Budget::new(json.len().saturating_add_signed(to_spare));
        let is_inline = !message.body.has_binary() && to_spare > 0 && json.len() <= MAX_PAYLOAD;
        match message.clone().encode(budget).unwrap() {
            Encoded::Inline(payload) => {
                prop_assert!(is_inline);
                prop_assert_eq!(payload, json);
            }
            Encoded::Attachment { body, .. } => {
                prop_assert!(!is_inline);
                prop_assert_eq!(body, message.into_msgpack().unwrap());
            }
        }
    }

    #[test]
    fn a_message_with_binary_is_packed_exactly_when_it_fits(
        message in strategies::message(strategies::data()),
        threshold in prop_oneof![0..1000_usize, 7000..9000_usize],
    ) {
        let budget = Budget::new(threshold);
        let is_message = |payload: &str| {
            let Ok(Notification::Inline(read)) = Notification::decode(payload) else { return false };
            read.clone().into_msgpack().unwrap() == message.clone().into_msgpack().unwrap()
        };
        let written = message.clone().encode(budget.pack_binary(true)).unwrap();
        if !message.body.has_binary() {
            prop_assert_eq!(written, message.encode(budget).unwrap());
            return Ok(());
        }
        let Encoded::Inline(whole) = message.clone().encode(Budget::default().pack_binary(true)).unwrap() else {
            // It does not fit even where the most does.
            let is_attachment = matches!(written, Encoded::Attachment { .. });
            prop_assert!(is_attachment);
            return Ok(());
        };
        prop_assert!(whole.len() <= MAX_PAYLOAD && is_message(&whole), "{whole}");
        match written {
            Encoded::Inline(payload) => {
                prop_assert!(budget.fits(whole.len()));
                prop_assert_eq!(payload, whole);
            }
            Encoded::Attachment { .. } => {
                prop_assert!(!budget.fits(whole.len()));
                prop_assert_eq!(written, message.encode(budget).unwrap());
            }
        }
    }

    #[test]
    fn a_header_fits_and_tells_whose_message_is_where(
        mut message in strategies::message(strategies::json()),
        id in 1..=i64::MAX,
    ) {
        message.uid = Some("8f42b1c09d5e7a36".into());
        let (kind, nsp) = (message.body.kind(), message.nsp.clone());
        let Encoded::Attachment { before_id, after_id, .. } = message.encode(Budget::new(0)).unwrap() else {
            return Err(TestCaseError::fail("nothing fits into nothing"));
        };
        let payload = format!("{before_id}{id}{after_id}");
        prop_assert!(payload.len() <= MAX_PAYLOAD);
        let header = Header { uid: Some("8f42b1c09d5e7a36".into()), kind: Some(kind), nsp, attachment_id: id };
        prop_assert_eq!(Notification::decode(&payload).unwrap(), Notification::Attachment(header));
    }

    #[test]
    fn a_channel_is_the_beginning_of_its_full_name(prefix in "[a-zé😀#\"]{0,70}", namespace in strategies::namespace()) {
        let full = format!("{prefix}#{namespace}");
        let name = channel::name(&prefix, &namespace);
        prop_assert!(full.starts_with(&name));
        prop_assert!(name.len() <= channel::MAX_BYTES);
        if full.len() <= channel::MAX_BYTES {
            prop_assert_eq!(&name, &full);
            prop_assert_eq!(channel::namespace(&prefix, &name), Some(namespace.as_str()));
        } else {
            let next = full[name.len()..].chars().next().unwrap();
            prop_assert!(name.len() + next.len_utf8() > channel::MAX_BYTES, "no character more would have fitted");
        }
    }

    #[test]
    fn no_text_makes_the_decoder_panic(text in any::<String>(), at in any::<prop::sample::Index>(), message in strategies::message(strategies::json())) {
        _ = Notification::decode(&text);
        let mut json = message.to_json().unwrap();
        let at = json.floor_char_boundary(at.index(json.len()));
        json.truncate(at);
        _ = Notification::decode(&json);
        json.push_str(&text);
        _ = Notification::decode(&json);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        message in strategies::message(strategies::data()),
        garbage in prop::collection::vec(any::<u8>(), 0..20),
        at in any::<prop::sample::Index>(),
    ) {
        _ = Message::from_msgpack(&garbage);
        let mut bytes = message.into_msgpack().unwrap();
        let at = at.index(bytes.len());
        for (byte, other) in bytes[at..].iter_mut().zip(garbage) {
            *byte = other;
        }
        _ = Message::from_msgpack(&bytes);
        bytes.truncate(at);
        prop_assert!(Message::from_msgpack(&bytes).is_err(), "it is cut short");
    }
}

/// The message with all its data as trees, to compare what `PartialEq` cannot.
fn with_values(message: Message) -> Message<Value> {
    message.try_map(|data| data.into_value()).unwrap()
}

/// The message without what only tells how it was written.
fn without_order(mut message: Message) -> Message {
    let opts: Option<&mut Selector> = match &mut message.body {
        Body::Broadcast(data) => Some(&mut data.opts),
        Body::SocketsJoin(data) => Some(&mut data.opts),
        Body::SocketsLeave(data) => Some(&mut data.opts),
        Body::DisconnectSockets(data) => Some(&mut data.opts),
        Body::FetchSockets(data) => Some(&mut data.opts),
        _ => None,
    };
    if let Some(opts) = opts {
        opts.order = KeyOrder::Adapter;
    }
    message
}

/// Puts the keys of a message, as far as the protocol defines them, into another order, and adds
/// unknown keys.
struct Scrambler(u64);

impl Scrambler {
    fn message(&mut self, message: Value) -> Value {
        let kind = message.get("type").and_then(Value::as_i64);
        self.object(message, |this, key, value| match key {
            "data" => this.object(value, |this, key, value| match (kind, key) {
                (_, "opts") => this.object(value, |_, _, value| value),
                (Some(3), "packet") => this.object(value, |_, _, value| value),
                (Some(8), "sockets") => match value {
                    Value::Array(sockets) => {
                        let sockets = sockets.into_iter().map(|socket| this.object(socket, |_, _, value| value));
                        Value::Array(sockets.collect())
                    }
                    other => other,
                },
                _ => value,
            }),
            _ => value,
        })
    }

    fn object(&mut self, object: Value, mut inner: impl FnMut(&mut Self, &str, Value) -> Value) -> Value {
        let Value::Map(entries) = object else { return object };
        let mut scrambled: Vec<(Value, Value)> = Vec::new();
        for (key, value) in entries {
            let value = inner(self, key.as_str().unwrap(), value);
            self.insert(&mut scrambled, key, value);
        }
        for unknown in 0..self.below(3) {
            let value = [Value::Nil, Value::Int(1), Value::Map(vec![("type".into(), Value::Int(13))])];
            let value = value[self.below(3)].clone();
            self.insert(&mut scrambled, Value::Str(format!("unknown{unknown}")), value);
        }
        Value::Map(scrambled)
    }

    fn insert(&mut self, entries: &mut Vec<(Value, Value)>, key: Value, value: Value) {
        let at = self.below(entries.len() + 1);
        entries.insert(at, (key, value));
    }

    /// splitmix64: the order comes from the seed that proptest drew.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}
