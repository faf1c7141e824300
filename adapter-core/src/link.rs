//! The listening connection, kept alive.
//!
//! One connection for the whole process: until PostgreSQL 18 a notification wakes every listening session of the database,
//! so more of them cost the server and gain nothing. When it breaks it is opened again, with back-off, and everything is
//! listened to anew.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, timeout},
};
use tracing::Instrument;

use crate::{
    backend::{Backend, BackendError, ErrorKind, Incoming, Listener},
    catch_up::Reader,
    event::{Event, Events, Recovery},
    outside,
};

/// The first pause before connecting again; doubled up to [`MAX_BACKOFF`], each time between half and the whole of it.
const MIN_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// How long opening a connection and listening to everything may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long before the last sign of life a message may have been sent that was lost with the connection: it was behind the last one
/// that came, on its way.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// How many notifications are taken before the clock is looked at and other tasks have their turn.
const MAX_AT_ONCE: usize = 256;

/// What the link tells the inbox, in order.
#[derive(Debug)]
pub(crate) enum Arrival<'a> {
    Notification {
        channel: &'a str,
        payload: &'a str,
    },
    /// The link is back after it was down: announce the node again.
    Restored,
}

#[derive(Debug)]
enum Command {
    Listen { channel: String, done: oneshot::Sender<()> },
    Unlisten { channel: String },
}

/// Resolves once a LISTEN is in place.
pub(crate) type Listening = BoxFuture<'static, Result<(), crate::Error>>;

/// Tells the link what to listen to.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    commands: mpsc::UnboundedSender<Command>,
}

impl Link {
    /// Starts the link. The receiver resolves to the outcome of the first attempt to connect.
    pub(crate) fn start<B: Backend>(
        backend: Arc<B>,
        check_interval: Duration,
        events: Arc<Events>,
        log: Option<Reader<B>>,
        arrivals: impl FnMut(Arrival<'_>) + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<(), BackendError>>, tokio::task::JoinHandle<()>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (first, started) = oneshot::channel();
        let keeper = Keeper {
            backend,
            check_interval,
            events,
            arrivals,
            commands: receiver,
            channels: log.iter().map(|log| log.channel().to_owned()).collect(),
            log,
            waiting: Vec::new(),
        };
        (Self { commands }, started, tokio::spawn(keeper.run(first)))
    }

    /// Listens on a channel. The command is given when this returns; the result resolves once the LISTEN is in place, which takes
    /// until the link is up.
    pub(crate) fn listen(&self, channel: String) -> Listening {
        let (done, listening) = oneshot::channel();
        // A link that has ended drops it, which the other side hears.
        let _ = self.commands.send(Command::Listen { channel, done });
        Box::pin(async move { listening.await.map_err(|_| crate::Error::Closed) })
    }

    pub(crate) fn unlisten(&self, channel: String) {
        // A link that has ended listens to nothing.
        let _ = self.commands.send(Command::Unlisten { channel });
    }
}

struct Keeper<B, F> {
    backend: Arc<B>,
    check_interval: Duration,
    events: Arc<Events>,
    log: Option<Reader<B>>,
    arrivals: F,
    commands: mpsc::UnboundedReceiver<Command>,
    /// What is to be listened to on every connection.
    channels: BTreeSet<String>,
    /// Who waits for a LISTEN that is not in place yet.
    waiting: Vec<oneshot::Sender<()>>,
}

/// Why a session ended.
enum End {
    Broken(BackendError),
    /// All handles are gone.
    Unwanted,
}

impl<B: Backend, F: FnMut(Arrival<'_>)> Keeper<B, F> {
    async fn run(mut self, first: oneshot::Sender<Result<(), BackendError>>) {
        let mut first = Some(first);
        let mut deaf_since: Option<Instant> = None;
        let mut backoff = MIN_BACKOFF;
        loop {
            let opening = self.open().instrument(tracing::debug_span!("listen"));
            let opened = match timeout(OPEN_TIMEOUT, opening).await.unwrap_or_else(|_| Err(silent())) {
                Ok(mut listener) if deaf_since.is_some() => {
                    let catching_up = self.catch_up(&mut listener).instrument(tracing::debug_span!("catch_up"));
                    catching_up.await.map(|recovery| (listener, recovery))
                }
                opened => opened.map(|listener| (listener, Recovery::Off)),
            };
            match opened {
                Ok((listener, recovery)) => {
                    let open_since = Instant::now();
                    self.events.emit(Event::Connected);
                    if let Some(since) = deaf_since.take() {
                        self.events.meters().reconnects.add(1);
                        // It is as long as it was by the clock that does not jump, and so never ends before it begins.
                        let until = self.events.meters().now();
                        let since = until.checked_sub(since.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH);
                        self.events.emit(Event::Gap { since, until, recovery });
                        (self.arrivals)(Arrival::Restored);
                    }
                    if let Some(first) = first.take() {
                        let _ = first.send(Ok(()));
                    }
                    let mut heard = Instant::now();
                    match self.session(listener, &mut heard).await {
                        End::Unwanted => return,
                        End::Broken(error) => {
                            self.events.emit(Event::Disconnected { reason: error.to_string() });
                            if let Some(log) = &mut self.log {
                                log.broken();
                            }
                            deaf_since = Some(heard.checked_sub(ON_THE_WAY).unwrap_or(heard));
                            // One that breaks again and again is not opened in a tight loop.
                            if open_since.elapsed() >= MAX_BACKOFF {
                                backoff = MIN_BACKOFF;
                            }
                        }
                    }
                }
                Err(error) => match first.take() {
                    // Nothing to keep alive yet: whoever starts the node decides.
                    Some(first) => {
                        let _ = first.send(Err(error));
                        return;
                    }
                    None => {
                        self.events.meters().deaf(&error.to_string());
                        tracing::warn!(%error, ?backoff, "cannot listen, trying again");
                    }
                },
            }
            let pause = backoff.mul_f64(outside::half_to_whole());
            if self.pause(pause).await.is_err() {
                return;
            }
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    async fn open(&mut self) -> Result<B::Listener, BackendError> {
        let mut listener = self.backend.connect_listener().await?;
        let channels: Vec<_> = self.channels.iter().cloned().collect();
        if !channels.is_empty() {
            listener.listen(&channels).await?;
        }
        if let Some(log) = &mut self.log {
            log.listens(&self.channels);
        }
        for done in self.waiting.drain(..) {
            let _ = done.send(());
        }
        Ok(listener)
    }

    /// Hands on what was missed while there was no session. What comes on the new one meanwhile waits in it.
    async fn catch_up(&mut self, listener: &mut B::Listener) -> Result<Recovery, BackendError> {
        match &mut self.log {
            Some(log) => {
                let hand_on = |Incoming { channel, payload }| {
                    (self.arrivals)(Arrival::Notification { channel: &channel, payload: &payload });
                };
                log.catch_up(listener, hand_on).await
            }
            None => Ok(Recovery::Off),
        }
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
                        self.channels.insert(channel);
                        self.waiting.push(done);
                    }
                    Some(Command::Unlisten { channel }) => {
                        self.channels.remove(&channel);
                        if let Some(log) = &mut self.log {
                            log.unlistened(&channel);
                        }
                    }
                },
            }
        }
    }

    /// Serves one connection until it breaks. `heard` is kept at the last sign of life.
    async fn session(&mut self, mut listener: B::Listener, heard: &mut Instant) -> End {
        let mut check = tokio::time::interval(self.check_interval);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        check.reset();
        loop {
            let result = tokio::select! {
                biased;
                incoming = listener.next() => match incoming {
                    Ok(incoming) => {
                        self.take(&incoming.channel, &incoming.payload);
                        for _ in 1..MAX_AT_ONCE {
                            if !listener.take_next(&mut |channel, payload| self.take(channel, payload)) {
                                break;
                            }
                        }
                        self.events.meters().heard();
                        *heard = Instant::now();
                        check.reset();
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                command = self.commands.recv() => match command {
                    None => return End::Unwanted,
                    Some(command) => self.carry_out(&mut listener, command).await,
                },
                () = keep_position(&mut self.log) => Ok(()),
                _ = check.tick() => {
                    // What is published while the question is under way may come after its answer.
                    let asked = Instant::now();
                    match timeout(self.check_interval, listener.check()).await {
                        Ok(Ok(())) => {
                            self.events.meters().heard();
                            *heard = asked;
                            Ok(())
                        }
                        Ok(Err(error)) => Err(error),
                        Err(_) => Err(silent()),
                    }
                }
            };
            if let Err(error) = result {
                return End::Broken(error);
            }
        }
    }

    /// Takes a notification, unless the catch-up log has told of it.
    fn take(&mut self, channel: &str, payload: &str) {
        if self.log.as_mut().is_none_or(|log| log.is_news(channel, payload)) {
            (self.arrivals)(Arrival::Notification { channel, payload });
        }
    }

    /// Carries out a command and all that are queued behind it, so that many namespaces cost one round trip.
    async fn carry_out(&mut self, listener: &mut B::Listener, command: Command) -> Result<(), BackendError> {
        let mut listen = Vec::new();
        let mut unlisten = Vec::new();
        let mut next = Some(command);
        while let Some(command) = next {
            match command {
                Command::Listen { channel, done } => {
                    unlisten.retain(|other| *other != channel);
                    if self.channels.insert(channel.clone()) {
                        listen.push(channel);
                    }
                    self.waiting.push(done);
                }
                Command::Unlisten { channel } => {
                    listen.retain(|other| *other != channel);
                    if self.channels.remove(&channel) {
                        if let Some(log) = &mut self.log {
                            log.unlistened(&channel);
                        }
                        unlisten.push(channel);
                    }
                }
            }
            next = self.commands.try_recv().ok();
        }
        let work = async {
            if !unlisten.is_empty() {
                listener.unlisten(&unlisten).await?;
            }
            if !listen.is_empty() {
                listener.listen(&listen).await?;
            }
            Ok(())
        };
        timeout(self.check_interval, work).await.unwrap_or_else(|_| Err(silent()))?;
        if let Some(log) = &mut self.log {
            log.listens(&self.channels);
        }
        for done in self.waiting.drain(..) {
            let _ = done.send(());
        }
        Ok(())
    }
}

async fn keep_position<B: Backend>(log: &mut Option<Reader<B>>) {
    match log {
        Some(log) => log.step().await,
        None => std::future::pending().await,
    }
}

fn silent() -> BackendError {
    BackendError::new(ErrorKind::Connection, "the server gave no sign of life in time")
}
