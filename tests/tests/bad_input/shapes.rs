//! `data` and `opts` of another shape than their type requires.

use crate::case::{
    Case, DATA, LONG_ID, NOT_JSON, OnNode,
    Outcome::{Delivered, Ignored},
    case, message, nested, opts,
};

/// A broadcast to the room that cases try to make the client join.
fn to_joined() -> String {
    opts(r#"{"rooms":["joined"]}"#)
}

pub(crate) fn cases() -> Vec<Case> {
    [data_of_every_type(), selections(), flags(), requests(), rooms()].into_iter().flatten().collect()
}

fn data_of_every_type() -> Vec<Case> {
    let wrong = [
        ("null", "null"),
        ("a number", "5"),
        ("true", "true"),
        ("a string", r#""text""#),
        ("an array", "[]"),
        ("an empty object", "{}"),
        ("other keys", r#"{"opts":null,"x":1}"#),
    ];
    let mut cases = Vec::new();
    for kind in 3..=12 {
        let missing = format!(r#"{{"type":{kind},"uid":$uid,"nsp":"/"}}"#);
        cases.push(case(format!("type {kind} without data"), missing, NOT_JSON));
        for (what, data) in wrong {
            // A response without a request's id, and without anything else that it must have, responds to
            // nothing: Node.js sends some without an id.
            let is_response = [10, 12].contains(&kind) && data.starts_with('{');
            let outcome = if is_response { Ignored } else { NOT_JSON };
            cases.push(case(format!("type {kind}, data: {what}"), message(kind, data), outcome));
        }
    }
    for kind in [1, 2, 13] {
        for (what, data) in wrong {
            cases.push(case(format!("type {kind}, data: {what}"), message(kind, data), Ignored));
        }
        cases.push(case(format!("type {kind}, data: a broadcast's"), message(kind, DATA), Ignored));
    }
    cases
}

fn selections() -> Vec<Case> {
    let deep = nested("[", "]", 1000);
    vec![
        case("no opts", message(3, r#"{"packet":{"type":2,"data":["case"]}}"#), NOT_JSON),
        case("opts null", opts("null"), NOT_JSON),
        case("opts as a number", opts("1"), NOT_JSON).on_node(OnNode::Delivers),
        case("opts as a string", opts(r#""all""#), NOT_JSON).on_node(OnNode::Delivers),
        case("opts as an array", opts("[]"), NOT_JSON).on_node(OnNode::Delivers),
        case("opts empty", opts("{}"), Delivered),
        case("opts with unknown keys", opts(&format!(r#"{{"x":{deep},"":0,"Rooms":["nobody"]}}"#)), Delivered),
        case("rooms null", opts(r#"{"rooms":null}"#), Delivered),
        case("rooms as a string", opts(r#"{"rooms":"abc"}"#), NOT_JSON),
        case("rooms as a number", opts(r#"{"rooms":7}"#), NOT_JSON),
        case("rooms as an object", opts(r#"{"rooms":{}}"#), NOT_JSON),
        case("rooms true", opts(r#"{"rooms":true}"#), NOT_JSON),
        case("a room that is a number", opts(r#"{"rooms":[7]}"#), Ignored),
        case("a room that is null", opts(r#"{"rooms":[null]}"#), Ignored),
        case("a room that is an array", opts(r#"{"rooms":[[["case"]]]}"#), Ignored),
        case("a room nested deep", opts(&format!(r#"{{"rooms":[{deep}]}}"#)), NOT_JSON),
        case("a room with a lone surrogate", opts(r#"{"rooms":["\ud800"]}"#), Ignored),
        case("a room without members", opts(r#"{"rooms":["nobody"]}"#), Ignored),
        case(
            "a thousand rooms without members",
            opts(&format!(r#"{{"rooms":[{}0]}}"#, r#""r","#.repeat(1000))),
            Ignored,
        ),
        case("odd rooms beside the client's", opts(r#"{"rooms":[null,7,{},$client,$client]}"#), Delivered),
        case("except null", opts(r#"{"except":null}"#), Delivered),
        case("except with odd rooms", opts(r#"{"except":[null,7,{},""]}"#), Delivered),
        case("except the client", opts(r#"{"except":[7,$client]}"#), Ignored),
        case("except as a string", opts(r#"{"except":"abc"}"#), NOT_JSON).on_node(OnNode::Delivers),
        case("except as a number", opts(r#"{"except":7}"#), NOT_JSON),
        case("rooms twice", opts(r#"{"rooms":["nobody"],"rooms":[]}"#), Delivered),
    ]
}

fn flags() -> Vec<Case> {
    let deep = nested("[", "]", 1000);
    let with_ack = |flags: &str| {
        let data = DATA.replace(r#""flags":{}"#, &format!(r#""flags":{flags},"x":1"#)).replacen(
            '{',
            r#"{"requestId":"r","#,
            1,
        );
        message(3, &data)
    };
    vec![
        case("flags null", opts(r#"{"flags":null}"#), Delivered),
        case("flags as a number", opts(r#"{"flags":1}"#), Delivered),
        case("flags as a string", opts(r#"{"flags":"volatile"}"#), Delivered),
        case("flags as an array", opts(r#"{"flags":["volatile"]}"#), Delivered),
        case("unknown flags", opts(r#"{"flags":{"x":{},"__proto__":null,"":[1]}}"#), Delivered),
        case(
            "known flags with odd values",
            opts(r#"{"flags":{"volatile":"yes","compress":5,"expectSingleResponse":[]}}"#),
            Delivered,
        ),
        case("flags nested deep", opts(&format!(r#"{{"flags":{{"x":{deep}}}}}"#)), NOT_JSON).on_node(OnNode::Delivers),
        case("the flag local", opts(r#"{"flags":{"local":true}}"#), Delivered),
        case("a timeout that is a string", with_ack(r#"{"timeout":"soon"}"#), Delivered),
        case("a timeout that is negative", with_ack(r#"{"timeout":-1}"#), Delivered),
        case("a timeout that is not whole", with_ack(r#"{"timeout":0.001}"#), Delivered),
        case("a timeout of 2^63 - 1 ms", with_ack(r#"{"timeout":9223372036854775807}"#), Delivered),
        case("a timeout of 2^64 - 1 ms", with_ack(r#"{"timeout":18446744073709551615}"#), Delivered),
        case("a timeout of 1e308 ms", with_ack(r#"{"timeout":1e308}"#), Delivered),
    ]
}

fn requests() -> Vec<Case> {
    let broadcast = |id: &str| message(3, &DATA.replacen('{', &format!(r#"{{"requestId":{id},"#), 1));
    vec![
        case("an empty requestId", broadcast(r#""""#), Delivered),
        case("requestId null", broadcast("null"), Delivered),
        case("requestId as a number", broadcast("7"), NOT_JSON).on_node(OnNode::Delivers),
        case("requestId as an object", broadcast("{}"), NOT_JSON).on_node(OnNode::Delivers),
        case("requestId of 7000 bytes", broadcast(&format!(r#""{}""#, "r".repeat(7000))), LONG_ID)
            .on_node(OnNode::Delivers),
        case("fetchSockets with requestId null", message(7, r#"{"opts":{},"requestId":null}"#), NOT_JSON),
        case("fetchSockets of odd rooms", message(7, r#"{"opts":{"rooms":[null]},"requestId":"r"}"#), Ignored),
        case("sockets without a request", message(8, r#"{"requestId":"r","sockets":[]}"#), Ignored),
        case("sockets that are null", message(8, r#"{"requestId":"r","sockets":null}"#), NOT_JSON),
        case("a socket that is null", message(8, r#"{"requestId":"r","sockets":[null]}"#), NOT_JSON),
        case("a socket without id", message(8, r#"{"requestId":"r","sockets":[{}]}"#), NOT_JSON),
        case(
            "a socket's rooms as an object",
            message(8, r#"{"requestId":"r","sockets":[{"id":"s","rooms":{}}]}"#),
            NOT_JSON,
        ),
        case("an answer without a request", message(10, r#"{"requestId":"r","packet":1}"#), Ignored),
        case("a count without a request", message(11, r#"{"requestId":"r","clientCount":1}"#), Ignored),
        case("a count as a string", message(11, r#"{"requestId":"r","clientCount":"1"}"#), NOT_JSON),
        case("a count below zero", message(11, r#"{"requestId":"r","clientCount":-1}"#), NOT_JSON),
        case("half a client", message(11, r#"{"requestId":"r","clientCount":0.5}"#), NOT_JSON),
        case("no count", message(11, r#"{"requestId":"r"}"#), NOT_JSON),
        case("an ack without a request", message(12, r#"{"requestId":"r","packet":[]}"#), Ignored),
        case("an ack without requestId", message(12, r#"{"packet":[]}"#), Ignored),
    ]
}

/// Joining, leaving and disconnecting. The events that the client gets show whether it has joined.
fn rooms() -> Vec<Case> {
    let join = |rooms: &str| message(4, &format!(r#"{{"opts":{{}},"rooms":{rooms}}}"#));
    let leave = |rooms: &str| message(5, &format!(r#"{{"opts":{{}},"rooms":{rooms}}}"#));
    let disconnect = |close: &str| message(6, &format!(r#"{{"opts":{{"rooms":["nobody"]}},"close":{close}}}"#));
    let join_of = |opts: &str| message(4, &format!(r#"{{"opts":{opts},"rooms":["joined"]}}"#));
    vec![
        case("joining rooms as a string", join(r#""joined""#), NOT_JSON).then(to_joined()).on_node(OnNode::Delivers),
        case("leaving, as a string", leave(r#""joined""#), NOT_JSON),
        case("leaving what was joined", leave(r#"["joined"]"#), Ignored).then(to_joined()),
        case("joining a number", join("7"), NOT_JSON).then(to_joined()),
        case("joining null", join("null"), NOT_JSON).then(to_joined()),
        case("joining an object", join(r#"{"0":"joined"}"#), NOT_JSON).then(to_joined()),
        case("joining nothing", message(4, r#"{"opts":{}}"#), NOT_JSON).then(to_joined()),
        case("joining with opts null", join_of("null"), NOT_JSON).then(to_joined()),
        case("joining with rooms as a number", join_of(r#"{"rooms":7}"#), NOT_JSON).then(to_joined()),
        case("joining with nobody", join_of(r#"{"rooms":["nobody"]}"#), Ignored).then(to_joined()),
        case("joining with odd rooms", join(r#"[null,7,{},["joined"]]"#), Ignored).then(to_joined()),
        case("joining with opts empty", join_of("{}"), Delivered).then(to_joined()),
        case("leaving with opts null", message(5, r#"{"opts":null,"rooms":["joined"]}"#), NOT_JSON),
        case("leaving a number", leave("7"), NOT_JSON),
        case("leaving odd rooms", leave("[null,7,{}]"), Ignored),
        case("leaving nothing", leave("[]"), Delivered).then(to_joined()),
        case("leaving what was joined, again", leave(r#"["joined"]"#), Ignored).then(to_joined()),
        case("leaving the room of its own id", leave("[$client]"), Delivered)
            .then(opts(r#"{"rooms":[$client]}"#))
            .on_node(OnNode::DoesNotDeliver),
        case("disconnecting nobody", disconnect("true"), Ignored),
        case("disconnecting with close as a string", disconnect(r#""yes""#), NOT_JSON),
        case("disconnecting with close null", disconnect("null"), NOT_JSON),
        case("disconnecting with opts null", message(6, r#"{"opts":null,"close":true}"#), NOT_JSON),
        case("disconnecting without opts", message(6, r#"{"close":true}"#), NOT_JSON),
    ]
}
