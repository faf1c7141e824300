//! Options of a node whose effect is visible in the database.

use std::time::{Duration, Instant};

use serde_json::json;
use socketio_pg_tests::{Kind, Node, NodeOptions, time_limit};
use socketio_pg_throwaway::Database;

use crate::{Outcome, Pair};

#[tokio::test]
async fn prefix_table_and_threshold_are_the_nodes_own() -> Outcome {
    let own = |options: NodeOptions| {
        options.channel_prefix("mine").table("my_attachments").payload_threshold(200).pool_size(4)
    };
    let Some(pair) = Pair::start_own(own).await? else { return Ok(()) };
    let stranger = Node::start(&Kind::NodeServer, &NodeOptions::new(pair.database().url())).await?;
    let client = pair.connect(&pair.other).await?;
    pair.one.call("emit", json!({ "event": "short", "args": ["x"] })).await?;
    client.wait_for_packet("short").await?;
    assert!(holds(pair.database(), "(SELECT count(*) FROM my_attachments) = 0"));
    pair.one.call("emit", json!({ "event": "long", "args": ["x".repeat(200)] })).await?;
    client.wait_for_packet("long").await?;
    assert!(holds(pair.database(), "(SELECT count(*) FROM my_attachments) = 1"));
    assert!(holds(pair.database(), "(SELECT count(*) FROM socket_io_attachments) = 0"));

    // On channels with another prefix, nodes do not know each other.
    assert_eq!(stranger.call("serverCount", json!({})).await?, 1);
    assert_eq!(pair.one.call("serverCount", json!({})).await?, 2);
    Ok(())
}

#[tokio::test]
async fn old_attachments_are_cleaned_up() -> Outcome {
    let often = |options: NodeOptions| options.cleanup_interval(Duration::from_millis(500));
    let Some(pair) = Pair::start_own(often).await? else { return Ok(()) };
    pair.one.call("emit", json!({ "event": "long", "args": ["x".repeat(9_000)] })).await?;

    let started = Instant::now();
    while !holds(
        pair.database(),
        "(SELECT count(*) FROM socket_io_attachments) = 0 AND (SELECT is_called FROM socket_io_attachments_id_seq)",
    ) {
        assert!(started.elapsed() < time_limit(), "the attachment stays");
        // The database does not report when it is cleaned up, so the test asks again and again. The
        // pause only saves processor time.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn listening_may_go_through_another_url() -> Outcome {
    let two_urls = |options: NodeOptions| {
        let database_url = options.database_url().to_owned();
        let mark = if database_url.contains('?') { '&' } else { '?' };
        options.listen_url(format!("{database_url}{mark}application_name=listener"))
    };
    let Some(pair) = Pair::start_own(two_urls).await? else { return Ok(()) };
    let client = pair.connect(&pair.other).await?;
    pair.one.call("emit", json!({ "event": "heard" })).await?;
    client.wait_for_packet("heard").await?;

    let listeners =
        "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'";
    assert!(holds(pair.database(), &format!("{listeners} AND application_name = 'listener') = 2")));
    assert!(holds(pair.database(), &format!("{listeners} AND application_name <> 'listener') = 0")));
    Ok(())
}

/// Whether a condition holds in the database.
fn holds(database: &Database, condition: &str) -> bool {
    database.execute(&format!("SELECT 1 / (CASE WHEN {condition} THEN 1 ELSE 0 END)")).is_ok()
}
