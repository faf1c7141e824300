//! The listening connection, kept alive.
//!
//! One connection for the whole process: until PostgreSQL 18 a notification wakes every listening
//! session of the database, so more of them cost the server and gain nothing. When it breaks it is
//! opened again, with back-off, and listens to every channel again.

mod commands;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, future::BoxFuture};
use socketio_pg_protocol::{SessionId, cluster::Sighting};
use tokio::{
    sync::{
        Notify,
        mpsc::{self, error::TryRecvError},
        oneshot,
    },
    time::{Instant, Interval, MissedTickBehavior, timeout},
};
use tracing::Instrument;

use crate::{
    backend::{Backend, BackendError, ErrorKind, Incoming, Listener, guarded, panicked},
    env,
    error::Error,
    inbound::catch_up::{Reader, Waiting},
    observe::{
        classes::Dropped,
        event::{Event, Events, Recovery},
    },
    options::Options,
};

/// The first pause before connecting again; doubled up to [`MAX_BACKOFF`], each time between half
/// and the whole of it.
const MIN_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// How long listening to one part of the channels may take on a new connection. How long making the
/// connection may take is the backend's to say, as it knows to how many addresses a name leads.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long before the server was last heard a message may have been sent that was lost with the
/// connection: it was behind the last one that came, on its way.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// How many notifications are taken before the clock is read and other tasks run.
const MAX_AT_ONCE: usize = 256;

/// How many of them may be handled in the link's own task. It is few, so that what arrives
/// meanwhile soon waits where it is counted, in the inbox.
const MAX_HANDLED_AT_ONCE: usize = 4;

/// How many notifications may be handled in the link's own task before other tasks run: fewer than
/// the 128 packets that socketioxide keeps for a client.
const MAX_HANDLED: usize = 32;

/// A session to which notifications keep coming is asked each so many intervals. They prove that it
/// lives, but PostgreSQL's `idle_session_timeout` counts from the last statement.
const SELDOM: u32 = 4;

/// How many notifications are taken at most of those that were read before a session broke.
const MAX_LEFT: usize = 100_000;

/// What the link tells the inbox, in order.
#[derive(Debug)]
pub(crate) enum Arrival<'a> {
    Notification {
        channel: &'a str,
        payload: &'a str,
        handling: Handling,
    },
    /// The link is back after it was down: announce the node again.
    Restored,
}

/// In which task a notification may be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handling {
    /// In the link's task, at once, if nothing waits before it.
    Direct,
    /// In the inbox's task, behind what waits there.
    Queued,
}

#[derive(Debug)]
enum Command {
    Listen { channel: String, done: Waiter },
    Unlisten { channel: String },
    Look { name: Option<SessionId>, seen: oneshot::Sender<Seen> },
}

/// Resolves once a LISTEN is in place.
pub(crate) type Listening = BoxFuture<'static, Result<(), Error>>;

/// What a look at the sessions showed, and when it was asked for.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) asked: std::time::Instant,
    pub(crate) sessions: Vec<Sighting>,
}

/// The callers that wait until a channel is listened to.
type Waiter = oneshot::Sender<Result<(), Error>>;

/// Tells the link what to listen to.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    commands: mpsc::UnboundedSender<Command>,
    wants_check: Arc<Notify>,
}

impl Link {
    /// Starts the link. The receiver resolves to the outcome of the first attempt to connect.
    pub(crate) fn start<B: Backend>(
        backend: Arc<B>,
        options: &Options,
        events: Arc<Events>,
        log: Option<Reader<B>>,
        arrivals: impl FnMut(Arrival<'_>) + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<(), BackendError>>, tokio::task::JoinHandle<()>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        let wants_check = Arc::new(Notify::new());
        let (first, started) = oneshot::channel();
        let task = LinkTask {
            backend,
            check_interval: options.check_interval,
            max_bytes: options.max_inbox_bytes,
            events,
            arrivals,
            commands: receiver,
            wants_check: wants_check.clone(),
            channels: log.iter().map(|log| log.channel().to_owned()).collect(),
            log,
            lost_late: 0,
            unproven: BTreeSet::new(),
            waiting: BTreeMap::new(),
        };
        (Self { commands, wants_check }, started, tokio::spawn(task.run(first)))
    }

    /// Listens on a channel. The link is told when this returns, in the order of the calls; the
    /// future resolves once the LISTEN is in place, which takes until the link is up, or with the
    /// reason why PostgreSQL refuses this channel.
    pub(crate) fn listen(&self, channel: String) -> Listening {
        let (done, listening) = oneshot::channel();
        // Of a link that has ended, and of a channel that is given up before, the sender is
        // dropped.
        let _ = self.commands.send(Command::Listen { channel, done });
        Box::pin(async move { listening.await.unwrap_or(Err(Error::Closed)) })
    }

    pub(crate) fn unlisten(&self, channel: String) {
        // A link that has ended listens to nothing.
        let _ = self.commands.send(Command::Unlisten { channel });
    }

    /// Asks the server for a sign of life now, and not only after some silence.
    pub(crate) fn check(&self) {
        self.wants_check.notify_one();
    }

    /// Looks at the sessions of all nodes in the database, and lets others see the node's own by this
    /// name. The receiver ends without an answer when that fails.
    pub(crate) fn look(&self, name: Option<SessionId>) -> oneshot::Receiver<Seen> {
        let (seen, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Look { name, seen });
        answer
    }
}

struct LinkTask<B, F> {
    backend: Arc<B>,
    check_interval: Duration,
    /// How many bytes of notifications may wait while the node catches up.
    max_bytes: usize,
    events: Arc<Events>,
    log: Option<Reader<B>>,
    /// How many messages of the log did not fit into the inbox since the session broke.
    lost_late: u64,
    arrivals: F,
    commands: mpsc::UnboundedReceiver<Command>,
    wants_check: Arc<Notify>,
    /// What is to be listened to on every connection.
    channels: BTreeSet<String>,
    /// Those of them that never were in place: what is refused of these is the fault of their name,
    /// and not of the moment.
    unproven: BTreeSet<String>,
    /// Who waits for a LISTEN that is not in place yet, by channel.
    waiting: BTreeMap<String, Vec<Waiter>>,
}

/// When the server was last heard.
#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Instant,
    /// By the wall clock, which goes on while the machine is suspended.
    wall: SystemTime,
}

impl Heard {
    fn now(events: &Events) -> Self {
        Self { at: Instant::now(), wall: events.counters().now() }
    }

    /// When the first message may have been sent that was not heard.
    fn missed_since(self) -> Self {
        let at = self.at.checked_sub(ON_THE_WAY).unwrap_or(self.at);
        Self { at, wall: self.wall.checked_sub(ON_THE_WAY).unwrap_or(self.wall) }
    }
}

/// When the latest question was asked that the server has answered. All that was published before it
/// has come, and has been heard once what has come is taken. A notification alone proves nothing: the
/// node may have stood still, and what follows it is as old as itself.
#[derive(Debug, Default)]
struct Proof(Option<Instant>);

impl Proof {
    fn all_is_taken(&mut self, events: &Events) {
        if let Some(asked) = self.0.take() {
            events.counters().heard_all_until(asked);
        }
    }
}

/// Why a session ended.
enum End {
    Broken(BackendError),
    /// All handles are gone.
    Unwanted,
}

impl<B: Backend, F: FnMut(Arrival<'_>) + Send> LinkTask<B, F> {
    async fn run(mut self, first: oneshot::Sender<Result<(), BackendError>>) {
        let mut first = Some(first);
        let mut disconnected_since: Option<Heard> = None;
        let mut backoff = MIN_BACKOFF;
        loop {
            let mut came_meanwhile = Waiting::new(self.max_bytes);
            match guarded(self.connect(disconnected_since.is_some(), &mut came_meanwhile)).await {
                Ok((listener, recovery)) => {
                    let open_since = Instant::now();
                    self.connected(disconnected_since.take(), recovery);
                    if let Some(first) = first.take() {
                        let _ = first.send(Ok(()));
                    }
                    for Incoming { channel, payload } in came_meanwhile.take() {
                        self.take(&channel, &payload, Handling::Queued);
                    }
                    let mut heard = Heard::now(&self.events);
                    // A panic of a driver ends its session, and not the link.
                    let session = AssertUnwindSafe(self.session(listener, &mut heard)).catch_unwind();
                    match session.await.unwrap_or_else(|panic| End::Broken(panicked(&*panic))) {
                        End::Unwanted => return,
                        End::Broken(error) => {
                            self.events.emit(Event::Disconnected { reason: error.to_string() });
                            if let Some(log) = &mut self.log {
                                log.broken();
                            }
                            disconnected_since = Some(heard.missed_since());
                            // A connection that breaks again and again is not opened in a tight
                            // loop.
                            if open_since.elapsed() >= MAX_BACKOFF {
                                backoff = MIN_BACKOFF;
                            }
                        }
                    }
                }
                Err(error) => match first.take() {
                    // Nothing to keep alive yet: the caller that starts the node decides.
                    Some(first) => {
                        let _ = first.send(Err(error));
                        return;
                    }
                    None => {
                        self.events.counters().disconnected(&error.to_string());
                        tracing::warn!(%error, ?backoff, "cannot listen, trying again");
                    }
                },
            }
            let pause = backoff.mul_f64(env::jitter());
            if self.pause(pause).await.is_err() {
                return;
            }
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Opens a session; after a break, also passes to the inbox what was missed.
    async fn connect(
        &mut self,
        was_connected: bool,
        came_meanwhile: &mut Waiting,
    ) -> Result<(B::Listener, Recovery), BackendError> {
        let mut listener = self.open().instrument(tracing::debug_span!("listen")).await?;
        if !was_connected {
            return Ok((listener, Recovery::Off));
        }
        let catching_up = self.catch_up(&mut listener, came_meanwhile);
        let recovery = catching_up.instrument(tracing::debug_span!("catch_up")).await?;
        Ok((listener, recovery))
    }

    /// Reports that the link is up, and the gap before, if there was one.
    fn connected(&mut self, disconnected_since: Option<Heard>, recovery: Recovery) {
        self.events.emit(Event::Connected);
        let Some(since) = disconnected_since else { return };
        self.events.counters().reconnects.add(1);
        // It is at least as long as it was by the clock that does not jump, and so never ends before
        // it begins. That clock stands still while the machine is suspended, so the wall clock counts
        // where it says that the gap was longer.
        let until = self.events.counters().now();
        let since = until.checked_sub(since.at.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH).min(since.wall);
        self.events.emit(Event::Gap { since, until, recovery });
        (self.arrivals)(Arrival::Restored);
    }

    async fn open(&mut self) -> Result<B::Listener, BackendError> {
        let mut listener = self.backend.connect_listener().await?;
        let channels: Vec<_> = self.channels.iter().cloned().collect();
        self.listen_to(&mut listener, &channels, LISTEN_TIMEOUT).await?;
        Ok(listener)
    }

    /// Passes to the inbox what was missed while there was no session. What comes on the new one
    /// meanwhile is put into `came_meanwhile`.
    async fn catch_up(
        &mut self,
        listener: &mut B::Listener,
        came_meanwhile: &mut Waiting,
    ) -> Result<Recovery, BackendError> {
        let Some(log) = &mut self.log else { return Ok(Recovery::Off) };
        let deliver = |Incoming { channel, payload }| {
            (self.arrivals)(Arrival::Notification { channel: &channel, payload: &payload, handling: Handling::Queued });
        };
        // Nothing else drops messages meanwhile.
        let before = self.events.counters().dropped_so_far(Dropped::Messages);
        let caught_up = log.catch_up(listener, came_meanwhile, deliver).await;
        self.lost_late += self.events.counters().dropped_so_far(Dropped::Messages) - before;
        let lost_live = came_meanwhile.dropped();
        for _ in 0..lost_live {
            self.events.dropped(Dropped::Messages);
        }
        let caught_up = caught_up?;
        let lost_late = std::mem::take(&mut self.lost_late);
        if lost_late + lost_live == 0 {
            return Ok(caught_up);
        }
        let lost = format!(
            "{lost_late} messages of the log, and {lost_live} that came while it was read, did not fit into \
             Options::max_inbox_bytes"
        );
        Ok(match caught_up {
            Recovery::Complete { messages } => {
                Recovery::Incomplete { messages: messages.saturating_sub(lost_late), reason: lost }
            }
            Recovery::Incomplete { messages, reason } => Recovery::Incomplete {
                messages: messages.saturating_sub(lost_late),
                reason: format!("{reason}; {lost}"),
            },
            Recovery::Off => Recovery::Off,
        })
    }

    /// Waits before the next attempt, still taking commands.
    async fn pause(&mut self, pause: Duration) -> Result<(), ()> {
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => return Ok(()),
                command = self.commands.recv() => match command {
                    None => return Err(()),
                    Some(Command::Listen { channel, done }) => {
                        self.keep(&channel, done);
                    }
                    Some(Command::Unlisten { channel }) => {
                        self.give_up(&channel);
                    }
                    // There is no session that could be seen.
                    Some(Command::Look { .. }) => {}
                },
            }
        }
    }

    /// Serves one connection until it breaks. `heard` is kept at the time when the server was last
    /// heard.
    async fn session(&mut self, mut listener: B::Listener, heard: &mut Heard) -> End {
        let mut check = tokio::time::interval(self.check_interval);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        check.reset();
        let wants_check = self.wants_check.clone();
        let mut proof = Proof::default();
        let mut handled = 0;
        let mut asked = Instant::now();
        loop {
            if handled >= MAX_HANDLED {
                handled = 0;
                // Otherwise a flood would fill clients' buffers before the tasks that empty them run.
                tokio::task::yield_now().await;
            }
            let result = tokio::select! {
                biased;
                incoming = listener.next() => match incoming {
                    Ok(incoming) => {
                        self.take(&incoming.channel, &incoming.payload, Handling::Direct);
                        handled += 1;
                        for taken in 1..MAX_AT_ONCE {
                            let handling = if taken < MAX_HANDLED_AT_ONCE { Handling::Direct } else { Handling::Queued };
                            if !listener.take_next(&mut |channel, payload| self.take(channel, payload, handling)) {
                                proof.all_is_taken(&self.events);
                                break;
                            }
                            handled += usize::from(handling == Handling::Direct);
                        }
                        *heard = Heard { at: Instant::now(), wall: self.events.counters().heard() };
                        check.reset();
                        // While notifications keep coming, the arms below are not polled.
                        let _ = keep_position(&mut self.log).now_or_never();
                        match self.commands.try_recv() {
                            Ok(command) => {
                                self.obey(&mut listener, command, heard, &mut proof).await.map(|has_looked| {
                                    if has_looked {
                                        asked = Instant::now();
                                    }
                                })
                            }
                            Err(TryRecvError::Empty)
                                if wants_check.notified().now_or_never().is_some()
                                    || asked.elapsed() >= self.check_interval.saturating_mul(SELDOM) =>
                            {
                                asked = Instant::now();
                                self.ask(&mut listener, heard, &mut proof).await
                            }
                            Err(TryRecvError::Empty) => Ok(()),
                            Err(TryRecvError::Disconnected) => return End::Unwanted,
                        }
                    }
                    Err(error) => Err(error),
                },
                command = self.commands.recv() => match command {
                    None => return End::Unwanted,
                    Some(command) => {
                        self.obey(&mut listener, command, heard, &mut proof).await.map(|has_looked| {
                            if has_looked {
                                check.reset();
                                asked = Instant::now();
                            }
                        })
                    }
                },
                () = keep_position(&mut self.log) => Ok(()),
                () = is_due(&mut check, &wants_check) => {
                    asked = Instant::now();
                    self.ask(&mut listener, heard, &mut proof).await
                }
            };
            if let Err(error) = result {
                // What was read before the end is not lost with the session.
                for _ in 0..MAX_LEFT {
                    if !listener.take_next(&mut |channel, payload| self.take(channel, payload, Handling::Queued)) {
                        break;
                    }
                }
                return End::Broken(error);
            }
        }
    }

    /// Asks the server for a sign of life.
    async fn ask(
        &mut self,
        listener: &mut B::Listener,
        heard: &mut Heard,
        proof: &mut Proof,
    ) -> Result<(), BackendError> {
        let asked = Heard::now(&self.events);
        let answer = timeout(self.check_interval, listener.check()).await;
        if matches!(answer, Ok(Ok(()))) {
            self.answered(asked, heard, proof);
        }
        let taken = self.take_what_is_there(listener, proof);
        match answer {
            Ok(answer) => answer,
            // In a storm the answer comes behind notifications that prove that the server lives.
            Err(_) if taken > 0 => Ok(()),
            Err(_) => Err(silent()),
        }
    }

    /// Carries out a command. Tells whether the server has answered to a look.
    async fn obey(
        &mut self,
        listener: &mut B::Listener,
        command: Command,
        heard: &mut Heard,
        proof: &mut Proof,
    ) -> Result<bool, BackendError> {
        let asked = Heard::now(&self.events);
        let has_looked = self.carry_out(listener, command).await?;
        if has_looked {
            self.answered(asked, heard, proof);
            self.take_what_is_there(listener, proof);
        }
        Ok(has_looked)
    }

    /// The server has answered what was asked then. What is published while the question is under
    /// way may come after its answer.
    fn answered(&mut self, asked: Heard, heard: &mut Heard, proof: &mut Proof) {
        self.events.counters().heard();
        *heard = asked;
        *proof = Proof(Some(asked.at));
    }

    /// Takes what came before an answer. Returns how many notifications that was.
    fn take_what_is_there(&mut self, listener: &mut B::Listener, proof: &mut Proof) -> usize {
        for taken in 0..MAX_AT_ONCE {
            if !listener.take_next(&mut |channel, payload| self.take(channel, payload, Handling::Queued)) {
                proof.all_is_taken(&self.events);
                return taken;
            }
        }
        MAX_AT_ONCE
    }

    /// Takes a notification, unless the catch-up log has told of it.
    fn take(&mut self, channel: &str, payload: &str, handling: Handling) {
        if self.log.as_mut().is_none_or(|log| log.is_news(channel, payload)) {
            (self.arrivals)(Arrival::Notification { channel, payload, handling });
        }
    }
}

async fn is_due(check: &mut Interval, wants_check: &Notify) {
    tokio::select! {
        _ = check.tick() => {}
        () = wants_check.notified() => check.reset(),
    }
}

async fn keep_position<B: Backend>(log: &mut Option<Reader<B>>) {
    match log {
        Some(log) => log.keep_position().await,
        None => std::future::pending().await,
    }
}

fn silent() -> BackendError {
    BackendError::new(ErrorKind::Connection, "the server did not answer in time")
}
