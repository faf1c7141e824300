//! A flood of bad input.

use socketio_pg_tests::ClientHost;

use crate::{
    Result,
    fixture::{Fixture, rust_server},
    wire::CHANNEL,
};

/// How many messages at once: 12 kinds, 20 MB together.
const NOTIFICATIONS: u64 = 20_000;
const FLOODS: u64 = 5;

/// How much memory the server may take for them, in kB: messages on their way take some, and the
/// allocator keeps it.
const ALLOWED: u64 = 64 * 1024;

#[tokio::test]
async fn a_flood_takes_no_memory() -> Result {
    let Some(mut fixture) = Fixture::start(&rust_server(), ClientHost::shared().await?).await? else { return Ok(()) };
    let before = resident(&fixture);
    for number in 0..FLOODS {
        flood(&mut fixture, number).await?;
    }
    let after = resident(&fixture);
    assert!(after < before + ALLOWED, "{before} kB, then {after} kB");
    // Each came from a sender of its own: this many senders are reported separately.
    let missed = fixture.missed().await?;
    let told = fixture.reports(1000_usize.saturating_sub(missed)).await?.len();
    assert!(told <= 1001 && told + missed >= 1000, "{told} told, {missed} missed");
    fixture.end().await
}

async fn flood(fixture: &mut Fixture, number: u64) -> Result {
    let (before, _) = fixture.counts().await?;
    let kinds = r#"CASE i % 12
        WHEN 0 THEN 'no JSON ' || i
        WHEN 1 THEN head || '"type":3,"data":"' || repeat('x', 7000) || '"}'
        WHEN 2 THEN head || '"type":"x"}'
        WHEN 3 THEN head || '"type":3,"data":{"packet":{"type":99,"data":["case"]},"opts":{}}}'
        WHEN 4 THEN head || '"type":3,"data":{"packet":{"type":2,"data":["disconnect"]},"opts":{}}}'
        WHEN 5 THEN head || '"type":3,"attachmentId":"-' || i || '"}'
        WHEN 6 THEN head || '"type":3,"attachmentId":"x' || i || '"}'
        WHEN 7 THEN head || '"type":4,"data":{"opts":{},"rooms":7}}'
        WHEN 8 THEN head || '"type":8,"data":{"requestId":"r","sockets":null}}'
        WHEN 9 THEN head || '"type":9,"data":{"packet":[]}}'
        WHEN 10 THEN head || '"type":11,"data":{"requestId":"r","clientCount":-1}}'
        ELSE repeat('[', 1 + i % 7000)
    END"#;
    let head = format!(r#"'{{"nsp":"/","uid":"flood {number} ' || i || '",'"#);
    let numbered = format!("SELECT i, {head} AS head FROM generate_series(1, {NOTIFICATIONS}) AS i");
    let flood = format!("SELECT count(pg_notify('{CHANNEL}', {kinds})) FROM ({numbered}) AS numbered");
    fixture.wire.execute(&flood).await;
    assert!(fixture.until_good().await?.is_empty());
    assert_eq!(fixture.counts().await?.0, before + NOTIFICATIONS);
    Ok(())
}

/// The server's memory in kB.
fn resident(fixture: &Fixture) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", fixture.server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
