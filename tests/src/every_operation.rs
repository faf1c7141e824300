//! What must work in a healthy cluster: each operation, from each node to each other node.

use serde_json::{Value, json};

use crate::{Error, Member, binary, wait_for_all_members};

/// Carries out every operation from every member. Each member has one client. The names of rooms
/// and events are unique to a run.
///
/// # Errors
/// Text that says whose operation failed, and how.
pub async fn everything_works(members: &[Member]) -> Result<(), String> {
    wait_for_all_members(members).await.map_err(|error| error.to_string())?;
    for (actor, member) in members.iter().enumerate() {
        operations(members, actor).await.map_err(|error| format!("after the fault, {}: {error}", member.name))?;
    }
    Ok(())
}

/// Why an operation failed: it gave an error, or another result than expected.
struct Failure(String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

async fn operations(members: &[Member], actor: usize) -> Result<(), Failure> {
    let (node, count) = (&members[actor].node, members.len());
    let others = || (0..count).filter(move |&other| other != actor);
    let event = |kind: &str| format!("{kind} of {actor}");

    for (kind, args) in [("small", json!([1, "ä"])), ("attachment", json!([binary(vec![7; 20_000]), "b".repeat(9000)]))]
    {
        node.call("emit", json!({ "event": event(kind), "args": args })).await?;
        for member in members {
            same(kind, json!(member.client.wait_for_packet(&event(kind)).await?), args.clone())?;
        }
    }

    let (room, name) = (
        |other: usize| format!("room of {actor} and {other}"),
        |other: usize| format!("to a room of {actor} and {other}"),
    );
    for other in others() {
        let target = members[other].client.id();
        node.call("socketsJoin", json!({ "rooms": [target], "join": [room(other)] })).await?;
        node.call("emit", json!({ "rooms": [room(other)], "event": name(other), "args": [] })).await?;
        members[other].client.wait_for_packet(&name(other)).await?;
        node.call("socketsLeave", json!({ "rooms": [target], "leave": [room(other)] })).await?;
        let sockets = node.call("fetchSockets", json!({ "timeout": 20_000 })).await?;
        same("sockets", json!(sockets.as_array().map(Vec::len)), json!(count))?;
        let is_still_in =
            |socket: &Value| socket["rooms"].as_array().is_some_and(|rooms| rooms.contains(&json!(room(other))));
        same("members after leaving", json!(sockets.as_array().map(|all| all.iter().any(is_still_in))), json!(false))?;
    }
    for (stranger, member) in members.iter().enumerate() {
        let packets = member.client.received().await?;
        let of_others = |event: &String| others().any(|other| other != stranger && *event == name(other));
        same("strangers in a room", json!(packets.iter().any(|packet| of_others(&packet.event))), json!(false))?;
    }

    let acks = node.call("emitWithAck", json!({ "event": event("ack"), "args": [], "timeout": 20_000 })).await?;
    same("acknowledgements", json!([acks["responses"].as_array().map(Vec::len), acks["error"]]), json!([count, null]))?;

    node.call("serverSideEmit", json!({ "event": event("server-side"), "args": [actor] })).await?;
    for other in others() {
        let heard = members[other].node.wait_for_server_side("/", &event("server-side")).await?;
        same("a server-side event", heard, json!([actor]))?;
        members[other].node.call("replyServerSide", json!({ "event": event("question"), "with": [other] })).await?;
    }
    let answers = node.call("serverSideEmitWithAck", json!({ "event": event("question"), "args": [] })).await?;
    let mut given: Vec<u64> = answers["responses"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    given.sort_unstable();
    same("answers of servers", json!([given, answers["error"]]), json!([others().collect::<Vec<_>>(), null]))
}

fn same(what: &str, seen: Value, expected: Value) -> Result<(), Failure> {
    if seen == expected { Ok(()) } else { Err(Failure(format!("{what}: {seen} and not {expected}"))) }
}
