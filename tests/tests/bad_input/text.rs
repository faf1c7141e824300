//! Payloads that are not messages, or that no node writes: JSON, and the outermost object.

use crate::case::{
    Case, DATA, LONG_ID, NOT_JSON, OnNode,
    Outcome::{Delivered, Ignored},
    case, event, message, nested,
};

pub(crate) fn cases() -> Vec<Case> {
    let good = message(3, DATA);
    let with = |more: &str| good.replacen('{', &format!("{{{more},"), 1);
    let top = |kind: &str, rest: &str| format!(r#"{{"type":{kind},"data":{DATA}{rest}}}"#);
    vec![
        // not JSON
        case("a word", "hello", NOT_JSON),
        case("nothing", "", NOT_JSON),
        case("white space", " \t\n", NOT_JSON),
        case("an opening brace", "{", NOT_JSON),
        case("a message cut short", &good[..good.len() - 4], NOT_JSON),
        case("a message and more", format!("{good}{good}"), NOT_JSON),
        case("a message behind a byte order mark", format!("\u{feff}{good}"), NOT_JSON),
        case("a key without quotes", good.replace(r#""type""#, "type"), NOT_JSON),
        case("a comma too many", good.replace(r#""/"}"#, r#""/",}"#), NOT_JSON),
        case("a bare control character", event("[\"ca\u{1}se\"]"), NOT_JSON),
        case("NaN", event(r#"["case",NaN]"#), NOT_JSON),
        case("brackets as deep as they fit", "[".repeat(7999), NOT_JSON),
        case("braces as deep as they fit", r#"{"":"#.repeat(1599), NOT_JSON),
        // not an object
        case("null", "null", NOT_JSON),
        case("a number", "123", NOT_JSON),
        case("a string", r#""str""#, NOT_JSON),
        case("true", "true", NOT_JSON),
        case("an empty array", "[]", NOT_JSON),
        case("a message in an array", format!("[{good}]"), NOT_JSON),
        case("an array in the order of the keys", format!(r#"[3,{DATA},$uid,"/"]"#), NOT_JSON),
        // unusual, but valid
        case("white space around", format!(" \r\n\t{good}  "), Delivered),
        case("keys in another order", format!(r#"{{"nsp":"/","uid":$uid,"data":{DATA},"type":3}}"#), Delivered),
        case("escapes in keys", good.replace("type", r"\u0074ype").replace("opts", r"\u006fpts"), Delivered),
        case("a lone surrogate among the arguments", event(r#"["case","\ud800"]"#), Delivered),
        case("arguments nested deep", event(&format!(r#"["case",{}]"#, nested("[", "]", 300))), Delivered),
        // type
        case("no type", top("3", r#","uid":$uid,"nsp":"/""#).replacen(r#""type":3,"#, "", 1), NOT_JSON),
        case("type null", message("null", DATA), NOT_JSON),
        case("type as a string", message(r#""3""#, DATA), NOT_JSON),
        case("type as an array", message("[3]", DATA), NOT_JSON),
        case("type as deep nesting", message(nested("[", "]", 1000), DATA), NOT_JSON),
        case("type true", message("true", DATA), NOT_JSON),
        case("type -3", message("-3", DATA), NOT_JSON),
        case("type 3.5", message("3.5", DATA), NOT_JSON),
        case("type 1e99", message("1e99", DATA), NOT_JSON),
        case("type 2^64", message("18446744073709551616", DATA), NOT_JSON),
        case("type 2^64 - 1", message("18446744073709551615", DATA), Ignored),
        case("type 0", message("0", DATA), Ignored),
        case("type 14", message("14", DATA), Ignored),
        case("type 14 with odd data", message("14", &nested("[", "]", 1000)), Ignored),
        case("type 3.0", message("3.0", DATA), Delivered),
        case("type 3e0", message("3e0", DATA), Delivered),
        case("type 30e-1", message("30e-1", DATA), Delivered),
        // nsp
        case("no nsp", top("3", r#","uid":$uid"#), Delivered).on_node(OnNode::DoesNotDeliver),
        case("nsp null", top("3", r#","uid":$uid,"nsp":null"#), Delivered).on_node(OnNode::DoesNotDeliver),
        case("another nsp", top("3", r#","uid":$uid,"nsp":"/nobody's""#), Ignored),
        case("nsp empty", top("3", r#","uid":$uid,"nsp":"""#), Ignored),
        case("nsp as a number", top("3", r#","uid":$uid,"nsp":1"#), NOT_JSON),
        case("nsp as an array", top("3", r#","uid":$uid,"nsp":["/"]"#), NOT_JSON),
        // uid
        case("no uid", top("3", r#","nsp":"/""#), Delivered),
        case("uid null", top("3", r#","uid":null,"nsp":"/""#), Delivered),
        case("uid empty", top("3", r#","uid":"","nsp":"/""#), Delivered),
        case("the emitter's uid", top("3", r#","uid":"emitter","nsp":"/""#), Delivered),
        case("a uid of 7000 bytes", top("3", &format!(r#","uid":"{}","nsp":"/""#, "u".repeat(7000))), LONG_ID)
            .on_node(OnNode::Delivers),
        case("the server's own uid", top("3", r#","uid":$own,"nsp":"/""#), Ignored),
        case("the server's own uid, wrapped", format!(r#" {{"nsp":"/","uid":$own,"type":3,"data":{DATA}}} "#), Ignored),
        case("uid as a number", top("3", r#","uid":7,"nsp":"/""#), NOT_JSON).on_node(OnNode::Delivers),
        case("uid as an object", top("3", r#","uid":{},"nsp":"/""#), NOT_JSON).on_node(OnNode::Delivers),
        case("nsp with a lone surrogate", top("3", r#","uid":$uid,"nsp":"/\ud800""#), Ignored),
        // unknown keys
        case("an unknown key", with(r#""x":1"#), Delivered),
        case("an unknown key, nested deep", with(&format!(r#""x":{}"#, nested("[", "]", 3500))), Delivered),
        case("a key __proto__", with(r#""__proto__":{"type":1}"#), Delivered),
        case("an empty key", with(r#""":{}"#), Delivered),
        case(
            "keys of other nodes with odd values",
            with(r#""source":[1,{}],"requesterUid":0,"nodeId":null,"nonce":{}"#),
            Delivered,
        ),
        case("a deep value in a key of ours", with(&format!(r#""nonce":{}"#, nested("[", "]", 500))), NOT_JSON)
            .on_node(OnNode::Delivers),
        // keys that come twice
        case("uid twice, first the server's own", with(r#""uid":$own"#), Delivered),
        case("nsp twice", with(r#""nsp":"/nobody's""#), Delivered),
        case("type twice before data", with(r#""type":1"#), Delivered),
        case("type twice around data", with(&format!(r#""type":1,"data":{DATA}"#)), Delivered),
        case(
            "type twice, the last behind data",
            good.replacen("3", "1", 1).replace(r#","uid""#, r#","type":3,"uid""#),
            NOT_JSON,
        )
        .on_node(OnNode::Delivers),
        case("data twice", with(r#""data":{}"#), Delivered),
        case("packet twice", message(3, &DATA.replacen('{', r#"{"packet":{},"#, 1)), NOT_JSON)
            .on_node(OnNode::Delivers),
    ]
}
