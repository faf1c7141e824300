//! `emit` and `emitWithAck`, with all selections of sockets.

use std::time::Duration;

use serde_json::{Value, json};
use socketio_pg_tests::binary;

use crate::{Outcome, Pair, names};

#[tokio::test]
async fn an_event_reaches_every_client_of_both_servers_whatever_its_size() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let clients = pair.connect_three().await?;

    let nested = json!([{ "deep": [1, { "bytes": binary([0, 255]) }] }, binary([]), "ü\u{2028}\n", null, 1.5]);
    let large = json!(["x".repeat(20_000)]);
    for (event, args) in
        [("small", json!(["text", 1, true])), ("none", json!([])), ("nested", nested), ("large", large)]
    {
        pair.one.call("emit", json!({ "event": event, "args": args })).await?;
        for client in &clients {
            assert_eq!(Value::from(client.wait_for_packet(event).await?), args, "{event}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_json_cannot_say_can_be_sent_all_the_same() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let [.., client] = pair.connect_three().await?;

    let date = json!({ "$js": "new Date(0)" });
    pair.one.call("emit", json!({ "event": "v", "args": [date, binary([1])] })).await?;
    assert_eq!(client.wait_for_packet("v").await?, [json!("1970-01-01T00:00:00.000Z"), binary([1])]);

    // a lone surrogate: UTF-8 cannot express it
    pair.one.call("emit", json!({ "event": "half", "args": [{ "$js": "'\\ud83d'" }] })).await?;
    assert_eq!(client.wait_for_packet("half").await?, [json!({ "$utf16": "Pdg=" })]);
    Ok(())
}

#[tokio::test]
async fn rooms_and_exceptions_select_the_sockets() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let [a, b, c] = pair.connect_three().await?;
    // a is in red and blue, b in blue, c in red
    for (client, rooms) in [(&a, json!(["red", "blue"])), (&b, json!(["blue"])), (&c, json!(["red"]))] {
        pair.other.call("socketsJoin", json!({ "rooms": [client.id()], "join": rooms })).await?;
    }
    pair.settle(&[&a, &b, &c]).await?;

    for command in [
        json!({ "event": "red", "rooms": ["red"] }),
        json!({ "event": "red-blue", "rooms": ["red", "blue"] }),
        json!({ "event": "not-blue", "except": ["blue"] }),
        json!({ "event": "blue-not-red", "rooms": ["blue"], "except": ["red"] }),
        json!({ "event": "private", "rooms": [c.id()] }),
        json!({ "event": "nobody", "rooms": ["no such room"] }),
        json!({ "event": "from", "from": a.id() }),
        json!({ "event": "from-to-red", "from": a.id(), "rooms": ["red"] }),
        json!({ "event": "local", "local": true }),
        json!({ "event": "flags", "compress": false, "timeout": 1000 }),
    ] {
        pair.one.call("emit", command).await?;
    }
    pair.settle(&[&a, &b, &c]).await?;
    // Nothing is on its way to the clients now, so a volatile event is not dropped.
    pair.one.call("emit", json!({ "event": "volatile", "volatile": true })).await?;
    for client in [&a, &b, &c] {
        client.wait_for_packet("volatile").await?;
    }

    assert_eq!(names(&a).await?, ["flags", "local", "red", "red-blue", "volatile"]);
    assert_eq!(names(&b).await?, ["blue-not-red", "flags", "from", "local", "red-blue", "volatile"]);
    assert_eq!(
        names(&c).await?,
        ["flags", "from", "from-to-red", "not-blue", "private", "red", "red-blue", "volatile"]
    );
    Ok(())
}

#[tokio::test]
async fn acknowledgements_are_gathered_from_the_clients_of_both_servers() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let [a, b, c] = pair.connect_three().await?;

    a.reply("ask", json!(["a", "only the first counts"])).await?;
    b.reply("ask", json!([{ "bytes": binary([1, 2]) }])).await?;
    c.reply("ask", json!(["c"])).await?;
    let answer = pair.one.call("emitWithAck", json!({ "event": "ask", "args": [1] })).await?;
    assert_eq!(answer["error"], Value::Null);
    let responses = answer["responses"].as_array().expect("a list");
    assert_eq!(responses.len(), 3);
    for response in [json!("a"), json!({ "bytes": binary([1, 2]) }), json!("c")] {
        assert!(responses.contains(&response), "{response} is not in {answer}");
    }

    let none = pair.other.call("emitWithAck", json!({ "event": "ask", "rooms": ["no such room"] })).await?;
    assert_eq!(none, json!({ "responses": [], "error": null }));
    let unprepared = pair.other.call("emitWithAck", json!({ "event": "other", "rooms": [a.id()] })).await?;
    assert_eq!(unprepared, json!({ "responses": [null], "error": null }));
    Ok(())
}

#[tokio::test]
async fn acknowledgements_that_come_too_late_are_left_out() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let [a, b, c] = pair.connect_three().await?;

    a.reply("ask", json!(["in time"])).await?;
    b.never_reply("ask").await?;
    c.reply_after("ask", json!(["late"]), Duration::from_secs(60)).await?;
    let late = pair.one.call("emitWithAck", json!({ "event": "ask", "timeout": 1000 })).await?;
    assert_eq!(late, json!({ "responses": ["in time"], "error": "operation has timed out" }));

    c.reply_after("ask", json!(["patience"]), Duration::from_millis(50)).await?;
    let patient = json!({ "event": "ask", "except": [b.id(), a.id()], "timeout": 10_000 });
    assert_eq!(pair.one.call("emitWithAck", patient).await?, json!({ "responses": ["patience"], "error": null }));
    Ok(())
}
