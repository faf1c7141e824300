//! The faults of a soak.

use crate::{
    Result,
    cluster::{Cluster, rust},
};
use rand::{RngExt as _, rngs::StdRng};
use socketio_pg_tests::{
    Node,
    sessions::{ALL_OTHERS, LISTENERS, NODES_LISTENERS, OF_RUST, PUBLISHERS, processes, signal, terminate},
};
use socketio_pg_throwaway::StopMode;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fault {
    Nothing,
    ListenersTerminated,
    PublishersTerminated,
    AllTerminated,
    StoppedFast,
    StoppedImmediate,
    Killed,
    Stalled,
    Refused,
    Reset,
    HalfOpen,
    Cut,
    Slow,
    TableLocked,
    RightsRevoked,
    ServerProcessesHang,
    NodeComesAndCloses,
    NodeComesAndIsKilled,
}

impl Fault {
    const ALL: [Self; 18] = [
        Self::Nothing,
        Self::ListenersTerminated,
        Self::PublishersTerminated,
        Self::AllTerminated,
        Self::StoppedFast,
        Self::StoppedImmediate,
        Self::Killed,
        Self::Stalled,
        Self::Refused,
        Self::Reset,
        Self::HalfOpen,
        Self::Cut,
        Self::Slow,
        Self::TableLocked,
        Self::RightsRevoked,
        Self::ServerProcessesHang,
        Self::NodeComesAndCloses,
        Self::NodeComesAndIsKilled,
    ];

    /// The faults that `SOAK_FAULTS` names (`Killed,Stalled`), or all.
    pub(crate) fn chosen() -> Vec<Self> {
        let names = std::env::var("SOAK_FAULTS").unwrap_or_default();
        let is_chosen = |fault: &Self| names.is_empty() || names.split(',').any(|name| name == format!("{fault:?}"));
        Self::ALL.into_iter().filter(is_chosen).collect()
    }

    /// Causes the fault for this time, and ends it.
    pub(crate) async fn cause(self, cluster: &Cluster, time: Duration, random: &mut StdRng) -> Result {
        let lasts = || tokio::time::sleep(time);
        match self {
            Self::Nothing => lasts().await,
            Self::ListenersTerminated => {
                cluster.sql(&terminate(&format!("(({LISTENERS}) OR ({NODES_LISTENERS}))"))).await?;
            }
            Self::PublishersTerminated => {
                cluster.sql(&terminate(PUBLISHERS)).await?;
            }
            Self::AllTerminated => {
                cluster.sql(&terminate(ALL_OTHERS)).await?;
            }
            Self::StoppedFast => stopped(cluster, StopMode::Fast, time).await?,
            Self::StoppedImmediate => stopped(cluster, StopMode::Immediate, time).await?,
            Self::Killed => stopped(cluster, StopMode::Kill, time).await?,
            Self::Stalled => {
                cluster.proxy.stall();
                lasts().await;
                cluster.proxy.pass();
            }
            Self::Refused => {
                cluster.proxy.refuse();
                lasts().await;
                cluster.proxy.pass();
            }
            Self::Reset => cluster.proxy.reset(),
            Self::HalfOpen => cluster.proxy.go_silent(),
            Self::Cut => cluster.proxy.cut_after(random.random_range(1..20_000)),
            Self::Slow => {
                cluster.proxy.slow_down(50_000);
                lasts().await;
                cluster.proxy.pass();
            }
            Self::TableLocked => {
                let client = cluster.connection().await?;
                client.batch_execute("BEGIN; LOCK TABLE socket_io_attachments IN ACCESS EXCLUSIVE MODE").await?;
                lasts().await;
                client.batch_execute("COMMIT").await?;
            }
            Self::RightsRevoked => {
                let role = &cluster.role;
                cluster.sql(&format!("REVOKE ALL ON socket_io_attachments FROM {role}")).await?;
                lasts().await;
                cluster.sql(&format!("GRANT ALL ON socket_io_attachments TO {role}")).await?;
            }
            Self::ServerProcessesHang => {
                let pids = cluster.sql(&processes(OF_RUST)).await?.ok_or("no session was found")?;
                signal("-STOP", &pids)?;
                lasts().await;
                signal("-CONT", &pids)?;
            }
            Self::NodeComesAndCloses => passing(cluster, random, time).await?.close().await?,
            Self::NodeComesAndIsKilled => passing(cluster, random, time).await?.kill().await?,
        }
        Ok(())
    }
}

async fn stopped(cluster: &Cluster, mode: StopMode, time: Duration) -> Result {
    let server = cluster.server.clone();
    tokio::task::spawn_blocking(move || {
        server.stop(mode)?;
        std::thread::sleep(time);
        server.restart()?;
        Ok::<_, crate::Failure>(())
    })
    .await?
}

/// A node that joins for a while.
async fn passing(cluster: &Cluster, random: &mut StdRng, time: Duration) -> Result<Node> {
    let backend = if random.random() { "tokio-postgres" } else { "diesel" };
    let node = Node::start(&rust(backend), &cluster.options).await?;
    tokio::time::sleep(time).await;
    Ok(node)
}
