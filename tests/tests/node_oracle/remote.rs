//! `remote`: operations on one socket that may be connected anywhere.

use serde_json::json;

use crate::{Outcome, Pair, names, sorted};

#[tokio::test]
async fn one_socket_is_operated_from_either_server() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let [a, b, c] = pair.connect_three().await?;

    for (server, target) in [(&pair.one, &c), (&pair.one, &a), (&pair.other, &b)] {
        let on = |mut command: serde_json::Value| {
            command["target"] = target.id().into();
            server.call("remote", command)
        };
        on(json!({ "do": "emit", "event": "hello", "args": [1, 2] })).await?;
        assert_eq!(target.wait_for_packet("hello").await?, [1, 2]);

        target.reply("ask", json!([["a", "list"]])).await?;
        let answer = on(json!({ "do": "emitWithAck", "event": "ask", "args": ["?"] })).await?;
        assert_eq!(answer, json!({ "responses": [["a", "list"]], "error": null }));
        target.never_reply("ask").await?;
        let late = on(json!({ "do": "emitWithAck", "event": "ask", "timeout": 50 })).await?;
        assert_eq!(late, json!({ "responses": [], "error": "operation has timed out" }));

        on(json!({ "do": "join", "join": ["red", "blue", "green"] })).await?;
        on(json!({ "do": "leave", "leave": ["blue", "green"] })).await?;
        let found = server.call("fetchSockets", json!({ "rooms": [target.id()] })).await?;
        assert_eq!(sorted(&found[0]["rooms"]), sorted(&json!([target.id(), "red"])));

        on(json!({ "do": "disconnect", "close": true })).await?;
        assert_eq!(target.wait_for_disconnect().await?, "io server disconnect");
    }
    for client in [&a, &b, &c] {
        assert_eq!(names(client).await?, ["ask", "ask", "hello"]);
    }
    Ok(())
}
