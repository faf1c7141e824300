//! `serverCount`: the members of the cluster.

use crate::{
    scenario::{Outcome, Scenario, observed},
    scene::{Scene, Stage},
};
use serde_json::{Value, json};
use socketio_pg_tests::Error;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("serverCount: servers join and leave", join_and_leave).on(Stage::Mortal),
        Scenario::new("serverCount: servers die", die).on(Stage::Mortal),
        Scenario::new("serverCount in each namespace", per_namespace),
    ]
}

async fn counts(scene: &Scene) -> Result<Value, Error> {
    let mut counts = Vec::new();
    for server in scene.servers() {
        counts.push(scene.call(server, "serverCount", json!({})).await?);
    }
    Ok(counts.into())
}

/// Servers like the third, and one like the first.
async fn join_and_leave(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let one = scene.start_another().await?;
    scene.wait_for_servers(4).await?;
    one.wait_for_server_count(&scene.nsp, 4).await?;
    let other = scene.start_another_like_the_first().await?;
    scene.wait_for_servers(5).await?;
    other.wait_for_server_count(&scene.nsp, 5).await?;
    one.node.close().await?;
    scene.wait_for_servers(4).await?;
    // At the end of its input it sends a close message, too.
    other.node.hang_up().await?;
    scene.wait_for_servers(3).await?;
    observed(counts(&scene).await?, json!([3, 3, 3]))
}

async fn die(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let one = scene.start_another().await?;
    let other = scene.start_another_like_the_first().await?;
    scene.wait_for_servers(5).await?;
    tokio::try_join!(one.node.kill(), other.node.kill())?;
    scene.wait_for_servers(3).await?;
    // A server that starts again is a new node.
    let again = scene.start_another().await?;
    scene.wait_for_servers(4).await?;
    again.node.close().await?;
    scene.wait_for_servers(3).await?;
    observed(counts(&scene).await?, json!([3, 3, 3]))
}

/// A server has only the namespaces that it was given, and clients cannot enter others.
async fn per_namespace(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let unknown = scene.in_namespace("/unknown");
    let mut refused = Vec::new();
    for server in scene.servers() {
        let connected = unknown.connect("x", server, socketio_pg_tests::Connect::to("/unknown")).await;
        refused.push(matches!(connected, Err(Error::Refused { text }) if text.contains("Invalid namespace")));
    }
    observed(json!([counts(&scene).await?, refused]), json!([[3, 3, 3], [true, true, true]]))
}
