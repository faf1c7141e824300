//! Single sessions in the server end or hang, or the server has no more of them.

use crate::{
    cluster::{Cluster, FAR, NEAR},
    fault::{AfterFault, Fault, Result, last_for},
};
use futures_util::future::try_join_all;
use socketio_pg_tests::sessions::{self, ALL_OTHERS, LISTENERS, NODES_LISTENERS, OF_RUST, PUBLISHERS, signal};
use std::{sync::Arc, time::Instant};

pub(crate) fn faults() -> Vec<Fault> {
    vec![
        Fault::new("listening sessions terminated", "`pg_terminate_backend`, of all nodes", listeners_terminated),
        Fault::new("publishing sessions terminated", "`pg_terminate_backend`, five times", publishers_terminated),
        Fault::new("all sessions terminated", "`pg_terminate_backend` of every session", all_terminated),
        Fault::new("server processes hang for 2 s", "SIGSTOP to all sessions of the Rust nodes; `LONG=1`: 10 s", hung)
            // A session that stops while it holds a lock blocks the whole server.
            .on_its_own_server(),
        Fault::new(
            "max_connections reached",
            "other sessions take every free connection; then the nodes lose theirs for 2 s (`LONG=1`: 30 s)",
            no_connection_left,
        )
        .on_a_server_with(|builder| builder.setting("max_connections", "40")),
    ]
}

async fn terminate(cluster: &Cluster, which: &str) -> Result<u64> {
    Ok(cluster.sql(&sessions::terminate(which)).await?.ok_or("no count")?.parse()?)
}

async fn listeners_terminated(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let healed = Instant::now();
    let which = format!("(({LISTENERS}) OR ({NODES_LISTENERS}))");
    if terminate(&cluster, &which).await? < 3 {
        return Err("the listening sessions were not found".into());
    }
    cluster.wait_for_gap(FAR, 0).await?;
    cluster.wait_for_gap(NEAR, 0).await?;
    Ok(AfterFault { healed, disconnected: [true, true] })
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
    Ok(AfterFault { healed, disconnected: [false, false] })
}

async fn all_terminated(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let healed = Instant::now();
    terminate(&cluster, ALL_OTHERS).await?;
    cluster.wait_for_gap(FAR, 0).await?;
    cluster.wait_for_gap(NEAR, 0).await?;
    Ok(AfterFault { healed, disconnected: [true, true] })
}

async fn hung(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let pids = cluster.sql(&sessions::processes(OF_RUST)).await?;
    let pids = pids.ok_or("no session was found")?;
    signal("-STOP", &pids)?;
    last_for(10, 2).await;
    // Sessions that the nodes have given up end now.
    signal("-CONT", &pids)?;
    Ok(AfterFault { healed: Instant::now(), disconnected: [true, true] })
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
    terminate(&cluster, &format!("{ALL_OTHERS} AND application_name LIKE 'socketio-pg%'")).await?;
    // These sessions take every free connection, before or after a node gets it; then the node
    // loses one.
    let fill = (0..40).map(|_| async {
        if let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
            tokio::spawn(connection);
            return Ok::<_, crate::fault::Failure>(Some(client));
        }
        Ok(None)
    });
    strangers.extend(try_join_all(fill).await?.into_iter().flatten());
    last_for(30, 2).await;
    drop(strangers);
    Ok(AfterFault { healed: Instant::now(), disconnected: [true, true] })
}
