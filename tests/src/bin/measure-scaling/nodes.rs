//! Nodes in this process, whose sessions are counted.

use std::time::Duration;

use futures_util::future::try_join_all;
use socketio_pg_core::{Cluster, Options, PostgresAdapter};
use socketio_pg_throwaway::Database;
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use socketioxide::{SocketIo, adapter::Emitter};

use crate::{
    Failure,
    counting::{Counting, Delivered},
};

type Driver = Counting<TokioPostgresBackend>;

pub(crate) struct Node {
    pub(crate) cluster: Cluster<Driver>,
    pub(crate) io: SocketIo<PostgresAdapter<Emitter, Driver>>,
}

/// Options with which no heartbeat falls into the measured time.
pub(crate) fn without_heartbeats() -> Options {
    Options::default().heartbeat_interval(Duration::from_secs(600)).heartbeat_timeout(Duration::from_secs(1200))
}

/// The names of this many namespaces.
pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("/{number}")).collect()
}

/// Starts this many nodes, which know each other in every namespace.
pub(crate) async fn start(
    database: &Database,
    count: usize,
    namespaces: &[String],
    options: &Options,
    delivered: &Delivered,
) -> Result<Vec<Node>, Failure> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        let backend = Counting::new(TokioPostgresBackend::try_from(database.url())?, delivered.clone());
        let cluster = Cluster::<Driver>::connect(backend, options.clone()).await?;
        let builder = SocketIo::builder().with_adapter::<PostgresAdapter<Emitter, Driver>>(cluster.clone());
        let (_, io) = builder.build_layer();
        try_join_all(namespaces.iter().map(|namespace| io.ns(namespace.clone(), async || {}))).await?;
        nodes.push(Node { cluster, io });
    }
    let knows_all = |node: &Node| namespaces.iter().all(|name| node.cluster.of(name).server_count() == count);
    while !nodes.iter().all(knows_all) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(nodes)
}

pub(crate) async fn close(nodes: Vec<Node>) {
    for node in nodes {
        node.cluster.close().await;
    }
}
