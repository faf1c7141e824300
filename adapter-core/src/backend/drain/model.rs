//! Checks every interleaving of a server, a reader that may give up, and the task, in small cases.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use loom::thread;

use super::{BackendError, Drained, Source};
use crate::{
    backend::ErrorKind,
    sync::{Mutex, Notify, block_on, explore, poll_times},
};

/// One end of a socket: what was sent, and whom to wake. A message is read once.
#[derive(Default)]
struct Socket {
    sent: Mutex<Line>,
    /// Notified when all was read.
    is_drained: Notify,
}

#[derive(Default)]
struct Line {
    messages: VecDeque<u32>,
    is_closed: bool,
    waker: Option<Waker>,
}

impl Socket {
    fn change(&self, change: impl FnOnce(&mut Line)) {
        let mut line = self.sent.lock();
        change(&mut line);
        let waker = line.waker.take();
        drop(line);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// The other end.
struct End(Arc<Socket>);

impl Source for End {
    type Item = u32;

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<u32, BackendError>> {
        let mut line = self.0.sent.lock();
        if let Some(message) = line.messages.pop_front() {
            if line.messages.is_empty() {
                self.0.is_drained.notify_one();
            }
            return Poll::Ready(Ok(message));
        }
        if line.is_closed {
            return Poll::Ready(Err(BackendError::new(ErrorKind::Connection, "closed")));
        }
        line.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// How the reader waits.
#[derive(Clone, Copy)]
enum Reader {
    /// Until the end.
    Waits,
    /// Gives up after a poll of each, this many times; then until the end.
    GivesUp(usize),
    /// Once, for as long as it takes, and then not until all was drained.
    Once,
}

fn check(preemptions: Option<usize>, messages: u32, reader: Reader) {
    explore(preemptions, move || {
        let socket = Arc::new(Socket::default());
        let (mut drained, draining) = Drained::new(End(socket.clone()));
        let task = thread::spawn(move || block_on(draining));
        let server = {
            let socket = socket.clone();
            thread::spawn(move || {
                for message in 0..messages {
                    socket.change(|line| line.messages.push_back(message));
                    if matches!(reader, Reader::Once) {
                        // A deadlock, when nobody drains it.
                        block_on(socket.is_drained.notified());
                    }
                }
                socket.change(|line| line.is_closed = true);
            })
        };
        let mut heard = Vec::new();
        match reader {
            Reader::Waits => {}
            Reader::GivesUp(times) => {
                for _ in 0..times {
                    heard.extend(poll_times(1, drained.next()).into_iter().flatten());
                }
            }
            Reader::Once => {
                heard.extend(block_on(drained.next()).ok());
                server.join().expect("a server that ends");
                task.join().expect("a task that ends");
                heard.extend(std::iter::from_fn(|| drained.take_next()));
                assert_eq!(heard, (0..messages).collect::<Vec<_>>());
                return;
            }
        }
        while let Ok(message) = block_on(drained.next()) {
            heard.push(message);
        }
        assert_eq!(heard, (0..messages).collect::<Vec<_>>());
        server.join().expect("a server that ends");
        task.join().expect("a task that ends");
    });
}

const FEW: Option<usize> = Some(3);

#[test]
fn a_reader_that_waits_hears_all_in_order() {
    check(FEW, 1, Reader::Waits);
    check(FEW, 2, Reader::Waits);
}

#[test]
fn a_reader_that_gives_up_anywhere_loses_nothing() {
    check(FEW, 1, Reader::GivesUp(1));
    check(Some(2), 2, Reader::GivesUp(2));
}

#[test]
fn a_session_is_drained_after_its_reader_went_away() {
    check(FEW, 2, Reader::Once);
    check(Some(2), 3, Reader::Once);
}

#[test]
fn the_task_ends_when_the_session_is_dropped_anywhere() {
    for polls in 0..2 {
        explore(None, move || {
            let socket = Arc::new(Socket::default());
            let (mut drained, draining) = Drained::new(End(socket.clone()));
            let task = thread::spawn(move || block_on(draining));
            drop(poll_times(polls, drained.next()));
            drop(drained);
            task.join().expect("a task that ends");
            assert!(Arc::strong_count(&socket) == 1, "the session is dropped");
        });
    }
}
