//! What all namespaces of a node share: the tasks in and out, the clock, the register of
//! namespaces.

mod clock;
mod dispatch;
mod info;
mod leaving;
mod probe;
mod register;
mod send;
mod server_side;
mod sessions;
mod tasks;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::{Mutex, RwLock};
use socketio_pg_protocol::{ReplyChannel, cluster::NodeRules};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore, watch},
    task::JoinHandle,
};

pub(in crate::node) use self::{clock::keep_time, dispatch::Unfinished, probe::own_channel, tasks::Tasks};
use self::{probe::Probe, register::Register, sessions::OwnSession};
use crate::{
    backend::{Backend, outbox::wake_channel},
    error::Error,
    inbound::link::{Link, Listening},
    node::{handlers::Handlers, namespace::Namespace, outbox::Wake, sweep::AttachmentActivity},
    observe::{
        event::Events,
        health::{Health, InboxHealth, PublisherHealth},
    },
    options::Options,
    outbound::publisher::Publisher,
};

/// The shared part of a node.
pub(crate) struct Node<B: Backend> {
    backend: Arc<B>,
    options: Options,
    events: Arc<Events>,
    clock: Arc<Notify>,
    /// The handlers of all databases of the node.
    handlers: Arc<Handlers>,
    /// The channel on which only this process receives responses. Written into its requests.
    reply_channel: Option<ReplyChannel>,
    namespaces: Register,
    /// In which session other nodes see this one.
    session: Arc<OwnSession>,
    /// The runtime of the node's tasks. The node leaves on it when it is dropped elsewhere.
    runtime: Handle,
    /// `None` once the node has left.
    tasks: RwLock<Option<Tasks<B>>>,
    /// Whether the node has finished leaving, for callers that wait for it.
    has_left: watch::Sender<bool>,
    /// While the node proves at its start that it hears.
    probe: Mutex<Option<Probe>>,
    /// Whether that is proved.
    has_heard: AtomicBool,
    attachments: Arc<AttachmentActivity>,
    /// How a writer of the outbox wakes this node, where there is one.
    outbox: Option<OutboxWake>,
    /// How many messages for the catch-up log were sent: numbers them, to tell them apart.
    logged: AtomicU64,
    /// Permits for requests of this node that wait for responses.
    requests: Arc<Semaphore>,
    /// Permits for handlers of other servers' events.
    handling: Arc<Semaphore>,
    /// Permits for acknowledgements that other nodes wait for.
    acknowledging: Arc<Semaphore>,
}

/// How a writer of the outbox wakes this node.
struct OutboxWake {
    channel: String,
    wake: Arc<Wake>,
}

impl<B: Backend> Node<B> {
    /// A node without tasks: see [`Self::run`].
    pub(in crate::node) fn new(
        backend: Arc<B>,
        options: Options,
        events: Arc<Events>,
        handlers: Arc<Handlers>,
    ) -> Self {
        let max_requests = options.max_requests.min(Semaphore::MAX_PERMITS);
        Self {
            backend,
            events,
            clock: Arc::new(Notify::new()),
            handlers,
            reply_channel: options.new_reply_channel(),
            namespaces: Register::default(),
            session: Arc::new(OwnSession::new()),
            runtime: Handle::current(),
            tasks: RwLock::default(),
            has_left: watch::Sender::new(false),
            probe: Mutex::default(),
            has_heard: AtomicBool::new(false),
            attachments: Arc::default(),
            outbox: options
                .outbox
                .as_ref()
                .map(|_| OutboxWake { channel: wake_channel(&options.channel_prefix), wake: Arc::default() }),
            logged: AtomicU64::default(),
            requests: Arc::new(Semaphore::new(max_requests)),
            handling: Arc::new(Semaphore::new(max_requests)),
            acknowledging: Arc::new(Semaphore::new(max_requests)),
            options,
        }
    }

    /// Gives the node its tasks.
    pub(in crate::node) fn run(&self, tasks: Tasks<B>) {
        *self.tasks.write() = Some(tasks);
    }

    pub(in crate::node) fn backend(&self) -> &Arc<B> {
        &self.backend
    }

    pub(in crate::node) fn shared_events(&self) -> &Arc<Events> {
        &self.events
    }

    /// The notification that wakes the clock.
    pub(in crate::node) fn clock(&self) -> &Arc<Notify> {
        &self.clock
    }

    /// Whether attachments were announced lately.
    pub(in crate::node) fn attachments(&self) -> &Arc<AttachmentActivity> {
        &self.attachments
    }

    /// The notification that wakes the publisher of the outbox.
    pub(in crate::node) fn outbox_wake(&self) -> Option<&Arc<Wake>> {
        Some(&self.outbox.as_ref()?.wake)
    }

    /// Listens on the channel on which writers of the outbox wake the servers.
    pub(in crate::node) async fn listen_for_writers(&self) -> Result<(), Error> {
        match (&self.outbox, self.link()) {
            (Some(OutboxWake { channel, .. }), Some(link)) => link.listen(channel.clone()).await,
            _ => Ok(()),
        }
    }

    /// Wakes the publisher of the outbox, if that is what a notification on this channel is for.
    pub(crate) fn wakes_outbox(&self, channel: &str) -> bool {
        let is_for_it = |outbox: &&OutboxWake| outbox.channel == channel;
        self.outbox.as_ref().filter(is_for_it).inspect(|outbox| outbox.wake.written.notify_one()).is_some()
    }

    /// Listens on the channel on which only this process receives responses, before the first
    /// request names it.
    pub(in crate::node) async fn listen_for_responses(&self) -> Result<(), Error> {
        match (&self.reply_channel, self.link()) {
            (Some(channel), Some(link)) => link.listen(channel.as_str().to_owned()).await,
            _ => Ok(()),
        }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn handlers(&self) -> &Handlers {
        &self.handlers
    }

    /// The state of the node.
    pub(crate) fn health(&self) -> Health {
        let counters = self.events.counters();
        let publishing = counters.publishing();
        let waiting = self.tasks.read().as_ref().map(|tasks| tasks.publisher.waiting());
        let is_listening = counters.is_listening();
        let mut namespaces: Vec<_> = self.namespaces.all().iter().map(|it| it.health(is_listening)).collect();
        namespaces.sort_by(|one, other| one.name.cmp(&other.name));
        let health = Health {
            node_name: self.options.name_of_node(),
            ready: false,
            closed: waiting.is_none(),
            link: counters.link(),
            publisher: PublisherHealth {
                waiting: waiting.unwrap_or(0),
                capacity: self.options.publish_queue,
                last_error: publishing.last_error,
                consecutive_failures: publishing.consecutive_failures,
            },
            inbox: InboxHealth {
                waiting: counters.waiting.load(Ordering::Relaxed),
                bytes: counters.waiting_bytes.load(Ordering::Relaxed),
                max_bytes: self.options.max_inbox_bytes,
            },
            namespaces,
            outbox: self.outbox.as_ref().map(|_| counters.outbox()),
            counts: counters.counts(),
        };
        health.judged()
    }

    fn link(&self) -> Option<Link> {
        self.tasks.read().as_ref().map(|tasks| tasks.link.clone())
    }

    fn publisher(&self) -> Result<Arc<Publisher<B>>, Error> {
        self.tasks.read().as_ref().map(|tasks| tasks.publisher.clone()).ok_or(Error::Closed)
    }

    /// A namespace that has not joined yet.
    pub(crate) fn new_namespace(&self, name: &str) -> Arc<Namespace> {
        let config = self.options.cluster_config();
        Arc::new(Namespace::new(name, &self.options.channel_prefix, config, self.clock.clone()))
    }

    /// Begins to join the cluster: registers the namespace, in place of a namespace of the same
    /// name, and asks the link to listen on its channel.
    pub(crate) fn register(&self, namespace: &Arc<Namespace>) -> Result<Listening, Error> {
        Error::check_namespace(namespace.name())?;
        let listen = || Some(self.link()?.listen(namespace.channel().to_owned()));
        let (listening, replaced) = self.namespaces.enter(namespace, listen).ok_or(Error::Closed)?;
        if let Some(replaced) = replaced {
            drop(self.leave(&replaced));
            if let Some(local) = replaced.local() {
                local.replaced();
            }
        }
        Ok(listening)
    }

    /// Lets a registered namespace join the cluster, in the background: listens first, then
    /// announces it, so that it misses no response. It continues when the caller stops waiting, and
    /// takes until the node listens.
    pub(crate) fn join(
        self: &Arc<Self>,
        namespace: Arc<Namespace>,
        listening: Listening,
    ) -> JoinHandle<Result<(), Error>> {
        let node = Arc::downgrade(self);
        self.runtime.spawn(async move {
            let listened = listening.await;
            let Some(node) = node.upgrade() else { return Err(Error::Closed) };
            if let Err(error) = listened {
                // It was not announced, so other nodes do not know it.
                node.namespaces.forget(&namespace);
                return Err(error);
            }
            let announce = || node.perform_together(vec![(namespace.clone(), namespace.with_cluster(NodeRules::join))]);
            node.namespaces.speak(&namespace, announce).unwrap_or(Err(Error::Closed))?;
            let node_name = node.options.name_of_node();
            if let Some(wake) = node.outbox_wake() {
                wake.joined.notify_one();
            }
            tracing::info!(node_name, namespace = namespace.name(), uid = %namespace.uid(), "joined the cluster");
            Ok(())
        })
    }

    /// Runs work in the background, on the runtime of the node's tasks.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(work));
    }

    pub(crate) fn namespace(&self, name: &str) -> Option<Arc<Namespace>> {
        self.namespaces.get(name)
    }

    pub(crate) fn has_no_namespace(&self) -> bool {
        self.namespaces.is_empty()
    }

    pub(crate) fn is_own(&self, uid: &str) -> bool {
        self.namespaces.has(uid)
    }

    /// Notes that an attachment was announced.
    pub(crate) fn attachment_seen(&self) {
        self.attachments.seen();
    }
}
