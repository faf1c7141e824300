//! PostgreSQL itself ends, and starts again.

use std::{sync::Arc, time::Instant};

use socketio_pg_tests::{Error, Node, fault::Fault};

use crate::{
    case::{BOTH, Case, Result, Seen},
    cluster::Cluster,
};

pub(crate) fn cases() -> Vec<Case> {
    let stopped = |name, about, fault, length| Case::lasting(name, about, (fault, BOTH), length).on_its_own_server();
    vec![
        stopped("stopped (fast) for 5 s", "`LONG=1`: 30 s", Fault::StoppedFast, (30, 5)),
        stopped("stopped (fast) for 1 s", "as with `pg_ctl restart -m fast`", Fault::StoppedFast, (1, 1)),
        stopped(
            "stopped (immediate) for 1 s",
            "sessions end without an error message",
            Fault::StoppedImmediate,
            (1, 1),
        ),
        stopped("killed (-9) for 1 s", "the server recovers from its log when it starts again", Fault::Killed, (1, 1)),
        Case::special(
            "not there when a node starts",
            "connecting fails at once, with an error that says so; the application decides whether to try again",
            not_there_at_the_start,
        )
        .on_its_own_server(),
    ]
}

async fn not_there_at_the_start(cluster: Arc<Cluster>) -> Result<Seen> {
    let start = async { Ok(Node::start(&cluster.rust, &cluster.options).await.map(drop)) };
    let refused = Fault::StoppedFast.during(cluster.place(), start).await?;
    let Err(Error::Ended { stderr, .. }) = refused else {
        return Err(format!("a node that cannot connect is to end: {refused:?}").into());
    };
    let told = stderr.join(" ");
    if !told.contains("cannot be reached") {
        return Err(format!("it does not say why: {told}").into());
    }
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
