//! Headers without a row, and rows that are not messages.

use socketio_pg_core::protocol::{Value, value::to_msgpack};

use crate::case::{
    Case, DATA, GONE, NO_EVENT, NO_ID, NOT_A_MESSAGE, NOT_JSON, NOT_MSGPACK, OF_ANOTHER, OnNode,
    Outcome::{Delivered, Ignored},
    TOO_DEEP, case, event, json_row, mangled_row, message, nested, packet, row,
};

pub(crate) fn cases() -> Vec<Case> {
    [headers(), rows(), bytes(), messages(), binary()].into_iter().flatten().collect()
}

/// `$id` is a row with a valid event, which shows that it was found.
fn headers() -> Vec<Case> {
    let header = |id: &str| format!(r#"{{"uid":$uid,"type":3,"attachmentId":{id}}}"#);
    vec![
        case("a header as Node writes it", header(r#""$id""#), Delivered),
        case("a header as we write it", r#"{"uid":$uid,"type":3,"nsp":"/","attachmentId":"$id"}"#, Delivered),
        case("an id as a number", header("$id"), Delivered),
        case("an id as a fraction without one", header("$id.0"), Delivered),
        case("an id in white space", header(r#"" $id ""#), Delivered),
        case("an id with a sign", header(r#""+$id""#), Delivered),
        case("an id and SQL", header(r#""$id; DROP TABLE socket_io_attachments""#), NO_ID),
        case("an id and a quote", header(r#""$id' OR '1'='1""#), NO_ID),
        case("a word for an id", header(r#""abc""#), NO_ID),
        case("an id with an exponent", header(r#""1e0""#), NO_ID),
        case("an id in digits of another script", header(r#""１""#), NO_ID),
        case("an id beyond 2^63", header(r#""9223372036854775808""#), NO_ID),
        case("an id of 7000 digits", header(&format!(r#""{}""#, "9".repeat(7000))), NO_ID),
        case("a number beyond 2^64 for an id", header("99999999999999999999"), NO_ID),
        case("a fraction for an id", header("1.5"), NO_ID),
        case("true for an id", header("true"), NO_ID),
        case("an array for an id", header(r#"["$id"]"#), NO_ID),
        case("an object for an id", header("{}"), NO_ID),
        case("deep nesting for an id", header(&nested("[", "]", 1000)), NOT_JSON),
        case("an id that is not there", header(r#""9223372036854775807""#), GONE),
        case("an id below zero", header(r#""-1""#), GONE),
        case("a number below zero for an id", header("-1"), GONE),
        case("the id 0 in a string", header(r#""0""#), GONE),
        case("the id 0 and no message", header("0"), NOT_JSON),
        case("an empty id and no message", header(r#""""#), NOT_JSON),
        case("false for an id and no message", header("false"), NOT_JSON),
        case("null for an id and no message", header("null"), NOT_JSON),
        case(
            "the id 0 and a message",
            format!(r#"{{"attachmentId":0,"type":3,"data":{DATA},"uid":$uid,"nsp":"/"}}"#),
            Delivered,
        ),
        case(
            "an empty id and a message",
            format!(r#"{{"attachmentId":"","type":3,"data":{DATA},"uid":$uid,"nsp":"/"}}"#),
            Delivered,
        ),
        case(
            "an id and a message",
            format!(r#"{{"attachmentId":"-1","type":3,"data":{DATA},"uid":$uid,"nsp":"/"}}"#),
            GONE,
        ),
        case("a header without uid", r#"{"type":3,"attachmentId":"$id"}"#, Delivered).on_node(OnNode::DoesNotDeliver),
        case("a header with only an id and nsp", r#"{"attachmentId":"$id","nsp":"/"}"#, Delivered),
        case("a header of another type", r#"{"uid":$uid,"type":99,"attachmentId":"$id"}"#, Delivered),
        case("a header with type null", r#"{"uid":$uid,"type":null,"attachmentId":"$id"}"#, NOT_JSON)
            .on_node(OnNode::Delivers),
        case("a header of another nsp", r#"{"uid":$uid,"type":3,"attachmentId":"$id","nsp":"/nobody's"}"#, Delivered),
        case("a header with the server's own uid", r#"{"uid":$own,"type":3,"attachmentId":"$id","nsp":"/"}"#, Ignored),
        case("a header with unknown keys", r#"{"x":[{}],"uid":$uid,"type":3,"attachmentId":"$id"}"#, Delivered),
        case("a header with two ids", r#"{"uid":$uid,"type":3,"attachmentId":"-1","attachmentId":"$id"}"#, Delivered),
    ]
}

fn rows() -> Vec<Case> {
    let cut = |at: fn(usize) -> usize| move |bytes: &mut Vec<u8>| bytes.truncate(at(bytes.len()));
    vec![
        row("a null row", None, GONE),
        row("an empty row", Vec::new(), NOT_MSGPACK),
        row("a row of text", br#"{"type":3}"#.to_vec(), NOT_MSGPACK),
        row("a row of zeros", vec![0; 10_000], NOT_MSGPACK),
        row("a row of 0xc1, which begins nothing", vec![0xc1; 10_000], NOT_MSGPACK),
        mangled_row("a row without its last byte", cut(|length| length - 1), NOT_MSGPACK),
        mangled_row("half a row", cut(|length| length / 2), NOT_MSGPACK),
        mangled_row("the first byte of a row", cut(|_| 1), NOT_MSGPACK),
        mangled_row("a row and one byte", |bytes| bytes.push(0xc0), NOT_MSGPACK),
        mangled_row("a row twice", |bytes| bytes.extend(bytes.clone()), NOT_MSGPACK),
        mangled_row("a row with a broken string", |bytes| replace(bytes, b"case", b"\xff\xfe\xed\xa0"), Delivered),
        json_row("a row that is nothing", "null", NOT_A_MESSAGE),
        json_row("a row that is a number", "3", NOT_A_MESSAGE),
        json_row("a row that is an array", format!(r#"[3,{DATA},$uid,"/"]"#), NOT_A_MESSAGE),
        json_row("a row that is an empty map", "{}", NOT_A_MESSAGE),
        mangled_row("a row with numbers for keys", number_the_keys, NOT_A_MESSAGE),
    ]
}

/// Bytes that claim more than there is, or nest deeper than any reader allows.
fn bytes() -> Vec<Case> {
    let in_arguments = |arguments: &[u8]| {
        let mut bytes =
            to_msgpack(&Value::from_json(&message(3, DATA).replace(r#","uid":$uid"#, "")).unwrap()).unwrap();
        // The event's name is the only element of its array; here more elements follow.
        replace(&mut bytes, b"\x91\xa4case", &[b"\x92\xa4case", arguments].concat());
        bytes
    };
    let deep = |open: &[u8], levels| [&open.repeat(levels)[..], &[0xc0]].concat();
    let mut cases = vec![
        row("arrays nested 100 000 deep", deep(&[0x91], 100_000), TOO_DEEP),
        row("maps nested 100 000 deep", deep(&[0x81, 0xa0], 100_000), TOO_DEEP),
        row("arguments nested 100 000 deep", in_arguments(&deep(&[0x91], 100_000)), TOO_DEEP).on_node(OnNode::NotAsked),
        row("arguments in maps nested 100 000 deep", in_arguments(&deep(&[0x81, 0xa0], 100_000)), TOO_DEEP)
            .on_node(OnNode::NotAsked),
        row("arguments nested 90 deep", in_arguments(&deep(&[0x91], 90)), Delivered),
        row("a map key that is null", in_arguments(b"\x81\xc0\xc0"), NOT_MSGPACK),
        row("a map key that is an array", in_arguments(b"\x81\x90\xc0"), NOT_MSGPACK),
        row("a map with numbers for keys", in_arguments(b"\x82\x01\xc0\xcb\x3f\xf8\0\0\0\0\0\0\x01"), Delivered),
        row("an unknown extension", in_arguments(b"\xd4\x2a\x07"), Delivered),
        row(
            "a date beyond all years",
            in_arguments(b"\xc7\x0c\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff"),
            Delivered,
        ),
        row("a date of two bytes", in_arguments(b"\xd5\xff\x01\x02"), Delivered).on_node(OnNode::DoesNotDeliver),
    ];
    for (what, marker) in [("array", 0xdd), ("map", 0xdf), ("string", 0xdb), ("binary", 0xc6), ("extension", 0xc9)] {
        let claim = [marker, 0xff, 0xff, 0xff, 0xff, 0x01];
        cases.push(row(format!("a row that is a {what} of 4 billion"), claim.to_vec(), NOT_MSGPACK));
        cases.push(row(format!("an argument that is a {what} of 4 billion"), in_arguments(&claim), NOT_MSGPACK));
    }
    cases
}

/// Rows that are a value, and almost a message.
fn messages() -> Vec<Case> {
    let good = message(3, DATA);
    let with = |more: &str| good.replacen('{', &format!("{{{more},"), 1);
    vec![
        json_row("a row without type", good.replacen(r#""type":3,"#, "", 1), NOT_A_MESSAGE),
        json_row("a row with type as a string", message(r#""3""#, DATA), NOT_A_MESSAGE),
        json_row("a row of type 99", message(99, DATA), Ignored),
        json_row("a row without data", r#"{"type":3,"uid":$uid,"nsp":"/"}"#, NOT_A_MESSAGE),
        json_row("a row with data null", message(3, "null"), NOT_A_MESSAGE),
        json_row(
            "a row with rooms as a number",
            message(3, r#"{"packet":{"type":2,"data":["case"]},"opts":{"rooms":7}}"#),
            NOT_A_MESSAGE,
        ),
        json_row("a row without uid", good.replace(r#","uid":$uid"#, ""), Delivered),
        json_row("a row of another sender", good.replace("$uid", r#""another node""#), OF_ANOTHER)
            .on_node(OnNode::Delivers),
        json_row("a row without nsp", good.replace(r#","nsp":"/""#, ""), Delivered).on_node(OnNode::DoesNotDeliver),
        json_row("a row of another nsp", good.replace(r#""/""#, r#""/nobody's""#), Ignored),
        json_row("a row with unknown keys", with(r#""x":{"y":[1]},"":null"#), Delivered),
        json_row("a row with the key __proto__", with(r#""__proto__":{}"#), Delivered).on_node(OnNode::DoesNotDeliver),
        json_row("an argument with the key __proto__", event(r#"["case",{"__proto__":1}]"#), Delivered)
            .on_node(OnNode::DoesNotDeliver),
        json_row("a row that names another row", with(r#""attachmentId":"7""#), Delivered),
        json_row("a row of another packet type", packet(r#"{"type":99,"data":["case"]}"#), NO_EVENT)
            .on_node(OnNode::LosesItsClients),
        json_row("a row with a reserved event", event(r#"["disconnect"]"#), NO_EVENT).on_node(OnNode::LosesItsClients),
        json_row("a row with an empty event", event("[]"), NO_EVENT).on_node(OnNode::LosesItsClients),
    ]
}

/// Binary beside objects that look like placeholders for binary in a client's text.
fn binary() -> Vec<Case> {
    let beside = |name: &'static str, placeholder: &str, outcome| {
        let mut case = json_row(name, event(&format!(r#"["case","b",{placeholder}]"#)), outcome);
        if let Some(crate::case::Sent::Attachment(Some(bytes))) = case.sent.first_mut() {
            replace(bytes, b"\xa1b", b"\xc4\x01\x07");
        }
        case
    };
    vec![
        beside("binary", "1", Delivered),
        beside("binary beside a placeholder for it", r#"{"_placeholder":true,"num":0}"#, Delivered),
        beside("binary beside a placeholder for nothing", r#"{"_placeholder":true,"num":9}"#, NO_EVENT)
            .on_node(OnNode::LosesItsClients),
        beside("binary beside a placeholder below zero", r#"{"_placeholder":true,"num":-1}"#, NO_EVENT)
            .on_node(OnNode::LosesItsClients),
        beside("binary beside a placeholder without number", r#"[{"a":{"_placeholder":true}}]"#, NO_EVENT)
            .on_node(OnNode::LosesItsClients),
        beside("binary beside what is not quite a placeholder", r#"{"_placeholder":1,"num":9}"#, Delivered),
    ]
}

/// Numbers the outermost keys in their order.
fn number_the_keys(bytes: &mut Vec<u8>) {
    let Ok(Value::Map(entries)) = Value::from_msgpack(bytes) else { panic!("the row is a map") };
    let numbered = (0..).map(Value::Int).zip(entries.into_iter().map(|(_, value)| value));
    *bytes = to_msgpack(&Value::Map(numbered.collect())).unwrap();
}

/// Replaces the first occurrence, which must be there.
fn replace(bytes: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes.splice(at..at + from.len(), to.iter().copied());
}
