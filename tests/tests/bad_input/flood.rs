//! Very much of it.

use socketio_pg_tests::ClientHost;

use crate::{
    Result,
    wire::CHANNEL,
    world::{World, rust_server},
};

/// How many at once: 12 kinds, of 20 MB together.
const NOTIFICATIONS: u64 = 20_000;
const FLOODS: u64 = 5;

/// How much memory the server may take for them, in kB. What is still on its way takes some, and the allocator keeps it.
const ALLOWED: u64 = 64 * 1024;

#[tokio::test]
async fn a_flood_takes_no_memory() -> Result {
    let Some(mut world) = World::start(&rust_server(), ClientHost::shared().await?).await? else { return Ok(()) };
    let before = resident(&world);
    for number in 0..FLOODS {
        flood(&mut world, number).await?;
    }
    let after = resident(&world);
    assert!(after < before + ALLOWED, "{before} kB, then {after} kB");
    // Each came from a sender of its own: so many are told apart.
    assert_eq!(world.reports(1000).await?.len(), 1000);
    world.end().await
}

async fn flood(world: &mut World, number: u64) -> Result {
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
               FROM (SELECT i, 'flood {number} ' || i AS uid FROM generate_series(1, {NOTIFICATIONS}) AS i) AS numbered"#
        ))
        .await;
    assert!(world.until_good().await?.is_empty());
    assert_eq!(world.counts().await?.0, before + NOTIFICATIONS);
    Ok(())
}

/// The memory that the server has now, in kB.
fn resident(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
