//! Single sessions in the server end or hang, or the server has no more of them.

use std::{sync::Arc, time::Instant};

use futures_util::future::try_join_all;
use socketio_pg_tests::{
    fault::{Failure, Fault},
    sessions::{LISTENERS, NODES_LISTENERS, OF_RUST, PUBLISHERS, terminate},
};

use crate::{
    case::{AfterFault, BOTH, Case, NONE, Result, last_for},
    cluster::{Cluster, FAR, NEAR},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("listening sessions terminated", "`pg_terminate_backend`, of all nodes", listeners_terminated),
        Case::new("publishing sessions terminated", "`pg_terminate_backend`, five times", publishers_terminated),
        Case::new("all sessions terminated", "`pg_terminate_backend` of every session", all_terminated),
        Case::lasting(
            "server processes hang for 2 s",
            "SIGSTOP to all sessions of the Rust nodes; `LONG=1`: 10 s",
            (Fault::ServerProcessesHang, BOTH),
            (10, 2),
        )
        // A session that stops while it holds a lock blocks the whole server.
        .on_its_own_server(),
        Case::new(
            "max_connections reached",
            "other sessions take every free connection; then the nodes lose theirs for 2 s (`LONG=1`: 30 s)",
            no_connection_left,
        )
        .on_a_server_with(|builder| builder.setting("max_connections", "40")),
    ]
}

async fn listeners_terminated(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let listening = format!("SELECT count(*) >= 3 FROM pg_stat_activity WHERE ({LISTENERS}) OR ({NODES_LISTENERS})");
    cluster.until("all nodes listen", &listening, "t").await?;
    both_disconnected_by(&cluster, Fault::ListenersTerminated).await
}

async fn all_terminated(cluster: Arc<Cluster>) -> Result<AfterFault> {
    both_disconnected_by(&cluster, Fault::AllTerminated).await
}

async fn both_disconnected_by(cluster: &Cluster, fault: Fault) -> Result<AfterFault> {
    let healed = Instant::now();
    let noticed = async {
        cluster.wait_for_gap(FAR, 0).await?;
        cluster.wait_for_gap(NEAR, 0).await
    };
    fault.during(cluster.place(), noticed).await?;
    Ok(AfterFault { healed, disconnected: BOTH })
}

async fn publishers_terminated(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let mut healed = Instant::now();
    // A session that is ending is still listed for a while: it counts once.
    let mut ended = "0".to_owned();
    for _ in 0..5 {
        loop {
            let others = format!("({PUBLISHERS}) AND pid NOT IN ({ended})");
            let both = format!("SELECT count(*) >= 2 FROM pg_stat_activity WHERE {others}");
            cluster.until("both Rust nodes publish", &both, "t").await?;
            healed = Instant::now();
            let terminated = format!(
                "WITH them AS MATERIALIZED (SELECT pid FROM pg_stat_activity WHERE {others})
                 SELECT string_agg(pid::text, ',') FROM them WHERE pg_terminate_backend(pid)"
            );
            // Meanwhile their last statement may be another one.
            if let Some(pids) = cluster.sql(&terminated).await? {
                ended = format!("{ended},{pids}");
                break;
            }
        }
    }
    Ok(AfterFault { healed, disconnected: NONE })
}

async fn no_connection_left(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let url = cluster.options.database_url().to_owned();
    let mut strangers = Vec::new();
    // After this the server accepts no more sessions, and then the nodes lose their connections.
    loop {
        match tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                strangers.push(client);
            }
            Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::TOO_MANY_CONNECTIONS) => break,
            Err(error) => return Err(error.into()),
        }
    }
    cluster.sql(&terminate(OF_RUST)).await?;
    // These sessions take every free connection, before or after a node gets it; then the node
    // loses one.
    let fill = (0..40).map(|_| async {
        if let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
            tokio::spawn(connection);
            return Ok::<_, Failure>(Some(client));
        }
        Ok(None)
    });
    strangers.extend(try_join_all(fill).await?.into_iter().flatten());
    last_for(30, 2).await;
    drop(strangers);
    Ok(AfterFault { healed: Instant::now(), disconnected: BOTH })
}
