//! The application's own pool, through which a node publishes, when the application has taken all
//! of its connections.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use socketio_pg_tests::{Watch as _, on_this_machine};

use crate::{
    case::{AfterFault, Case, FAR_ONLY, Result, last_for},
    cluster::{Cluster, FAR, NAMES},
};

pub(crate) fn cases() -> Vec<Case> {
    let borrowed = |case: Case| case.with_for_far(|options| options.borrowed_pool(4));
    vec![
        borrowed(Case::new(
            "the application exhausts a borrowed pool",
            "and the link breaks meanwhile: the node listens again all the same; `LONG=1`: for a minute",
            exhausted,
        )),
        borrowed(Case::new("the application exhausts a borrowed pool, with the catch-up log", "the same", exhausted))
            .with_log(),
    ]
}

async fn exhausted(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let node = &cluster.nodes[FAR];
    node.call("exhaustPool", Value::Null).await?;
    let gaps = node.gaps().await?.len();
    let healed = Instant::now();
    // Those of the pool as well: a connection that the application has taken stays broken.
    cluster.proxy.reset();
    cluster.wait_for_gap(FAR, gaps).await?;
    // It listens on a connection of its own. It cannot fetch attachments meanwhile, and so reports
    // them.
    if healed.elapsed() > on_this_machine(Duration::from_secs(10)) {
        return Err(format!("{} listened again after {:?} only", NAMES[FAR], healed.elapsed()).into());
    }
    last_for(60, 3).await;
    // What it sends while the pool has no free connection gets an error in time.
    let asked = Instant::now();
    match cluster.emit(FAR, "without a connection", json!([])).await {
        Ok(_) => return Err("a message was taken, though there is no connection for it".into()),
        // It may be sent again: the other nodes cannot have got it.
        Err(error) if error.to_string().contains("the message was not published") => {}
        Err(error) => return Err(format!("it is not said that nothing was sent: {error}").into()),
    }
    if asked.elapsed() > on_this_machine(Duration::from_secs(20)) {
        return Err(format!("the sender was told after {:?}", asked.elapsed()).into());
    }
    node.call("releasePool", Value::Null).await?;
    Ok(AfterFault { healed, disconnected: FAR_ONLY })
}
