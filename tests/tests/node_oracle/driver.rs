//! The test library itself, when a node does not do what it should.

use serde_json::json;
use socketio_pg_tests::{Error, Kind, Node, NodeOptions};

use crate::{Outcome, Pair};

#[tokio::test]
async fn a_process_that_ends_too_early_is_reported_with_its_last_words() {
    let shell = Kind::RustServer { program: "/bin/sh".into(), backend: "none".to_owned() };
    let Err(error) = Node::start(&shell, &NodeOptions::new("")).await else { panic!("a shell is no test node") };
    assert!(
        matches!(&error, Error::Ended { status: Some(status), stderr, .. } if !status.success() && !stderr.is_empty()),
        "{error}"
    );
}

#[tokio::test]
async fn a_node_that_is_gone_is_not_waited_for() -> Outcome {
    let Some(pair) = Pair::start_own(|options| options).await? else { return Ok(()) };
    let question = json!({ "event": "ask" });
    // It never answers, and is killed meanwhile.
    let (answer, ()) = tokio::try_join!(async { Ok(pair.one.call("serverSideEmitWithAck", question).await) }, async {
        pair.other.wait_for_server_side(&pair.nsp, "ask").await?;
        pair.one.kill().await
    },)?;
    assert!(matches!(answer, Err(Error::Ended { .. })), "{answer:?}");
    let later = pair.one.call("serverCount", json!({})).await;
    assert!(matches!(later, Err(Error::Ended { .. })), "{later:?}");
    let event = pair.one.wait_for_event("event of the dead", |_| false).await;
    assert!(matches!(event, Err(Error::Ended { .. })), "{event:?}");
    Ok(())
}
