//! `serverCount`: the members of the cluster.

use serde_json::{Value, json};

use super::{
    cluster::Settings,
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
};
use crate::harness::Error;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("serverCount: servers join and leave", join_and_leave).on(Settings::ShortHeartbeats),
        Scenario::new("serverCount: servers die", die).on(Settings::ShortHeartbeats),
        Scenario::new("serverCount in each namespace", per_namespace),
    ]
}

async fn counts(fixture: &Fixture) -> Result<Value, Error> {
    let mut counts = Vec::new();
    for server in fixture.servers() {
        counts.push(fixture.call(server, "serverCount", json!({})).await?);
    }
    Ok(counts.into())
}

/// Servers like the third, and one like the first.
async fn join_and_leave(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let one = fixture.start_another().await?;
    fixture.wait_for_servers(4).await?;
    one.wait_for_server_count(&fixture.nsp, 4).await?;
    let other = fixture.start_another_like_the_first().await?;
    fixture.wait_for_servers(5).await?;
    other.wait_for_server_count(&fixture.nsp, 5).await?;
    one.node.close().await?;
    fixture.wait_for_servers(4).await?;
    // At the end of its input it sends a close message, too.
    other.node.hang_up().await?;
    fixture.wait_for_servers(3).await?;
    observed(counts(&fixture).await?, json!([3, 3, 3]))
}

async fn die(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let one = fixture.start_another().await?;
    let other = fixture.start_another_like_the_first().await?;
    fixture.wait_for_servers(5).await?;
    tokio::try_join!(one.node.kill(), other.node.kill())?;
    fixture.wait_for_servers(3).await?;
    // A server that starts again is a new node.
    let again = fixture.start_another().await?;
    fixture.wait_for_servers(4).await?;
    again.node.close().await?;
    fixture.wait_for_servers(3).await?;
    observed(counts(&fixture).await?, json!([3, 3, 3]))
}

/// A server has only the namespaces that it was given, and clients cannot enter others.
async fn per_namespace(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let unknown = fixture.in_namespace("/unknown");
    let mut refused = Vec::new();
    for server in fixture.servers() {
        let connected = unknown.connect("x", server, crate::harness::Connect::to("/unknown")).await;
        // python-socketio's text is not in the form in which JavaScript's clients show it.
        let is_refusal = |text: &str| ["Invalid namespace", "cannot connect"].iter().any(|part| text.contains(part));
        refused.push(matches!(connected, Err(Error::Refused { text }) if is_refusal(&text)));
    }
    observed(json!([counts(&fixture).await?, refused]), json!([[3, 3, 3], [true, true, true]]))
}
