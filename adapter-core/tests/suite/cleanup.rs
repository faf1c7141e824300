//! Cleaning up that falls behind, on a database in memory, with paused time.

use std::time::Duration;

use socketio_pg_core::{
    CatchUp, Cluster, Event, EventStream, Options,
    testing::memory::{MemoryBackend, MemoryDatabase},
};

const TABLE: &str = "socket_io_log";

async fn reason(events: &mut EventStream) -> String {
    let waiting = async {
        loop {
            match events.next().await.unwrap() {
                Event::CleanupBehind { table, reason } if table == TABLE => return reason,
                _ => continue,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), waiting).await.expect("it is told")
}

async fn rows_are_swept(database: &MemoryDatabase, cluster: &Cluster<MemoryBackend>) {
    database.slow_sweeps(Duration::ZERO);
    let before = cluster.counts().swept;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(cluster.counts().swept > before, "nothing was swept");
}

#[tokio::test(start_paused = true)]
async fn cleaning_up_that_fails_again_and_again_is_told_once_until_it_works_again() {
    let database = MemoryDatabase::default();
    // A mark of the node is a row of the log.
    let options = Options::default().catch_up(CatchUp::last(Duration::from_secs(1)));
    let cluster: Cluster<MemoryBackend> = Cluster::connect(database.backend(), options).await.unwrap();
    let mut events = cluster.events();
    // Longer than a query may take, however few rows it deletes.
    database.slow_sweeps(Duration::from_secs(11));
    let told = reason(&mut events).await;
    assert!(told.contains("failed 3 times in a row") && told.contains("query_timeout"), "{told}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(cluster.counts().sweep_failures > 10);
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        assert!(!matches!(event, Event::CleanupBehind { table, .. } if table == TABLE), "it was told again");
    }
    rows_are_swept(&database, &cluster).await;
    // The same again from then on.
    database.slow_sweeps(Duration::from_secs(11));
    reason(&mut events).await;
}

#[tokio::test(start_paused = true)]
async fn cleaning_up_that_is_slower_than_what_comes_is_told_and_goes_on() {
    const ROWS: u64 = 40_000;
    let database = MemoryDatabase::default();
    let options = Options::default().catch_up(CatchUp::last(Duration::from_secs(1)));
    let cluster: Cluster<MemoryBackend> = Cluster::connect(database.backend(), options).await.unwrap();
    let mut events = cluster.events();
    database.fill_log(ROWS);
    // In time for a query, but so slowly that all of them take longer than an interval.
    database.slow_sweeps(Duration::from_secs(9));
    let told = reason(&mut events).await;
    assert!(told.contains("as many become old"), "{told}");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3600);
    while cluster.counts().swept < ROWS {
        assert!(tokio::time::Instant::now() < deadline, "{} rows were swept", cluster.counts().swept);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(cluster.counts().sweep_failures, 0);
}
