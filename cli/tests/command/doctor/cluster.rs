//! What it says of the servers of the cluster.

use serde_json::json;
use socketio_pg_core::{Options, Outbox};
use socketio_pg_tests::database;

use super::{Findings, start};
use crate::{
    fake_node::fake_node,
    program::run,
    servers::{HangingServer, Servers},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_cluster_has_nothing_wrong() {
    let Some(servers) = Servers::start().await else { return };
    let findings = Findings::of(&servers.url(), &[], 0).await;
    findings.are_all_ok();
    findings.have("servers", "ok", &["3 servers answered", "2 namespaces"]);
    findings.have("listeners", "ok", &["1 other session"]);
    findings.have("functions", "ok", &["no SQL functions"]);
    let table = run(&servers.url(), &["doctor", "--quiet"]).await.with(0);
    assert_eq!(table.stdout, "");
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_named() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = start(&url, Options::default().node_name("web-1")).await;
    let other = start(&url, Options::default().node_name("web-9").channel_prefix("elsewhere")).await;
    let findings = Findings::of(&url, &[], 3).await;
    findings.have("sessions", "warning", &["did not answer: web-9", "--prefix"]);
    node.cluster.close().await;
    other.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_different_versions_are_told() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = start(&url, Options::default()).await;
    // Another Rust server, of a later version.
    let other = fake_node(&url, &["/"], || json!({ "language": "Rust", "version": "9.9.9" })).await;
    Findings::of(&url, &[], 3).await.have("versions", "warning", &["9.9.9", env!("CARGO_PKG_VERSION")]);
    other.abort();
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_not_hidden_by_one_of_the_same_name() {
    let Some(database) = database() else { return };
    let url = database.url();
    let options = || Options::default().node_name("web-1");
    let node = start(&url, options()).await;
    let twin = HangingServer::start(&url, options()).await;
    let findings = Findings::of(&url, &[], 0).await;
    findings.have("servers", "ok", &["2 servers answered"]);
    findings.have("sessions", "ok", &["every Rust server that is connected answered"]);
    let hang = twin.hang();
    let findings = Findings::of(&url, &[], 3).await;
    findings.have("servers", "ok", &["1 server answered"]);
    let says = "did not answer: web-1 (2 servers of this name are connected, 1 answered)";
    findings.have("sessions", "warning", &[says]);
    Findings::of(&url, &["--namespace", "/"], 0).await.have("sessions", "ok", &["it cannot be told which"]);
    drop(hang);
    twin.close().await;
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_only_publishes_the_outbox_need_not_answer() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = start(&url, Options::default().outbox(Outbox::default())).await;
    let options = Options::default().outbox(Outbox::default()).node_name("publisher").channel_prefix("elsewhere");
    let publisher = start(&url, options).await;
    let findings = Findings::of(&url, &["--outbox"], 0).await;
    findings.have("sessions", "ok", &["only publish the outbox: publisher"]);
    publisher.cluster.close().await;
    node.cluster.close().await;
}
