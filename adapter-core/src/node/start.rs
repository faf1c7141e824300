//! Starts a node: prepares its tables, spawns its tasks, and checks that what it sends comes back.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tracing::Instrument;

#[cfg(feature = "metrics")]
use crate::observe::metrics;
use crate::{
    backend::{
        Backend, BackendError, ErrorKind,
        prepare::{Prepare, improve},
        table::TableSpec,
    },
    error::ConnectError,
    inbound::{
        attachments::Fetcher,
        catch_up::Reader,
        link::{Arrival, Link},
    },
    node::{
        handlers::Handlers,
        inbox,
        outbox::publish_outbox,
        shared::{Node, Tasks, keep_time, own_channel},
        sweep::{sweep, sweep_log},
    },
    observe::event::Events,
    options::Options,
    outbound::publisher::{Limits, Publisher, Tables},
};

/// Connects: prepares the tables, starts the tasks, and checks that what is sent comes back.
pub(super) async fn connect<B: Backend>(
    backend: B,
    options: Options,
    events: Events,
    handlers: Arc<Handlers>,
) -> Result<Arc<Node<B>>, ConnectError> {
    options.validate()?;
    backend.set_node_name(&options.name_of_node());
    let limit = options.connect_timeout.saturating_add(backend.time_for_other_hosts());
    let opening = open(backend, options, events, handlers).instrument(tracing::info_span!("connect"));
    timeout(limit, opening).await.map_err(|_| ConnectError::Timeout(limit))?
}

async fn open<B: Backend>(
    backend: B,
    options: Options,
    events: Events,
    handlers: Arc<Handlers>,
) -> Result<Arc<Node<B>>, ConnectError> {
    let backend = Arc::new(backend);
    prepare_tables(&*backend, &options).await?;
    let node = Arc::new(Node::new(backend, options, Arc::new(events), handlers));
    let started = start(&node);
    started.await.map_err(|_| ConnectError::NotListening { waited: Duration::ZERO })??;
    node.prove_hearing().await?;
    node.listen_for_responses().await.map_err(|_| ConnectError::NotListening { waited: Duration::ZERO })?;
    node.listen_for_writers().await.map_err(|_| ConnectError::NotListening { waited: Duration::ZERO })?;
    Ok(node)
}

async fn prepare_tables<B: Backend>(backend: &B, options: &Options) -> Result<(), ConnectError> {
    match backend.prepare(&options.table, false).await {
        // The connection worked: errors from here on concern the table, not the connection's
        // settings.
        Err(error) if error.kind() == ErrorKind::MissingTable && options.create_table => {
            let creating = backend.prepare(&options.table, true).await;
            creating.map_err(|error| ConnectError::creating(&options.table, error))?;
        }
        prepared => prepared.map_err(|error| ConnectError::preparing(&options.table, error))?,
    }
    improve(backend, &options.table, &TableSpec::ATTACHMENTS, options.create_table).await;
    if let Some(log) = &options.catch_up {
        let prepared = backend.prepare_log(log.table_name(), options.create_table).await;
        prepared.map_err(|error| ConnectError::preparing_log(log.table_name(), error))?;
        improve(backend, log.table_name(), &TableSpec::LOG, options.create_table).await;
    }
    if let Some(outbox) = &options.outbox {
        let failed = |error| ConnectError::preparing_outbox(outbox.table_name(), error);
        backend.prepare_outbox(outbox.table_name(), options.create_table).await.map_err(failed)?;
    }
    Ok(())
}

/// Spawns the tasks of a node. The returned receiver gets the result of the first attempt to
/// listen.
fn start<B: Backend>(node: &Arc<Node<B>>) -> oneshot::Receiver<Result<(), BackendError>> {
    let (backend, options, events) = (node.backend(), node.options(), node.shared_events());
    let fetcher = Fetcher::new(backend.clone(), options, events.clone());
    let (mut intake, inbox_tasks) = inbox::start(Arc::downgrade(node), options, events.clone(), fetcher);
    let tables = Tables { attachments: options.table.clone(), log: options.catch_up.clone() };
    // A quarter, so that no heartbeat comes too late behind it.
    let limits =
        Limits { full: options.query_timeout, while_hanging: options.query_timeout.min(options.heartbeat_timeout / 4) };
    let (publisher, publishing) =
        Publisher::start(backend.clone(), tables, options.publish_queue, limits, events.clone());
    let log = options.catch_up.clone().map(|log| {
        let channel = own_channel(&options.channel_prefix);
        Reader::new(backend.clone(), log, channel, options.check_interval)
    });
    let take = move |arrival: Arrival<'_>| intake.take(arrival);
    let (link, started, link_task) = Link::start(backend.clone(), options, events.clone(), log, take);
    let mut tasks = vec![
        link_task,
        tokio::spawn(keep_time(Arc::downgrade(node), node.clock().clone(), options.clone())),
        tokio::spawn(sweep(backend.clone(), options.clone(), node.attachments().clone(), events.clone())),
    ];
    if let Some(log) = &options.catch_up {
        // A little longer than the log goes back, for rows that are dated before their transaction
        // is committed.
        let age = log.retention().saturating_add(options.cleanup_interval);
        let sweeping = sweep_log(backend.clone(), log.table_name().to_owned(), age, options.clone(), events.clone());
        tasks.push(tokio::spawn(sweeping));
    }
    tasks.extend(inbox_tasks);
    #[cfg(feature = "metrics")]
    tasks.push(tokio::spawn(metrics::export({
        let node = Arc::downgrade(node);
        move || node.upgrade().map(|node| (node.shared_events().clone(), node.health()))
    })));
    let outbox = options.outbox.clone().zip(node.outbox_wake().cloned()).map(|(outbox, wake)| {
        let (stop, stopped) = watch::channel(false);
        let publishing = publish_outbox(backend.clone(), outbox, options.clone(), wake, events.clone(), stopped);
        (stop, tokio::spawn(publishing))
    });
    node.run(Tasks { publisher: Arc::new(publisher), publishing, link, tasks, outbox });
    started
}
