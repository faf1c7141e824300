//! A session that is read at all times, for backends whose driver can be polled.
//!
//! A [`Listener`](super::Listener) drains its socket also while no task awaits its next
//! notification. A task for that alone costs each notification a change of task. So whoever waits
//! for the next item reads the session itself, and the task reads it only while nobody waits: what
//! happens to the session wakes one or the other.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use super::{BackendError, ErrorKind, panicked};
use crate::sync::Mutex;

#[cfg(all(test, feature = "model"))]
mod model;

/// How many items are read before what was read is passed on, and other tasks run.
const MAX_AT_ONCE: usize = 128;

/// The capacity, in items, that is kept when all are taken.
const MAX_KEPT: usize = 2048;

/// A session as its driver gives it.
pub trait Source: Send + 'static {
    /// What comes from the session.
    type Item: Send + 'static;

    /// Moves the session on, in both directions, and returns the next item. When it is pending, the
    /// waker is woken whenever there is something to do, be it to read or to write. An error ends the
    /// session; it is not polled after one.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Self::Item, BackendError>>;
}

/// The items of a session, in their order. Dropping it drops the session.
///
/// ```
/// # use socketio_pg_core::backend::{BackendError, drain::{Drained, Source}};
/// # use std::{collections::VecDeque, task::{Context, Poll}};
/// struct Numbers(VecDeque<u32>);
///
/// impl Source for Numbers {
///     type Item = u32;
///
///     fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Result<u32, BackendError>> {
///         self.0.pop_front().map_or(Poll::Pending, |number| Poll::Ready(Ok(number)))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BackendError> {
/// let (mut numbers, draining) = Drained::new(Numbers([1, 2, 3].into()));
/// tokio::spawn(draining);
/// assert_eq!(numbers.next().await?, 1);
/// assert_eq!(numbers.take_next(), Some(2));
/// # Ok(())
/// # }
/// ```
pub struct Drained<S: Source> {
    shared: Arc<Shared<S>>,
}

struct Shared<S: Source> {
    /// Locked before `state` where both are, and while the session is polled. `None` when it is over.
    source: Mutex<Option<S>>,
    /// Never locked while the session is polled, which may wake.
    state: Mutex<State<S::Item>>,
}

struct State<T> {
    items: VecDeque<T>,
    /// Why the session ended, until that is told.
    end: Option<BackendError>,
    is_over: bool,
    /// Who waits for an item, and is called when there is something to read.
    reader: Option<Waker>,
    /// It was called, and has not read since.
    is_called: bool,
    /// The task that reads while nobody waits.
    task: Option<Waker>,
}

impl<S: Source> Drained<S> {
    /// Takes a session, and returns the future that reads it while nobody waits for an item. It must
    /// be spawned as a task, and ends with the session.
    pub fn new(source: S) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let state =
            State { items: VecDeque::new(), end: None, is_over: false, reader: None, is_called: false, task: None };
        let shared = Arc::new(Shared { source: Mutex::new(Some(source)), state: Mutex::new(state) });
        let of_task = shared.clone();
        let draining = poll_fn(move |context| of_task.drain(context));
        (Self { shared }, draining)
    }

    /// The next item. Dropping the future loses nothing. Drop it before anything else on the session
    /// is awaited: what happens to the session wakes this future first.
    ///
    /// # Errors
    /// Why the session ended, once all items are taken.
    pub async fn next(&mut self) -> Result<S::Item, BackendError> {
        // A storm must not keep other tasks from running.
        tokio::task::coop::consume_budget().await;
        let waiting = Waiting(&self.shared);
        poll_fn(|context| waiting.0.poll_next(context)).await
    }

    /// The next item, if it has been read already.
    pub fn take_next(&mut self) -> Option<S::Item> {
        self.shared.state.lock().pop()
    }
}

impl<T> State<T> {
    fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front();
        // A flood leaves room for all that it was.
        if self.items.is_empty() && self.items.capacity() > MAX_KEPT {
            self.items = VecDeque::new();
        }
        item
    }
}

impl<S: Source> fmt::Debug for Drained<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained").finish_non_exhaustive()
    }
}

impl<S: Source> Drop for Drained<S> {
    fn drop(&mut self) {
        // Here, as wakers that the session keeps hold it, too.
        let source = self.shared.source.lock().take();
        drop(source);
        let task = {
            let mut state = self.shared.state.lock();
            state.is_over = true;
            state.task.take()
        };
        task.into_iter().for_each(Waker::wake);
    }
}

/// Somebody who waits for an item; however that ends, the task knows that it must read again.
struct Waiting<'a, S: Source>(&'a Arc<Shared<S>>);

impl<S: Source> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.reader = None;
        // Called, and went away without reading.
        let task = std::mem::take(&mut state.is_called).then(|| state.task.clone()).flatten();
        drop(state);
        task.into_iter().for_each(Waker::wake);
    }
}

impl<S: Source> Shared<S> {
    fn poll_next(self: &Arc<Self>, context: &mut Context<'_>) -> Poll<Result<S::Item, BackendError>> {
        let mut state = self.state.lock();
        if state.items.is_empty() && !state.is_over {
            // Before it is read: what happens after that calls.
            state.reader = Some(context.waker().clone());
            state.is_called = false;
            drop(state);
            self.read(true);
            state = self.state.lock();
        }
        match state.pop() {
            Some(item) => Poll::Ready(Ok(item)),
            None if state.is_over => Poll::Ready(Err(state.end.take().unwrap_or_else(ended))),
            None => Poll::Pending,
        }
    }

    fn drain(self: &Arc<Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.is_over {
            return Poll::Ready(());
        }
        state.task = Some(context.waker().clone());
        drop(state);
        self.read(false);
        Poll::Pending
    }

    /// Reads what is there. When there may be more, wakes the task, which reads on.
    fn read(self: &Arc<Self>, is_reader: bool) {
        let mut source = self.source.lock();
        let Some(session) = source.as_mut() else { return };
        let waker = Waker::from(self.clone());
        let mut context = Context::from_waker(&waker);
        let mut end = None;
        let mut is_all = false;
        let mut count = 0;
        while count < MAX_AT_ONCE {
            // A driver that panics ends its session, and not the task that waits for it.
            match catch_unwind(AssertUnwindSafe(|| session.poll_next(&mut context))) {
                Ok(Poll::Ready(Ok(item))) => {
                    self.state.lock().items.push_back(item);
                    count += 1;
                    continue;
                }
                Ok(Poll::Pending) => is_all = true,
                Ok(Poll::Ready(Err(error))) => end = Some(error),
                Err(panic) => end = Some(panicked(&*panic)),
            }
            break;
        }
        // Dropped at the end: that may wake.
        let ended = end.as_ref().and_then(|_| source.take());
        let mut state = self.state.lock();
        let has_news = count > 0 || end.is_some();
        let reader = if has_news && !is_reader { state.reader.take() } else { None };
        let task = if is_all { None } else { state.task.clone() };
        if end.is_some() {
            state.end = end;
            state.is_over = true;
        }
        drop((state, source));
        reader.into_iter().chain(task).for_each(Waker::wake);
        // A driver that has panicked may do so again.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(ended)));
    }
}

/// Something happened to the session.
impl<S: Source> Wake for Shared<S> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let called = match state.reader.take() {
            Some(reader) => {
                state.is_called = true;
                Some(reader)
            }
            None => state.task.clone(),
        };
        drop(state);
        called.into_iter().for_each(Waker::wake);
    }
}

fn ended() -> BackendError {
    BackendError::new(ErrorKind::Connection, "the session has ended")
}

#[cfg(all(test, not(feature = "model")))]
#[allow(clippy::unwrap_used, reason = "a panic is a test's report")]
mod tests {
    use super::*;

    /// Gives this many numbers, then ends.
    struct Numbers(std::ops::Range<usize>);

    impl Source for Numbers {
        type Item = usize;

        fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Result<usize, BackendError>> {
            Poll::Ready(self.0.next().ok_or_else(ended))
        }
    }

    #[tokio::test]
    async fn a_flood_comes_in_order_and_leaves_no_memory_behind() {
        const FLOOD: usize = 20_000;
        let (mut numbers, draining) = Drained::new(Numbers(0..FLOOD));
        // Nobody waits, so the task reads all of it.
        tokio::spawn(draining).await.unwrap();
        let capacity = |numbers: &Drained<Numbers>| numbers.shared.state.lock().items.capacity();
        assert!(capacity(&numbers) >= FLOOD);
        for number in 0..FLOOD {
            assert_eq!(numbers.take_next(), Some(number));
        }
        assert!(capacity(&numbers) <= MAX_KEPT, "{}", capacity(&numbers));
        assert_eq!(numbers.take_next(), None);
        assert_eq!(numbers.next().await.unwrap_err().kind(), ErrorKind::Connection);
    }
}
