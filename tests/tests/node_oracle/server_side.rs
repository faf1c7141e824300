//! `serverSideEmit`, `serverSideEmitWithAck`, `replyServerSide`.

use serde_json::{Value, json};
use socketio_pg_tests::binary;

use crate::{Outcome, Pair};

#[tokio::test]
async fn an_event_for_the_servers_reaches_the_others_only() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    for args in [json!([]), json!(["text", { "bytes": binary([7]) }]), json!(["x".repeat(20_000)])] {
        pair.one.call("serverSideEmit", json!({ "event": "news", "args": args })).await?;
        assert_eq!(pair.other.wait_for_server_side(&pair.nsp, "news").await?, args);
    }

    let question = json!({ "event": "ask", "args": ["?"] });
    pair.other.call("replyServerSide", json!({ "event": "ask", "with": [{ "bytes": binary([8]) }, 2] })).await?;
    let answer = pair.one.call("serverSideEmitWithAck", question.clone()).await?;
    assert_eq!(answer, json!({ "responses": [{ "bytes": binary([8]) }], "error": null }));
    assert_eq!(pair.other.wait_for_server_side(&pair.nsp, "ask").await?, json!(["?"]));

    pair.other.call("replyServerSide", json!({ "event": "ask", "with": [] })).await?;
    let empty = pair.one.call("serverSideEmitWithAck", question).await?;
    assert_eq!(empty, json!({ "responses": [null], "error": null }));
    assert!(pair.one.events().iter().all(|event| event["event"] != "serverSide"), "it runs on its sender, too");
    Ok(())
}

#[tokio::test]
async fn a_server_that_never_answers_is_waited_for_until_it_leaves() -> Outcome {
    let Some(pair) = Pair::start_own(|options| options).await? else { return Ok(()) };
    pair.other.call("replyServerSide", json!({ "event": "ask", "with": ["once"] })).await?;
    pair.other.call("replyServerSide", json!({ "event": "ask", "never": true })).await?;

    let answer = pair.one.call("serverSideEmitWithAck", json!({ "event": "ask" }));
    let (answer, ()) = tokio::try_join!(answer, async {
        pair.other.wait_for_server_side(&pair.nsp, "ask").await?;
        pair.other.close().await
    })?;
    assert_eq!(answer, json!({ "responses": [], "error": null }));

    let alone = pair.one.call("serverSideEmitWithAck", json!({ "event": "ask" })).await?;
    assert_eq!(alone, json!({ "responses": [], "error": null }));
    Ok(())
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_five_seconds() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let answer = pair.one.call("serverSideEmitWithAck", json!({ "event": "ask" })).await?;
    assert_eq!(answer["responses"], Value::Array(Vec::new()));
    assert_eq!(answer["error"], "timeout reached: missing 1 responses");
    Ok(())
}
