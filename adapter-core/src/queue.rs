//! An unbounded queue whose reader takes all items at once.
//!
//! Under load that costs less than a channel that passes items one by one: an item is written once
//! and read once, and memory is reused. A caller that needs a bound must keep it.

use std::{collections::VecDeque, sync::Arc};

use crate::sync::{Mutex, Notify};

/// Creates a queue.
pub(crate) fn queue<T>() -> (Sender<T>, Receiver<T>) {
    let items = Items { waiting: VecDeque::new(), is_nudged: false, has_sender: true, has_reader: true };
    let shared = Arc::new(Shared { items: Mutex::new(items), changed: Notify::new() });
    (Sender(shared.clone()), Receiver(shared))
}

struct Shared<T> {
    items: Mutex<Items<T>>,
    /// Notifies the only reader.
    changed: Notify,
}

struct Items<T> {
    waiting: VecDeque<T>,
    is_nudged: bool,
    has_sender: bool,
    has_reader: bool,
}

/// Puts items into a queue.
pub(crate) struct Sender<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    /// Never waits. False when the reader is gone.
    pub(crate) fn send(&self, item: T) -> bool {
        self.change(|items| items.waiting.push_back(item))
    }

    /// As [`send`](Self::send); when the reader is gone, the item stays where it is.
    pub(crate) fn send_from(&self, item: &mut Option<T>) -> bool {
        self.change(|items| items.waiting.extend(item.take()))
    }

    /// Sends many items, with no others between them. Returns them when the reader is gone.
    pub(crate) fn send_all(&self, mut many: Vec<T>) -> Result<(), Vec<T>> {
        if self.change(|items| items.waiting.extend(many.drain(..))) { Ok(()) } else { Err(many) }
    }

    /// Wakes the reader, which may have something else to do.
    pub(crate) fn nudge(&self) -> bool {
        self.change(|items| items.is_nudged = true)
    }

    fn change(&self, change: impl FnOnce(&mut Items<T>)) -> bool {
        let mut items = self.0.items.lock();
        if !items.has_reader {
            return false;
        }
        let was_quiet = items.is_quiet();
        change(&mut items);
        drop(items);
        if was_quiet {
            self.0.changed.notify_one();
        }
        true
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.items.lock().has_sender = false;
        self.0.changed.notify_one();
    }
}

/// Takes items out of a queue.
pub(crate) struct Receiver<T>(Arc<Shared<T>>);

impl<T> Receiver<T> {
    /// Waits until there are items, and adds all of them to `taken`; after a nudge there may be
    /// none. False when the queue is empty and the sender is gone.
    pub(crate) async fn take(&mut self, taken: &mut VecDeque<T>) -> bool {
        loop {
            {
                let mut items = self.0.items.lock();
                if !items.is_quiet() {
                    items.take(taken);
                    return true;
                }
                if !items.has_sender {
                    return false;
                }
            }
            self.0.changed.notified().await;
        }
    }

    /// Adds the items that are there to `taken`.
    pub(crate) fn take_now(&mut self, taken: &mut VecDeque<T>) {
        self.0.items.lock().take(taken);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.items.lock().waiting.is_empty()
    }
}

impl<T> Items<T> {
    /// The memory of this many items is kept for reuse; memory that a flood needed is released.
    const KEPT: usize = 2048;

    fn is_quiet(&self) -> bool {
        self.waiting.is_empty() && !self.is_nudged
    }

    fn take(&mut self, taken: &mut VecDeque<T>) {
        self.is_nudged = false;
        if !taken.is_empty() {
            taken.append(&mut self.waiting);
            return;
        }
        if taken.capacity() > Self::KEPT {
            *taken = VecDeque::new();
        }
        std::mem::swap(&mut self.waiting, taken);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut items = self.0.items.lock();
        items.has_reader = false;
        let rest = std::mem::take(&mut items.waiting);
        drop(items);
        // Outside of the lock: dropping an item may send.
        drop(rest);
    }
}

#[cfg(all(test, not(feature = "model")))]
#[allow(clippy::unwrap_used, reason = "a panic is a test's report")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_that_is_there_is_taken_in_its_order_and_the_end_is_told() {
        let (sender, mut receiver) = queue();
        let mut taken = VecDeque::new();
        assert!(sender.send(1) && sender.send_all(vec![2, 3]).is_ok());
        assert!(receiver.take(&mut taken).await);
        sender.send(4);
        receiver.take_now(&mut taken);
        assert_eq!(taken, [1, 2, 3, 4]);
        assert!(receiver.is_empty());
        taken.clear();
        let (taking, ()) = tokio::join!(receiver.take(&mut taken), async { drop(sender) });
        assert!(!taking && taken.is_empty());
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_by_an_item_and_by_a_nudge() {
        let (sender, mut receiver) = queue();
        let reading = tokio::spawn(async move {
            let (mut nothing, mut taken) = (VecDeque::new(), VecDeque::new());
            (receiver.take(&mut nothing).await && receiver.take(&mut taken).await).then_some((nothing, taken))
        });
        tokio::task::yield_now().await;
        sender.nudge();
        tokio::task::yield_now().await;
        sender.send(7);
        assert_eq!(reading.await.unwrap(), Some(([].into(), [7].into())));
        assert_eq!(sender.send_all(vec![8]), Err(vec![8]), "the reader is gone");
    }

    #[test]
    fn the_memory_of_a_flood_is_given_back() {
        let (sender, mut receiver) = queue();
        let mut taken = VecDeque::new();
        for count in [100_000, 1, 1] {
            sender.send_all((0..count).collect()).unwrap();
            receiver.take_now(&mut taken);
            taken.clear();
        }
        assert!(taken.capacity() < 10_000, "{}", taken.capacity());
    }
}
