//! What all namespaces of a node share: the roads in and out, the clock, the register of namespaces.

mod clock;
mod leaving;
mod probe;
mod register;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use socketio_pg_protocol::{
    Body, Message, NodeId, Relay, ReplyChannel, RequestId, channel,
    cluster::{Action, Cluster as Rules},
    notification::Encoded,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tracing::Instrument;

use self::{
    clock::keep_time,
    leaving::Roads,
    probe::{Probe, own_channel},
    register::Register,
};
use crate::{
    backend::{Backend, BackendError, Content, ErrorKind, FetchLimits, Outgoing, Row, in_time},
    catch_up::{self, Reader},
    effect::Effect,
    error::{ConnectError, Error},
    event::{Dropped, Events},
    health::{Health, InboxHealth, PublisherHealth},
    inbox,
    link::{Link, Listening},
    namespace::{Answer, LocalRequest, Namespace, Request},
    options::Options,
    origin::Origin,
    prepare::improve,
    publisher::{Published, Publisher, Tables},
    server_side,
    sweep::{Sightings, sweep, sweep_log},
    table::Shape,
};

/// The shared part of a node.
pub(crate) struct Hub<B: Backend> {
    backend: Arc<B>,
    options: Options,
    events: Arc<Events>,
    clock: Arc<Notify>,
    /// Those of all databases of the node.
    handlers: Arc<server_side::Handlers>,
    /// Where this process alone hears answers. Written into its requests.
    reply_channel: Option<ReplyChannel>,
    namespaces: Register,
    /// Where its tasks are, and where it leaves when it is dropped elsewhere.
    runtime: Handle,
    /// Gone once the node has left.
    roads: RwLock<Option<Roads<B>>>,
    /// Whether the leaving has ended, for those who wait for it.
    has_left: watch::Sender<bool>,
    probe: Mutex<Option<Probe>>,
    attachments: Arc<Sightings>,
    /// How many messages for the catch-up log were sent: what tells them apart.
    logged: AtomicU64,
    /// Places for requests of this node that wait for answers.
    requests: Arc<Semaphore>,
    /// Places for work that other nodes ask for and that takes its time.
    asked: Arc<Semaphore>,
}

/// What is left of a message when it was handled.
pub(crate) struct Unfinished {
    origin: Origin,
    rest: Rest,
}

enum Rest {
    /// To be published.
    Answers(Vec<Body>),
    Actions(Vec<Action>),
}

impl<B: Backend> Hub<B> {
    /// Connects: prepares the table, opens the roads, and proves that what is sent comes back.
    pub(crate) async fn connect(
        backend: B,
        options: Options,
        events: Events,
        handlers: Arc<server_side::Handlers>,
    ) -> Result<Arc<Self>, ConnectError> {
        options.validate()?;
        let limit = options.connect_timeout.saturating_add(backend.time_for_other_hosts());
        let opening = Self::open(backend, options, events, handlers).instrument(tracing::info_span!("connect"));
        let hub = timeout(limit, opening).await;
        hub.map_err(|_| ConnectError::Timeout(limit))?
    }

    async fn open(
        backend: B,
        options: Options,
        events: Events,
        handlers: Arc<server_side::Handlers>,
    ) -> Result<Arc<Self>, ConnectError> {
        let backend = Arc::new(backend);
        match backend.prepare(&options.table, false).await {
            // It was connected: what goes wrong from here on is the table's fault, not that of the connection's settings.
            Err(error) if error.kind() == ErrorKind::MissingTable && options.create_table => {
                let creating = backend.prepare(&options.table, true).await;
                creating.map_err(|error| ConnectError::creating(&options.table, error))?;
            }
            prepared => prepared.map_err(|error| ConnectError::preparing(&options.table, error))?,
        }
        improve(&*backend, &options.table, &Shape::ATTACHMENTS, options.create_table).await;
        if let Some(log) = &options.catch_up {
            let prepared = backend.prepare_log(log.table_name(), options.create_table).await;
            prepared.map_err(|error| ConnectError::preparing_log(log.table_name(), error))?;
            improve(&*backend, log.table_name(), &Shape::LOG, options.create_table).await;
        }

        let events = Arc::new(events);
        let hub = Arc::new(Self {
            backend: backend.clone(),
            events: events.clone(),
            clock: Arc::new(Notify::new()),
            handlers,
            reply_channel: options.new_reply_channel(),
            namespaces: Register::default(),
            runtime: Handle::current(),
            roads: RwLock::default(),
            has_left: watch::Sender::new(false),
            probe: Mutex::default(),
            attachments: Arc::default(),
            logged: AtomicU64::default(),
            requests: Arc::new(Semaphore::new(options.max_requests.min(Semaphore::MAX_PERMITS))),
            asked: Arc::new(Semaphore::new(options.max_requests.min(Semaphore::MAX_PERMITS))),
            options,
        });
        let weak = Arc::downgrade(&hub);
        let options = &hub.options;
        let (intake, inbox_tasks) = inbox::start(weak.clone(), options, events.clone());
        let tables = Tables { attachments: options.table.clone(), log: options.catch_up.clone() };
        let (publisher, publishing) =
            Publisher::start(backend.clone(), tables, options.publish_queue, options.query_timeout, events.clone());
        let log = options.catch_up.clone().map(|log| {
            let channel = own_channel(&options.channel_prefix);
            Reader::new(backend.clone(), log, channel, options.check_interval)
        });
        let (link, started, link_task) =
            Link::start(backend.clone(), options.check_interval, events.clone(), log, move |arrival| {
                intake.take(arrival)
            });
        let mut tasks = vec![
            link_task,
            tokio::spawn(keep_time(weak, hub.clock.clone())),
            tokio::spawn(sweep(backend.clone(), options.clone(), hub.attachments.clone(), events.clone())),
        ];
        if let Some(log) = &options.catch_up {
            // A little longer than it goes back, for rows that are dated before their transaction is committed.
            let age = log.retention().saturating_add(options.cleanup_interval);
            tasks.push(tokio::spawn(sweep_log(backend, log.table_name().to_owned(), age, options.clone(), events)));
        }
        tasks.extend(inbox_tasks);
        #[cfg(feature = "metrics")]
        tasks.push(tokio::spawn(crate::metrics::export(Arc::downgrade(&hub), crate::metrics::Exporter::new())));
        *hub.roads.write() = Some(Roads { publisher: Arc::new(publisher), publishing, link, tasks });

        started.await.map_err(|_| ConnectError::Deaf { waited: Duration::ZERO })??;
        hub.prove_hearing().await?;
        // Before the first request names it.
        if let (Some(channel), Some(link)) = (&hub.reply_channel, hub.link()) {
            let listening = link.listen(channel.as_str().to_owned()).await;
            listening.map_err(|_| ConnectError::Deaf { waited: Duration::ZERO })?;
        }
        Ok(hub)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn handlers(&self) -> &server_side::Handlers {
        &self.handlers
    }

    /// How the node is.
    pub(crate) fn health(&self) -> Health {
        let meters = self.events.meters();
        let publishing = meters.publishing();
        let waiting = self.roads.read().as_ref().map(|roads| roads.publisher.waiting());
        let mut namespaces: Vec<_> = self.namespaces.all().iter().map(|it| it.health()).collect();
        namespaces.sort_by(|one, other| one.name.cmp(&other.name));
        let health = Health {
            ready: false,
            closed: waiting.is_none(),
            link: meters.link(),
            publisher: PublisherHealth {
                waiting: waiting.unwrap_or(0),
                capacity: self.options.publish_queue,
                last_error: publishing.last_error,
                consecutive_failures: publishing.consecutive_failures,
            },
            inbox: InboxHealth {
                waiting: meters.waiting.load(Ordering::Relaxed),
                bytes: meters.waiting_bytes.load(Ordering::Relaxed),
                max_bytes: self.options.max_inbox_bytes,
            },
            namespaces,
            counts: meters.counts(),
        };
        health.judged()
    }

    fn link(&self) -> Option<Link> {
        self.roads.read().as_ref().map(|roads| roads.link.clone())
    }

    fn publisher(&self) -> Result<Arc<Publisher<B>>, Error> {
        self.roads.read().as_ref().map(|roads| roads.publisher.clone()).ok_or(Error::Closed)
    }

    // ---- namespaces ----

    /// A namespace that has not joined yet.
    pub(crate) fn new_namespace(&self, name: &str) -> Arc<Namespace> {
        let channel = channel::name(&self.options.channel_prefix, name);
        Arc::new(Namespace::new(name, channel, self.options.cluster_config(), self.clock.clone()))
    }

    /// Begins to join the cluster: from now on the namespace is known here, in place of any of that name, and is being listened to.
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

    /// Lets a registered namespace join the cluster, in the background: listens first, then announces it, so that no answer is
    /// missed. It goes on when nobody waits for it, and takes until the node listens.
    pub(crate) fn join(
        self: &Arc<Self>,
        namespace: Arc<Namespace>,
        listening: Listening,
    ) -> JoinHandle<Result<(), Error>> {
        let hub = Arc::downgrade(self);
        self.runtime.spawn(async move {
            let listened = listening.await;
            let Some(hub) = hub.upgrade() else { return Err(Error::Closed) };
            if let Err(error) = listened {
                // Nobody has heard of it.
                hub.namespaces.forget(&namespace);
                return Err(error);
            }
            let announce = || hub.perform_together(vec![(namespace.clone(), namespace.with_cluster(Rules::join))]);
            hub.namespaces.speak(&namespace, announce).unwrap_or(Err(Error::Closed))
        })
    }

    /// Runs in the background, where the node's tasks do.
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

    /// Finds the sender of something that is not a message, for the report.
    pub(crate) fn sender_of(&self, payload: &str) -> Option<NodeId> {
        let at = payload.find(r#""uid":""#)? + r#""uid":""#.len();
        let (uid, _) = payload.get(at..)?.split_once('"')?;
        (uid.len() <= 64).then(|| uid.into())
    }

    // ---- out ----

    /// `reply_to` is the channel of an answer that is not for everyone.
    fn outgoing(&self, namespace: &Namespace, body: Body, reply_to: Option<&ReplyChannel>) -> Result<Outgoing, Error> {
        Error::check_namespace(namespace.name())?;
        let mut message = Message::new(namespace.uid().clone(), namespace.name(), body);
        message.relay = Relay::marked();
        if message.body.is_request() {
            message.reply_to = self.reply_channel.clone();
        }
        let is_logged = self.options.catch_up.is_some() && catch_up::is_logged(&message.body);
        if is_logged {
            message.nonce = Some(format!("{:x}", self.logged.fetch_add(1, Ordering::Relaxed)));
        }
        let content = match message.encode(self.options.budget())? {
            Encoded::Inline(payload) => Content::Inline(payload),
            Encoded::Attachment { body, before_id, after_id } => {
                self.attachments.seen();
                Content::Attachment { body, before_id, after_id }
            }
        };
        let channel = reply_to.map_or(namespace.channel(), ReplyChannel::as_str).to_owned();
        Ok(Outgoing { channel, content, is_logged })
    }

    /// Queues an answer: where the requester wants it, else for everyone.
    ///
    /// It puts off no heartbeat, because the other nodes may not hear it.
    pub(crate) async fn answer(&self, namespace: &Namespace, body: Body, origin: &Origin) -> Result<(), Error> {
        let reply_to = origin.channel_for(&body);
        let outgoing = self.outgoing(namespace, body, reply_to)?;
        self.publisher()?.queue_answer(outgoing).await
    }

    /// Publishes a message; returns once it is committed. `effect` runs in any case, also when it cannot be published at all.
    pub(crate) async fn publish(&self, namespace: &Arc<Namespace>, body: Body, effect: Effect) -> Result<(), Error> {
        let prepared = self.outgoing(namespace, body, None).and_then(|outgoing| Ok((outgoing, self.publisher()?)));
        let (outgoing, publisher) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let failed = Err(error);
                effect.run(&failed);
                return failed;
            }
        };
        let namespace = namespace.clone();
        let effect = Effect::new(move |result| {
            // What others did not hear puts off no heartbeat.
            if result.is_ok() {
                namespace.lock().published(tokio::time::Instant::now().into_std());
            }
            effect.run(result);
        });
        publisher.publish(outgoing, effect).await
    }

    /// Starts a request of this node, and publishes what the rules say. Fails when it cannot be published.
    ///
    /// Where the publication takes longer than until `deadline`, it returns then: the request has ended without answers.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        start: impl FnOnce(&mut Rules, std::time::Instant, RequestId),
        deadline: Option<Instant>,
        effect: Effect,
    ) -> Result<Request, Error> {
        let limit = self.options.max_requests;
        let Ok(place) = self.requests.clone().try_acquire_owned() else {
            effect.forget();
            return Err(Error::TooManyRequests { limit });
        };
        let request = namespace.new_request(place);
        let id = request.id.clone();
        let actions = namespace.with_cluster(|cluster, now| start(cluster, now, id));
        let mut effect = Some(effect);
        for action in actions {
            match action {
                // As an event without acknowledgements: a sender's local sockets get them in the order of the queue.
                Action::Publish(body) => {
                    let committed = self.queue_own(namespace, body, effect.take().unwrap_or_default())?.committed();
                    match deadline {
                        Some(deadline) => timeout_at(deadline, committed).await.unwrap_or(Ok(()))?,
                        None => committed.await?,
                    }
                }
                other => self.perform_one(namespace, other, &Origin::default())?,
            }
        }
        if let Some(effect) = effect {
            effect.run(&Ok(()));
        }
        Ok(request)
    }

    /// Queues what the rules say is to be published. They take it for published, and are told when it was not.
    fn queue_own(&self, namespace: &Arc<Namespace>, body: Body, effect: Effect) -> Result<Published, Error> {
        let effect = tells_rules(namespace, effect);
        let outgoing = self.outgoing(namespace, body, None)?;
        self.publisher()?.queue(outgoing, effect)
    }

    // ---- in ----

    /// A place for work that another node asks for, to be kept while it lasts. `None`, and counted, when there is too much of it.
    pub(crate) fn place_for_work(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.asked.clone().try_acquire_owned().ok();
        if place.is_none() {
            self.events.dropped(Dropped::Requests);
        }
        place
    }

    /// Notes who sent a message that has just arrived. Tells whether it need be handled, in its turn.
    pub(crate) fn hear<P>(&self, namespace: &Namespace, uid: Option<&NodeId>, body: &Body<P>) -> bool {
        let mut is_kept = false;
        let actions = namespace.with_cluster(|cluster, now| is_kept = cluster.hear(now, uid, body));
        self.note(namespace, actions);
        is_kept
    }

    /// Notes that a node lives.
    pub(crate) fn heard(&self, namespace: &Namespace, uid: &NodeId) {
        let actions = namespace.with_cluster(|cluster, now| cluster.heard(now, uid));
        self.note(namespace, actions);
    }

    /// Tells of nodes that came: nothing else follows from hearing of them.
    fn note(&self, namespace: &Namespace, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::NodeJoined(node) => {
                    self.events.emit(crate::Event::NodeJoined { namespace: namespace.name().to_owned(), node });
                }
                Action::TooManyNodes(_) => self.events.dropped(Dropped::Nodes),
                _ => {}
            }
        }
    }

    /// Handles a message, in its turn. What it asks of local sockets is done when this returns; what then is to be done may have
    /// to wait, and is for [`Self::finish`].
    pub(crate) fn handle(self: &Arc<Self>, namespace: &Arc<Namespace>, mut message: Message) -> Option<Unfinished> {
        if namespace.has_left() || message.uid.as_ref() == Some(namespace.uid()) {
            return None;
        }
        let sender = message.uid.as_ref().map(tracing::field::display);
        let _span =
            tracing::trace_span!("handle", namespace = namespace.name(), kind = message.body.kind(), sender).entered();
        tracing::trace!("handling a message");
        let reply_to = message.reply_to.take().filter(|channel| channel.is_of(&self.options.channel_prefix));
        let origin = Origin { sender: message.uid.clone(), reply_to };
        let rest = match LocalRequest::of(message.body) {
            Ok(request) => Rest::Answers(namespace.local()?.carry_out(request, &origin)),
            Err(body) => {
                let message = Message { body, ..message };
                Rest::Actions(namespace.with_cluster(|cluster, _| cluster.handle_in_turn(message)))
            }
        };
        let is_done = match &rest {
            Rest::Answers(answers) => answers.is_empty(),
            Rest::Actions(actions) => actions.is_empty(),
        };
        (!is_done).then_some(Unfinished { origin, rest })
    }

    /// Does what is left of a message.
    pub(crate) async fn finish(self: &Arc<Self>, namespace: &Arc<Namespace>, unfinished: Unfinished) {
        let Unfinished { origin, rest } = unfinished;
        let finished = match rest {
            Rest::Answers(answers) => self.answer_all(namespace, answers, &origin).await,
            Rest::Actions(actions) => self.perform(namespace, actions, &origin),
        };
        if let Err(error) = finished {
            tracing::debug!(%error, "an answer was not published");
        }
    }

    /// Announces all namespaces again, after the node was deaf.
    pub(crate) fn announce_all(self: &Arc<Self>) {
        let announced = self.namespaces.speak_all(|all| {
            let actions = all.iter().map(|namespace| (namespace.clone(), namespace.with_cluster(Rules::join)));
            self.perform_together(actions.collect())
        });
        if let Err(error) = announced {
            tracing::debug!(%error, "the namespaces were not announced again");
        }
    }

    /// Performs actions of many namespaces; what is to be published goes out together. Never waits: time goes on whatever the
    /// application sends.
    fn perform_together(self: &Arc<Self>, all: Vec<(Arc<Namespace>, Vec<Action>)>) -> Result<(), Error> {
        let mut together = Vec::new();
        for (namespace, actions) in all {
            for action in actions {
                let performed = match action {
                    Action::Publish(body) => self.outgoing(&namespace, body, None).map(|outgoing| {
                        together.push((outgoing, tells_rules(&namespace, Effect::none())));
                    }),
                    action => self.perform_one(&namespace, action, &Origin::default()),
                };
                if let Err(error) = performed {
                    tracing::debug!(%error, "something of a node's own accord was not done");
                }
            }
        }
        self.publisher()?.queue_together(together)
    }

    fn perform(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        actions: Vec<Action>,
        origin: &Origin,
    ) -> Result<(), Error> {
        actions.into_iter().try_for_each(|action| self.perform_one(namespace, action, origin))
    }

    fn perform_one(self: &Arc<Self>, namespace: &Arc<Namespace>, action: Action, origin: &Origin) -> Result<(), Error> {
        match action {
            Action::Publish(body) => self.queue_own(namespace, body, Effect::none())?.detach(),
            // They do not come this way: see `LocalRequest`.
            Action::Broadcast(_)
            | Action::SocketsJoin(_)
            | Action::SocketsLeave(_)
            | Action::DisconnectSockets(_)
            | Action::FetchSockets(_) => {}
            Action::ServerSideEmit(data) => server_side::dispatch(self, namespace, data, origin),
            Action::Progress { request, node, progress } => {
                let answer = Answer::Progress { node, progress };
                if !namespace.answer(&request, answer, self.options.max_answers) {
                    self.events.dropped(Dropped::Answers);
                }
            }
            Action::Completed { request, outcome } => namespace.completed(&request, outcome),
            Action::NodeLeft { node, closed } => {
                self.events.emit(crate::Event::NodeLeft { namespace: namespace.name().to_owned(), node, closed });
            }
            joined @ (Action::NodeJoined(_) | Action::TooManyNodes(_)) => self.note(namespace, vec![joined]),
        }
        Ok(())
    }

    async fn answer_all(&self, namespace: &Namespace, answers: Vec<Body>, origin: &Origin) -> Result<(), Error> {
        for body in answers {
            self.answer(namespace, body, origin).await?;
        }
        Ok(())
    }

    /// An attachment was announced.
    pub(crate) fn attachment_seen(&self) {
        self.attachments.seen();
    }

    /// Whether the node has left.
    pub(crate) fn is_closed(&self) -> bool {
        self.roads.read().is_none()
    }

    /// Fetches attachments. It takes `query_timeout` at most.
    pub(crate) async fn fetch_attachments(&self, ids: &[i64], limits: FetchLimits) -> Result<Vec<Row>, BackendError> {
        in_time(self.options.query_timeout, self.backend.fetch(&self.options.table, ids, limits)).await
    }
}

/// Lets the rules of a namespace know when something of their own was not published.
fn tells_rules(namespace: &Arc<Namespace>, effect: Effect) -> Effect {
    let namespace = namespace.clone();
    Effect::new(move |result| {
        if result.is_err() {
            namespace.with_cluster(|rules, now| rules.not_published(now));
        }
        effect.run(result);
    })
}
