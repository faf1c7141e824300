//! What all servers must agree on once all is quiet.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use socketio_pg_tests::{Client, Node, barrier, time_limit};

use crate::{Result, cluster::Slot, crowd::Crowd};

/// Servers do not report this by themselves. The pause between two requests only saves processor
/// time.
const PAUSE: Duration = Duration::from_millis(100);

type Sockets = BTreeMap<String, BTreeSet<String>>;

/// Waits until each server that has one of the namespaces counts all servers and fetches all
/// clients.
pub(crate) async fn all_servers_know(crowd: &Crowd<'_>, namespaces: &BTreeSet<String>, when: &str) {
    let all = namespaces.iter().map(|nsp| async move {
        let holders: Vec<&Slot> = crowd.cluster.slots.iter().filter(|slot| slot.holds(nsp)).collect();
        let count = holders.len();
        join_all(holders.into_iter().map(|slot| knows(crowd, slot, nsp, count, when))).await;
    });
    let mut all_know = pin!(join_all(all));
    loop {
        tokio::select! {
            _ = &mut all_know => return,
            () = tokio::time::sleep(PAUSE) => crowd.come_again().await,
        }
    }
}

async fn knows(crowd: &Crowd<'_>, slot: &Slot, nsp: &str, count: usize, when: &str) {
    let deadline = Instant::now() + time_limit();
    loop {
        let members = crowd.staying();
        let there = members.iter().filter(|member| member.nsp == *nsp);
        let expected: Sockets = there.map(|member| (member.client.id().to_owned(), crowd.rooms(member))).collect();
        let found = look(slot, nsp, count, &expected).await;
        let Err(difference) = found else { return };
        if Instant::now() > deadline {
            return crowd.wrong(format!("{when}, {} does not know {nsp:?} as it is: {difference}", slot.name));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look(slot: &Slot, nsp: &str, count: usize, expected: &Sockets) -> Result {
    let counted = slot.call("serverCount", nsp, json!({})).await?;
    if counted != count {
        return Err(format!("it counts {counted} servers, not {count}").into());
    }
    let fetched = slot.call("fetchSockets", nsp, json!({})).await?;
    let mut found = Sockets::new();
    for socket in fetched.as_array().into_iter().flatten() {
        let id = socket["id"].as_str().unwrap_or_default().to_owned();
        let rooms = socket["rooms"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let rooms = rooms.filter(|room| *room != id).map(str::to_owned).collect();
        if found.insert(id.clone(), rooms).is_some() {
            return Err(format!("{id} is there twice").into());
        }
    }
    if found == *expected {
        return Ok(());
    }
    let missing: Vec<_> = expected.keys().filter(|id| !found.contains_key(*id)).collect();
    let strange: Vec<_> = found.keys().filter(|id| !expected.contains_key(*id)).collect();
    let rooms: Vec<_> = found
        .iter()
        .filter(|(id, rooms)| expected.get(*id).is_some_and(|others| others != *rooms))
        .map(|(id, rooms)| format!("{id} in {rooms:?} instead of {:?}", expected[id]))
        .collect();
    Err(format!("missing {missing:?}, strange {strange:?}, rooms: {rooms:?}").into())
}

/// Waits until every connected client has everything that was sent before.
pub(crate) async fn quiet(crowd: &Crowd<'_>, namespaces: &BTreeSet<String>) {
    let all = namespaces.iter().map(|nsp| async move {
        let members = crowd.staying();
        let clients: Vec<&Client> =
            members.iter().filter(|member| member.nsp == *nsp).map(|member| &member.client).collect();
        let slots = crowd.cluster.slots.iter().filter(|slot| slot.holds(nsp));
        let nodes: Vec<Arc<Node>> = slots.filter_map(Slot::node).collect();
        let nodes: Vec<&Node> = nodes.iter().map(|node| &**node).collect();
        if let Err(error) = barrier(&nodes, nsp, &clients).await {
            crowd.wrong(format!("in {nsp:?} a client does not get everything: {}", first_lines(&error.to_string())));
        }
    });
    join_all(all).await;
}

/// All clients have left: servers must keep nothing of them.
pub(crate) async fn nothing_is_left(crowd: &Crowd<'_>, namespaces: &BTreeSet<String>) {
    for slot in &crowd.cluster.slots {
        for nsp in namespaces.iter().filter(|nsp| slot.holds(nsp)) {
            match slot.call("localRooms", nsp, json!({})).await {
                Ok(rooms) if rooms == json!([]) => {}
                Ok(rooms) => crowd.wrong(format!("{} still has rooms of {nsp:?}: {rooms}", slot.name)),
                Err(error) => crowd.wrong(format!("{} does not tell its rooms of {nsp:?}: {error}", slot.name)),
            }
        }
        if let Some(grown) = slot.grown() {
            crowd.wrong(grown);
        }
    }
}

fn first_lines(text: &str) -> String {
    text.chars().take(600).collect()
}
