//! What the node asks of the link: which channels to listen to, and looks at the sessions.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use socketio_pg_protocol::SessionId;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use super::{Arrival, Command, Handling, LinkTask, MAX_AT_ONCE, MAX_HANDLED_AT_ONCE, Seen, Waiter, silent};
use crate::{
    backend::{Backend, BackendError, ErrorKind, Listener},
    error::Error,
};

/// How many channels are listened to in one statement. PostgreSQL compares each with all that the
/// session has: for tens of thousands in one statement it takes longer than a server may be silent,
/// and each part that is done shows that the connection is alive.
const MAX_LISTEN: usize = 1000;

impl<B: Backend, F: FnMut(Arrival<'_>) + Send> LinkTask<B, F> {
    /// Listens on channels, in parts. What PostgreSQL refuses for its content is tried in ever
    /// smaller parts: so one channel that it cannot take is found, given up, and costs neither the
    /// others nor the session.
    pub(super) async fn listen_to(
        &mut self,
        listener: &mut B::Listener,
        channels: &[String],
        limit: Duration,
    ) -> Result<(), BackendError> {
        for part in channels.chunks(MAX_LISTEN) {
            let mut parts = vec![part];
            while let Some(part) = parts.pop() {
                match timeout(limit, listener.listen(part)).await.unwrap_or_else(|_| Err(silent())) {
                    Ok(()) => self.in_place(part),
                    Err(error) if !error.kind().is_about_content() => return Err(error),
                    Err(error) => match part {
                        [channel] if self.unproven.contains(channel) => self.refused(channel, error),
                        // It was in place before, so PostgreSQL accepts its name.
                        [_] => return Err(error),
                        _ => parts.extend(<[&[String]; 2]>::from(part.split_at(part.len() / 2)).into_iter().rev()),
                    },
                }
            }
        }
        if let Some(log) = &mut self.log {
            log.listens_to(&self.channels);
        }
        Ok(())
    }

    fn in_place(&mut self, channels: &[String]) {
        for channel in channels {
            self.unproven.remove(channel);
            for done in self.waiting.remove(channel).into_iter().flatten() {
                // The caller that waited may have given up.
                let _ = done.send(Ok(()));
            }
        }
    }

    fn refused(&mut self, channel: &str, error: BackendError) {
        tracing::warn!(%error, channel, "PostgreSQL does not listen on a channel");
        self.channels.remove(channel);
        self.unproven.remove(channel);
        let error = Arc::new(error);
        for done in self.waiting.remove(channel).into_iter().flatten() {
            let _ = done.send(Err(Error::NotListening { channel: channel.to_owned(), error: error.clone() }));
        }
    }

    /// Notes that a channel is to be listened to. Tells whether it was not before.
    pub(super) fn keep(&mut self, channel: &str, done: Waiter) -> bool {
        self.waiting.entry(channel.to_owned()).or_default().push(done);
        let is_new = self.channels.insert(channel.to_owned());
        if is_new {
            self.unproven.insert(channel.to_owned());
        }
        is_new
    }

    /// Notes that a channel is not to be listened to any more. Tells whether it was before.
    pub(super) fn give_up(&mut self, channel: &str) -> bool {
        self.unproven.remove(channel);
        // The callers that wait see that their senders are dropped.
        self.waiting.remove(channel);
        let was_kept = self.channels.remove(channel);
        if was_kept && let Some(log) = &mut self.log {
            log.stopped_listening(channel);
        }
        was_kept
    }

    /// Carries out a command and those that are queued behind it, so that many namespaces cost one
    /// round trip; their number is limited, so that what arrives meanwhile does not wait long. Tells
    /// whether the server has answered a look at the sessions, which needs no keep-alive query after it.
    pub(super) async fn carry_out(
        &mut self,
        listener: &mut B::Listener,
        command: Command,
    ) -> Result<bool, BackendError> {
        let mut listen = Vec::new();
        let mut unlisten = BTreeSet::new();
        let mut in_place = Vec::new();
        let mut look = None;
        let mut next = Some(command);
        let mut carried_out = 0;
        while let Some(command) = next {
            match command {
                Command::Listen { channel, done } => {
                    // A channel whose UNLISTEN has not run yet is still listened to.
                    let is_left = unlisten.remove(&channel);
                    let is_new = self.keep(&channel, done);
                    if is_left {
                        self.unproven.remove(&channel);
                    }
                    if is_new && !is_left {
                        listen.push(channel);
                    } else if !self.unproven.contains(&channel) {
                        in_place.push(channel);
                    }
                }
                Command::Unlisten { channel } => {
                    let was_asked_for = self.unproven.contains(&channel);
                    if self.give_up(&channel) {
                        if was_asked_for {
                            listen.retain(|other| *other != channel);
                        } else {
                            unlisten.insert(channel);
                        }
                    }
                }
                Command::Look { name, seen } => look = Some((name, seen)),
            }
            carried_out += 1;
            next = if carried_out < MAX_LISTEN { self.commands.try_recv().ok() } else { None };
        }
        if !unlisten.is_empty() {
            let channels: Vec<_> = unlisten.into_iter().collect();
            let work = listener.unlisten(&channels);
            timeout(self.check_interval, work).await.unwrap_or_else(|_| Err(silent()))?;
        }
        self.in_place(&in_place);
        self.listen_to(listener, &listen, self.check_interval).await?;
        // Last: others see the latest statement of the session.
        match look {
            Some((name, seen)) => self.look(listener, name, seen).await,
            None => Ok(false),
        }
    }

    /// Tells whether the server has answered.
    async fn look(
        &mut self,
        listener: &mut B::Listener,
        name: Option<SessionId>,
        seen: oneshot::Sender<Seen>,
    ) -> Result<bool, BackendError> {
        let asked = Instant::now().into_std();
        let limit = self.check_interval;
        let mut taken = 0;
        let mut take = |channel: &str, payload: &str| {
            let handling = if taken < MAX_HANDLED_AT_ONCE { Handling::Direct } else { Handling::Queued };
            taken += 1;
            self.take(channel, payload, handling);
        };
        let Ok(answer) = timeout(limit, listener.look(name, &mut take)).await else {
            // In a storm the answer comes behind notifications that prove that the server lives.
            for _ in 0..MAX_AT_ONCE {
                if !listener.take_next(&mut take) {
                    break;
                }
            }
            if taken > 0 {
                self.events.counters().heard();
                return Ok(false);
            }
            return Err(silent());
        };
        match answer {
            Ok(sessions) => {
                self.events.counters().heard();
                // The node may be leaving.
                let _ = seen.send(Seen { asked, sessions });
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::Connection | ErrorKind::ReadOnly) => Err(error),
            // The session is sound.
            Err(error) => {
                tracing::debug!(%error, "cannot look at the sessions in the database, so heartbeats are sent");
                Ok(true)
            }
        }
    }
}
