//! Namespaces, transports and parsers of clients.

use serde_json::json;
use socketio_pg_tests::{Connect, Parser, barrier, binary};

use crate::{Outcome, Pair, names, refusal};

#[tokio::test]
async fn namespaces_are_apart() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let main = pair.clients.connect(pair.other.port(), &Connect::default()).await?;
    let fixed = pair.clients.connect(pair.other.port(), &Connect::to("/räume/1")).await?;
    let dynamic = pair.clients.connect(pair.other.port(), &Connect::to("/game-7")).await?;
    let unknown = pair.clients.connect(pair.other.port(), &Connect::to("/none")).await;
    assert_eq!(refusal(unknown), "cannot connect: Invalid namespace");
    let connected = json!({ "event": "connected", "nsp": "/game-7", "socket": dynamic.id() });
    pair.other.wait_for_event("connected event", |event| *event == connected).await?;

    // The other server has no client there: it takes part in a dynamic namespace once a command
    // names it.
    for nsp in ["/räume/1", "/game-7"] {
        pair.one.wait_for_server_count(nsp, 2).await?;
        pair.other.wait_for_server_count(nsp, 2).await?;
    }
    for (nsp, client) in [("/", &main), ("/räume/1", &fixed), ("/game-7", &dynamic)] {
        pair.one.call("emit", json!({ "nsp": nsp, "event": nsp })).await?;
        barrier(&[&pair.one], nsp, &[client]).await?;
        pair.one.call("serverSideEmit", json!({ "nsp": nsp, "event": "from", "args": [nsp] })).await?;
        assert_eq!(pair.other.wait_for_server_side(nsp, "from").await?, json!([nsp]));
    }
    assert_eq!(names(&main).await?, ["/"]);
    assert_eq!(names(&fixed).await?, ["/räume/1"]);
    assert_eq!(names(&dynamic).await?, ["/game-7"]);
    Ok(())
}

#[tokio::test]
async fn both_parsers_and_both_transports_carry_the_same() -> Outcome {
    for parser in [Parser::Common, Parser::MsgPack] {
        let Some(pair) = Pair::start_own(|options| options.parser(parser)).await? else { return Ok(()) };
        for transport in ["websocket", "polling"] {
            let how = Connect::default().parser(parser).transports(&[transport]);
            let client = pair.clients.connect(pair.other.port(), &how).await?;
            let args = json!([{ "bytes": binary([1, 2, 3]) }, "ü", -1, 1.5, null, [true]]);
            client.reply("echo", args.clone()).await?;
            let command = json!({ "event": "echo", "args": args, "rooms": [client.id()] });
            let answer = pair.one.call("emitWithAck", command).await?;
            assert_eq!(answer, json!({ "responses": [args[0]], "error": null }), "{parser:?} {transport}");
            assert_eq!(client.wait_for_packet("echo").await?, *args.as_array().expect("an array"));
        }
    }
    Ok(())
}
