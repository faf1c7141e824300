//! PostgreSQL itself ends, and starts again.

use crate::{
    cluster::Cluster,
    fault::{AfterFault, Fault, Result, Seen, last_for},
};
use socketio_pg_tests::{Error, Node};
use socketio_pg_throwaway::StopMode;
use std::{sync::Arc, time::Instant};

pub(crate) fn faults() -> Vec<Fault> {
    let stopped = |name, about, mode, long, short| {
        Fault::new(name, about, move |cluster| stopped(cluster, mode, long, short)).on_its_own_server()
    };
    vec![
        stopped("stopped (fast) for 5 s", "`LONG=1`: 30 s", StopMode::Fast, 30, 5),
        stopped("stopped (fast) for 1 s", "as with `pg_ctl restart -m fast`", StopMode::Fast, 1, 1),
        stopped("stopped (immediate) for 1 s", "sessions end without an error message", StopMode::Immediate, 1, 1),
        stopped("killed (-9) for 1 s", "the server recovers from its log when it starts again", StopMode::Kill, 1, 1),
        Fault::special(
            "not there when a node starts",
            "connecting fails at once, with an error that says so; the application decides whether to try again",
            not_there_at_the_start,
        )
        .on_its_own_server(),
    ]
}

async fn stop(cluster: &Arc<Cluster>, mode: StopMode) -> Result {
    let server = cluster.server.clone();
    Ok(tokio::task::spawn_blocking(move || server.stop(mode)).await??)
}

async fn restart(cluster: &Arc<Cluster>) -> Result {
    let server = cluster.server.clone();
    Ok(tokio::task::spawn_blocking(move || server.restart()).await??)
}

async fn stopped(cluster: Arc<Cluster>, mode: StopMode, long: u64, short: u64) -> Result<AfterFault> {
    stop(&cluster, mode).await?;
    last_for(long, short).await;
    restart(&cluster).await?;
    Ok(AfterFault { healed: Instant::now(), disconnected: [true, true] })
}

async fn not_there_at_the_start(cluster: Arc<Cluster>) -> Result<Seen> {
    stop(&cluster, StopMode::Fast).await?;
    let refused = Node::start(&cluster.rust, &cluster.options).await.map(drop);
    let Err(Error::Ended { stderr, .. }) = refused else {
        return Err(format!("a node that cannot connect is to end: {refused:?}").into());
    };
    let told = stderr.join(" ");
    if !told.contains("cannot be reached") {
        return Err(format!("it does not say why: {told}").into());
    }
    restart(&cluster).await?;
    let started = Instant::now();
    let late = Node::start(&cluster.rust, &cluster.options).await?;
    late.wait_for_server_count("/", 4).await?;
    late.close().await?;
    Ok(Seen {
        heard_again: format!("{:.1} s, when started again", started.elapsed().as_secs_f64()),
        senders: "`ConnectError::Unreachable`, at once".to_owned(),
        receivers: "-".to_owned(),
        reported: "-".to_owned(),
    })
}
