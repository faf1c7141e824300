//! The line in which messages wait for the inbox's task, and whose turn it is to handle one.
//!
//! While anything waits or is being handled, the task handles all, in order. While the line is
//! empty, the side that reads may handle a message itself, without a change of task: only that side
//! puts messages into the line, so the line stays empty meanwhile.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    queue::{self, queue},
    sync::AtomicUsize,
};

#[cfg(all(test, feature = "model"))]
mod model;

/// Creates a line.
pub(super) fn line<T>() -> (Back<T>, Front<T>) {
    let (sender, receiver) = queue();
    let unhandled = Arc::new(AtomicUsize::new(0));
    let back = Back { queue: sender, unhandled: unhandled.clone() };
    (back, Front { queue: receiver, taken: VecDeque::new(), unhandled })
}

/// Where the only side that reads puts what is to be handled.
pub(super) struct Back<T> {
    queue: queue::Sender<T>,
    unhandled: Arc<AtomicUsize>,
}

impl<T> Back<T> {
    /// Whether all that was put into the line is handled. It stays so until [`push`](Self::push) is
    /// called, which needs this side for itself.
    pub(super) fn is_empty(&self) -> bool {
        // What the task did before is seen here.
        self.unhandled.load(Ordering::Acquire) == 0
    }

    /// Never waits. When the other side is gone, nothing is handled any more.
    pub(super) fn push(&mut self, item: T) {
        self.unhandled.fetch_add(1, Ordering::Relaxed);
        let _ = self.queue.send(item);
    }
}

/// Where the inbox's task takes what it handles.
pub(super) struct Front<T> {
    queue: queue::Receiver<T>,
    taken: VecDeque<T>,
    unhandled: Arc<AtomicUsize>,
}

impl<T> Front<T> {
    /// Waits for the next item. It is being handled until the second value is dropped. `None` when
    /// nothing waits and the other side is gone.
    pub(super) async fn next(&mut self) -> Option<(T, Handling)> {
        loop {
            if let Some(item) = self.taken.pop_front() {
                return Some((item, Handling(self.unhandled.clone())));
            }
            if !self.queue.take(&mut self.taken).await {
                return None;
            }
        }
    }
}

/// An item that is being handled.
pub(super) struct Handling(Arc<AtomicUsize>);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}
