//! Events that no client can read: Node.js passes them on, and its clients disconnect, or crash.

use crate::case::{
    Case, NO_EVENT, NOT_JSON,
    OnNode::{Delivers, LosesItsClients},
    Outcome::Delivered,
    case, event, message, nested, packet,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("no packet", message(3, r#"{"opts":{}}"#), NOT_JSON),
        case("packet null", packet("null"), NOT_JSON),
        case("packet as a string", packet(r#""2[]""#), NOT_JSON),
        case("packet as an array", packet(r#"["case"]"#), NOT_JSON).on_node(LosesItsClients),
        case("packet empty", packet("{}"), NO_EVENT).on_node(LosesItsClients),
        // type
        case("no packet type", packet(r#"{"data":["case"]}"#), NO_EVENT).on_node(LosesItsClients),
        case("packet type 2.0", packet(r#"{"type":2.0,"data":["case"]}"#), Delivered),
        case("packet type as a string", packet(r#"{"type":"2","data":["case"]}"#), NOT_JSON).on_node(Delivers),
        case("packet type null", packet(r#"{"type":null,"data":["case"]}"#), NOT_JSON).on_node(LosesItsClients),
        case("packet type 99", packet(r#"{"type":99,"data":["case"]}"#), NO_EVENT).on_node(LosesItsClients),
        case("packet type 1, DISCONNECT", packet(r#"{"type":1,"data":["case"]}"#), NO_EVENT).on_node(LosesItsClients),
        case("packet type 3, ACK", packet(r#"{"type":3,"data":["case"]}"#), NO_EVENT),
        case("packet type 4, CONNECT_ERROR", packet(r#"{"type":4,"data":["case"]}"#), NO_EVENT)
            .on_node(LosesItsClients),
        case("packet type 5, BINARY_EVENT", packet(r#"{"type":5,"data":["case"]}"#), NO_EVENT).on_node(LosesItsClients),
        case("packet type 6, BINARY_ACK", packet(r#"{"type":6,"data":["case"]}"#), NO_EVENT).on_node(LosesItsClients),
        // data
        case("no packet data", packet(r#"{"type":2}"#), NO_EVENT).on_node(LosesItsClients),
        case("packet data null", event("null"), NO_EVENT).on_node(LosesItsClients),
        case("packet data as a string", event(r#""case""#), NO_EVENT).on_node(LosesItsClients),
        // Node.js's clients take it for the number of an acknowledgement
        case("packet data as a number", event("7"), NO_EVENT).on_node(Delivers),
        case("packet data as an object", event(r#"{"0":"case"}"#), NO_EVENT).on_node(LosesItsClients),
        case("packet data empty", event("[]"), NO_EVENT).on_node(LosesItsClients),
        case("an event in an array", event(r#"[["case"]]"#), NO_EVENT).on_node(LosesItsClients),
        case("an event named null", event("[null]"), NO_EVENT).on_node(LosesItsClients),
        case("an event named true", event("[true]"), NO_EVENT).on_node(LosesItsClients),
        case("an event named by an object", event("[{}]"), NO_EVENT).on_node(LosesItsClients),
        case("an event nested deep", event(&nested("[", "]", 3900)), NO_EVENT).on_node(LosesItsClients),
        case("an escaped reserved event", event(r#"["\u0063onnect"]"#), NO_EVENT).on_node(LosesItsClients),
        case("an event named by a number", event("[42]"), Delivered),
        case("an event named by a fraction", event("[-0.5e1]"), Delivered),
        case("an event with an empty name", event(r#"[""]"#), Delivered),
        case("an event named by a lone surrogate", event(r#"["\udfff"]"#), Delivered),
        case("white space in packet data", event(" [ \"case\" , 1 ] "), Delivered),
        // keys of a packet that are ignored
        case("a packet with an id", packet(r#"{"type":2,"data":["case"],"id":7}"#), Delivered),
        case("a packet of another nsp", packet(r#"{"type":2,"data":["case"],"nsp":"/nobody's"}"#), Delivered),
        case("a packet with nsp as a number", packet(r#"{"type":2,"data":["case"],"nsp":7}"#), Delivered),
        case(
            "a packet with unknown keys",
            packet(r#"{"x":[[]],"type":2,"attachments":3,"data":["case"],"":{}}"#),
            Delivered,
        ),
        case("a placeholder without binary", event(r#"["case",{"_placeholder":true,"num":9}]"#), Delivered),
    ];
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        let payload = event(&format!("[{name:?}]"));
        cases.push(case(format!("the reserved event {name}"), payload, NO_EVENT).on_node(LosesItsClients));
    }
    cases
}
