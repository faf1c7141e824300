//! Events from server to server that cannot be handled.

use serde_json::json;
use socketio_pg_core::InvalidMessage;
use socketio_pg_tests::ClientHost;

use crate::{
    Result,
    case::{NO_EVENT, NOT_JSON, Outcome, message, nested},
    fixture::{Fixture, is_report, rust_server},
};

#[tokio::test]
async fn a_server_side_event_without_a_name_is_reported_and_the_next_one_is_handled() -> Result {
    let Some(mut fixture) = Fixture::start(&rust_server(), ClientHost::shared().await?).await? else { return Ok(()) };
    let deep = nested("[", "]", 3900);
    let with = |packet: &str| message(9, &format!(r#"{{"packet":{packet}}}"#));
    let cases = [
        ("a name", with(r#"["case"]"#), Ok("case")),
        ("a number", with("[42]"), Ok("42")),
        ("no name at all", with(r#"[""]"#), Ok("")),
        ("what Node keeps to itself", with(r#"["connection",{}]"#), Ok("connection")),
        ("error", with(r#"["error"]"#), Ok("error")),
        ("requestId null", message(9, r#"{"requestId":null,"packet":["case"]}"#), Ok("case")),
        ("unknown keys", message(9, &format!(r#"{{"x":{deep},"packet":["case"]}}"#)), Ok("case")),
        ("an empty array", with("[]"), Err(NO_EVENT)),
        ("null", with("null"), Err(NO_EVENT)),
        ("a string", with(r#""case""#), Err(NO_EVENT)),
        ("an object", with(r#"{"0":"case"}"#), Err(NO_EVENT)),
        ("a name that is null", with("[null]"), Err(NO_EVENT)),
        ("a name that is an array", with(r#"[["case"]]"#), Err(NO_EVENT)),
        ("a name that is an object", with("[{}]"), Err(NO_EVENT)),
        ("a name nested deep", with(&deep), Err(NO_EVENT)),
        (
            "arguments nested deep",
            with(&format!(r#"["case",{deep}]"#)),
            Err(Outcome::Rejected(InvalidMessage::InvalidArguments)),
        ),
        ("no packet", message(9, r#"{"x":1}"#), Err(NOT_JSON)),
        ("requestId as a number", message(9, r#"{"requestId":7,"packet":["case"]}"#), Err(NOT_JSON)),
    ];
    let mut failures = Vec::new();
    let mut reported = 0;
    for (number, (name, payload, expected)) in cases.into_iter().enumerate() {
        let handled_before = fixture.server.events().len();
        fixture.wire.notify(&payload.replace("$uid", &format!("{name:?}"))).await;
        fixture.wire.notify(&with(&format!(r#"["next",{number}]"#)).replace("$uid", r#""good""#)).await;
        let is_next = |event: &serde_json::Value| event["name"] == "next" && event["args"] == json!([number]);
        fixture.server.wait_for_event("next event", is_next).await?;

        let events = fixture.server.events();
        let handled: Vec<_> = events[handled_before..].iter().filter_map(|event| event["name"].as_str()).collect();
        let expected_names = expected.iter().copied().chain(["next"]).collect::<Vec<_>>();
        if handled != expected_names {
            failures.push(format!("{name}: handled {handled:?} and not {expected_names:?}"));
        }
        if let Err(Outcome::Rejected(kind)) = expected {
            let reports = fixture.reports(reported + 1).await?;
            if !reports.last().is_some_and(|report| is_report(report, kind, Some(name))) {
                failures.push(format!("{name}: expected {kind:?}, last reported: {:?}", reports.last()));
            }
            reported = reports.len();
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(fixture.counts().await?, (reported as u64, 0));
    assert!(fixture.until_good().await?.is_empty());
    fixture.end().await
}
