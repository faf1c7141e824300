//! The fast path: while nothing else is being published, a message is published by its sender's own
//! task.
//!
//! That saves a lone message two switches between tasks. Order is kept, because a sender claims the
//! fast path: messages that come meanwhile are queued, and the publisher's task finishes the
//! claimed publication before it takes the queue. It does the same when the sender stops waiting: a
//! message that was begun is never abandoned, nor its connection. So a sender that is not polled
//! for a while, as one arm of a `select!`, does not hold up others.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tokio::runtime::{Handle, Id};

use crate::{error::Error, outbound::effect::Effect, sync::Mutex};

pub(crate) type Publishing = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A publication that was begun, and its effect.
///
/// If it is dropped halfway, it is not known whether the message was published.
struct Publication {
    publishing: Publishing,
    effect: Effect,
}

impl Future for Publication {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = std::task::ready!(self.publishing.as_mut().poll(context));
        std::mem::take(&mut self.effect).run(&outcome);
        Poll::Ready(outcome)
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        std::mem::take(&mut self.effect).run(&Err(Error::aborted()));
    }
}

/// Which task may publish.
pub(crate) struct FastPath {
    /// Connections belong to the runtime where they were opened: only tasks of this runtime may
    /// publish themselves.
    runtime: Option<Id>,
    current: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    None,
    /// A sender publishes its own message.
    InFlight(Arc<InFlight>),
    /// The publisher's task publishes, and first finishes what a sender began.
    Task(Option<Arc<InFlight>>),
}

/// A message that its sender publishes.
pub(crate) struct InFlight {
    state: Mutex<Progress>,
}

struct Progress {
    /// `None` when it is over, or when the publisher's task finishes it.
    publication: Option<Publication>,
    /// Where the task leaves the outcome for the sender.
    outcome: Option<Result<(), Error>>,
    sender: Option<Waker>,
}

impl FastPath {
    pub(crate) fn new() -> Self {
        Self { runtime: Handle::try_current().ok().map(|runtime| runtime.id()), current: Mutex::default() }
    }

    /// Begins a publication in the calling task, if the fast path is free; else returns the
    /// message.
    pub(crate) fn begin<T>(
        &self,
        message: (T, Effect),
        publish: impl FnOnce(T) -> Publishing,
    ) -> Result<Arc<InFlight>, (T, Effect)> {
        let here = Handle::try_current().ok().map(|runtime| runtime.id());
        let mut current = self.current.lock();
        if !matches!(*current, State::None) || here.is_none() || here != self.runtime {
            return Err(message);
        }
        let publication = Publication { publishing: publish(message.0), effect: message.1 };
        let state = Progress { publication: Some(publication), outcome: None, sender: None };
        let direct = Arc::new(InFlight { state: Mutex::new(state) });
        *current = State::InFlight(direct.clone());
        Ok(direct)
    }

    /// Waits for what was begun. `take_over` wakes the publisher's task when the future is dropped
    /// earlier, polled or not; it returns false when that task has ended.
    pub(crate) fn drive<F: Fn() -> bool>(
        self: &Arc<Self>,
        direct: Arc<InFlight>,
        take_over: F,
    ) -> impl Future<Output = Result<(), Error>> + use<F> {
        let fast_path = self.clone();
        let hand_over = HandOver { direct, take_over, is_over: false };
        async move {
            // Moves the whole value, not only the fields that are used below, so that it is dropped
            // with the future.
            let mut hand_over = hand_over;
            let outcome = poll_fn(|context| fast_path.poll(&hand_over.direct, context)).await;
            hand_over.is_over = true;
            outcome
        }
    }

    fn poll(&self, direct: &Arc<InFlight>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = direct.state.lock();
        if let Some(outcome) = state.outcome.take() {
            return Poll::Ready(outcome);
        }
        if let Some(publication) = &mut state.publication
            && let Poll::Ready(outcome) = Pin::new(publication).poll(context)
        {
            state.publication = None;
            drop(state);
            let mut current = self.current.lock();
            // By now another sender may publish: the task may have taken the fast path meanwhile,
            // and left it.
            if matches!(&*current, State::InFlight(other) if Arc::ptr_eq(other, direct)) {
                *current = State::None;
            }
            return Poll::Ready(outcome);
        }
        state.sender = Some(context.waker().clone());
        Poll::Pending
    }

    /// Gives the fast path to the publisher's task, for which `queue` puts something into the
    /// queue.
    pub(crate) fn occupy<T>(&self, queue: impl FnOnce() -> T) -> T {
        let mut current = self.current.lock();
        *current = match std::mem::take(&mut *current) {
            State::None => State::Task(None),
            State::InFlight(direct) => State::Task(Some(direct)),
            task @ State::Task(_) => task,
        };
        // Still under the lock: otherwise the task could find its queue empty, and leave the fast
        // path, before the message is in it.
        queue()
    }

    /// Finishes what a sender began. For the publisher's task, before each batch.
    pub(crate) async fn take_over(&self) {
        let Some(direct) = (match &mut *self.current.lock() {
            State::Task(direct) => direct.take(),
            _ => None,
        }) else {
            return;
        };
        let Some(publication) = direct.state.lock().publication.take() else { return };
        let mut taken = TakenOver { direct, outcome: None };
        taken.outcome = Some(publication.await);
    }

    /// Whether a sender may publish by itself.
    #[cfg(all(test, feature = "model"))]
    pub(crate) fn is_free(&self) -> bool {
        matches!(*self.current.lock(), State::None)
    }

    /// Leaves the fast path to senders, if the queue is empty. For the publisher's task.
    pub(crate) fn leave_if(&self, is_empty: impl FnOnce() -> bool) {
        let mut current = self.current.lock();
        if is_empty() && matches!(*current, State::Task(None)) {
            *current = State::None;
        }
    }
}

/// A publication that the publisher's task finishes. However that ends, its sender gets the result.
struct TakenOver {
    direct: Arc<InFlight>,
    outcome: Option<Result<(), Error>>,
}

impl Drop for TakenOver {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| Err(Error::aborted()));
        let mut state = self.direct.state.lock();
        state.outcome = Some(outcome);
        let sender = state.sender.take();
        drop(state);
        if let Some(sender) = sender {
            sender.wake();
        }
    }
}

/// Hands a publication over to the publisher's task when its sender stops waiting.
struct HandOver<F: Fn() -> bool> {
    direct: Arc<InFlight>,
    take_over: F,
    is_over: bool,
}

impl<F: Fn() -> bool> Drop for HandOver<F> {
    fn drop(&mut self) {
        if !self.is_over && !(self.take_over)() {
            // No task is left that could finish it. Dropped outside of the lock, as it runs code of
            // others.
            let abandoned = self.direct.state.lock().publication.take();
            drop(abandoned);
        }
    }
}
