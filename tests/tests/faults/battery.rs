//! What must work again after a fault: each operation, from each node to each other one.

use crate::{
    fault::Result,
    world::{NAMES, World},
};
use serde_json::{Value, json};
use socketio_pg_tests::binary;

pub(crate) async fn everything_works(world: &World) -> Result {
    world.wait_for_everybody().await?;
    for (actor, name) in NAMES.into_iter().enumerate() {
        operations(world, actor).await.map_err(|error| format!("after the fault, {name}: {error}"))?;
    }
    Ok(())
}

async fn operations(world: &World, actor: usize) -> Result {
    let node = &world.nodes[actor];
    let others = || (0..3).filter(move |&other| other != actor);
    let event = |kind: &str| format!("{kind} of {actor}");

    for (kind, args) in [("small", json!([1, "ä"])), ("attachment", json!([binary(vec![7; 20_000]), "b".repeat(9000)]))]
    {
        world.emit(actor, &event(kind), args.clone()).await?;
        for client in &world.clients {
            same(kind, json!(client.wait_for_packet(&event(kind)).await?), args.clone())?;
        }
    }

    for other in others() {
        let (room, name) = (format!("room of {actor} and {other}"), format!("to a room of {actor} and {other}"));
        let target = world.clients[other].id();
        node.call("socketsJoin", json!({ "rooms": [target], "join": [room] })).await?;
        node.call("emit", json!({ "rooms": [room], "event": name, "args": [] })).await?;
        world.clients[other].wait_for_packet(&name).await?;
        node.call("socketsLeave", json!({ "rooms": [target], "leave": [room] })).await?;
        let sockets = node.call("fetchSockets", json!({ "timeout": 5000 })).await?;
        same("sockets", json!(sockets.as_array().map(Vec::len)), json!(3))?;
        let is_still_in = |socket: &Value| socket["rooms"].as_array().is_some_and(|rooms| rooms.contains(&json!(room)));
        same("members after leaving", json!(sockets.as_array().map(|all| all.iter().any(is_still_in))), json!(false))?;
    }
    for other in others() {
        let others_packets = world.clients[(3 - actor - other) % 3].received().await?;
        let name = format!("to a room of {actor} and {other}");
        same("strangers in a room", json!(others_packets.iter().any(|packet| packet.event == name)), json!(false))?;
    }

    let acks = node.call("emitWithAck", json!({ "event": event("ack"), "args": [], "timeout": 5000 })).await?;
    same("acknowledgements", json!([acks["responses"].as_array().map(Vec::len), acks["error"]]), json!([3, null]))?;

    node.call("serverSideEmit", json!({ "event": event("server-side"), "args": [actor] })).await?;
    for other in others() {
        let heard = world.nodes[other].wait_for_server_side("/", &event("server-side")).await?;
        same("a server-side event", heard, json!([actor]))?;
        world.nodes[other].call("replyServerSide", json!({ "event": event("question"), "with": [other] })).await?;
    }
    let answers = node.call("serverSideEmitWithAck", json!({ "event": event("question"), "args": [] })).await?;
    let mut given: Vec<u64> = answers["responses"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    given.sort_unstable();
    same("answers of servers", json!([given, answers["error"]]), json!([others().collect::<Vec<_>>(), null]))
}

fn same(what: &str, seen: Value, expected: Value) -> Result {
    if seen == expected { Ok(()) } else { Err(format!("{what}: {seen} and not {expected}").into()) }
}
