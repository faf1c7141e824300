//! The official emitter.

use serde_json::json;
use socketio_pg_tests::{Kind, NODE, Node, NodeOptions, binary, database, require};

use crate::{Outcome, Pair, names, refusal};

/// The known defect: it writes no namespace into its messages, and adapters from 0.4 on ignore
/// them.
#[tokio::test]
async fn the_official_emitter_speaks_and_the_official_adapter_does_not_listen() -> Outcome {
    let Some(pair) = Pair::start_own(|options| options).await? else { return Ok(()) };
    let emitter = Node::start(&Kind::NodeEmitter, &NodeOptions::new(pair.database().url())).await?;
    assert_eq!(emitter.uid(), "emitter");
    let [a, b, c] = pair.connect_three().await?;

    for (op, fields) in [
        ("emit", json!({ "event": "small", "args": [1], "volatile": true, "compress": true })),
        ("emit", json!({ "event": "binary", "args": [binary([1])], "rooms": [a.id()], "except": ["red"] })),
        ("emit", json!({ "event": "elsewhere", "nsp": "/other" })),
        ("socketsJoin", json!({ "join": ["red"] })),
        ("socketsLeave", json!({ "leave": [a.id()] })),
        ("serverSideEmit", json!({ "event": "news", "args": ["text"] })),
        ("disconnectSockets", json!({ "close": true })),
    ] {
        assert!(emitter.call(op, fields).await?.is_null());
    }
    pair.database()
        .execute("SELECT 1 / count(*) FROM socket_io_attachments")
        .expect("the binary event is in the table");

    pair.settle(&[&a, &b, &c]).await?;
    for client in [&a, &b, &c] {
        assert!(names(client).await?.is_empty());
    }
    let red = pair.one.call("fetchSockets", json!({ "rooms": ["red"] })).await?;
    assert_eq!(red, json!([]));
    assert!(pair.one.events().iter().chain(&pair.other.events()).all(|event| event["event"] == "connected"));
    Ok(())
}

#[tokio::test]
async fn the_official_emitter_refuses_what_it_cannot_do() -> Outcome {
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    let options = NodeOptions::new(database.url()).table("short_lived");
    let emitter = Node::start(&Kind::NodeEmitter, &options).await?;
    database.execute("DROP TABLE short_lived").expect("it was created");

    let unknown = emitter.call("transaction", json!({ "ops": [], "commit": true })).await;
    assert_eq!(refusal(unknown), "unknown op: transaction");
    let local = emitter.call("emit", json!({ "event": "e", "local": true })).await;
    assert_eq!(refusal(local), "the official emitter has no local");
    let lost = emitter.call("emit", json!({ "event": "e", "args": [binary([1])] })).await;
    assert_eq!(refusal(lost), r#"relation "short_lived" does not exist"#);
    emitter.close().await
}
