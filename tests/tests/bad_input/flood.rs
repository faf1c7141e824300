//! Very much of it.

use socketio_pg_tests::ClientHost;

use crate::{
    Result,
    wire::CHANNEL,
    world::{World, rust_server},
};

/// How many at once; 12 kinds of them, one large.
const FLOOD: u64 = 20_000;

/// In kB. What is kept of all that arrived is bounded, so that the second flood adds nothing to the first, but for
/// what the allocator does.
const ALLOWED_FIRST: u64 = 64 * 1024;
const ALLOWED_AGAIN: u64 = 16 * 1024;

#[tokio::test]
async fn a_flood_takes_no_memory() -> Result {
    let Some(mut world) = World::start(&rust_server(), ClientHost::shared().await?).await? else { return Ok(()) };
    let before = resident(&world);
    flood(&mut world, 1).await?;
    let first = resident(&world);
    for round in 2..=4 {
        flood(&mut world, round).await?;
    }
    let last = resident(&world);
    eprintln!("DBG {before} {first} {last}");
    assert!(first < before + ALLOWED_FIRST, "{before} kB, then {first} kB");
    assert!(last < first + ALLOWED_AGAIN, "{first} kB, then {last} kB");
    // Each from a sender of its own: so many are told apart.
    assert_eq!(world.reports(1000).await?.len(), 1000);
    world.end().await
}

async fn flood(world: &mut World, round: u64) -> Result {
    let (before, _) = world.counts().await?;
    world
        .wire
        .execute(&format!(
            r#"SELECT count(pg_notify('{CHANNEL}', CASE i % 12
                 WHEN 0 THEN 'no JSON ' || i
                 WHEN 1 THEN '{{"type":3,"uid":"' || uid || '","nsp":"/","data":"' || repeat('x', 7000) || '"}}'
                 WHEN 2 THEN '{{"type":"x","uid":"' || uid || '"}}'
                 WHEN 3 THEN '{{"type":3,"uid":"' || uid || '","nsp":"/","data":{{"packet":{{"type":99,"data":["case"]}},"opts":{{}}}}}}'
                 WHEN 4 THEN '{{"type":3,"uid":"' || uid || '","attachmentId":"-' || i || '"}}'
                 WHEN 5 THEN '{{"type":3,"uid":"' || uid || '","attachmentId":"x' || i || '"}}'
                 WHEN 6 THEN '{{"type":4,"uid":"' || uid || '","nsp":"/","data":{{"opts":{{}},"rooms":7}}}}'
                 WHEN 7 THEN '{{"type":8,"uid":"' || uid || '","nsp":"/","data":{{"requestId":"r","sockets":null}}}}'
                 WHEN 8 THEN '{{"type":9,"uid":"' || uid || '","nsp":"/","data":{{"packet":[]}}}}'
                 WHEN 9 THEN '{{"type":11,"uid":"' || uid || '","nsp":"/","data":{{"requestId":"r","clientCount":-1}}}}'
                 WHEN 10 THEN repeat('[', 1 + i % 7000)
                 ELSE '{{"type":3,"uid":"' || uid || '","nsp":"/","data":{{"packet":{{"type":2,"data":["disconnect"]}},"opts":{{}}}}}}'
               END))
               FROM (SELECT i, 'flood {round} ' || i AS uid FROM generate_series(1, {FLOOD}) AS i) AS numbered"#
        ))
        .await;
    assert!(world.until_good().await?.is_empty());
    assert_eq!(world.counts().await?.0, before + FLOOD);
    Ok(())
}

/// The memory that the server has now, in kB.
fn resident(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
