//! Checks every interleaving of the side that reads and the inbox's task, in small cases.

use std::sync::Arc;

use loom::thread;

use super::{Back, line};
use crate::sync::{Mutex, block_on, explore, moment, poll_times};

/// What was handled: begun, and done.
type Trace = Arc<Mutex<Vec<(u32, bool)>>>;

/// Reads the messages: handles each if the line is empty, else puts it into the line. Some must be
/// put there.
fn read(mut back: Back<u32>, messages: u32, is_light: fn(u32) -> bool, trace: &Trace) {
    for message in 0..messages {
        if is_light(message) && back.is_empty() {
            trace.lock().push((message, false));
            trace.lock().push((message, true));
        } else {
            back.push(message);
        }
    }
}

fn check(preemptions: Option<usize>, messages: u32, is_light: fn(u32) -> bool, aborted_after: Option<usize>) {
    explore(preemptions, move || {
        let trace = Trace::default();
        let (back, mut front) = line();
        let of_reader = trace.clone();
        let reading = thread::spawn(move || read(back, messages, is_light, &of_reader));
        let task = async {
            while let Some((message, _handling)) = front.next().await {
                trace.lock().push((message, false));
                moment().await;
                trace.lock().push((message, true));
            }
        };
        match aborted_after {
            None => block_on(task),
            Some(polls) => drop(poll_times(polls, task)),
        }
        reading.join().expect("a reader that ends");
        let trace = trace.lock();
        let in_order: Vec<_> = (0..messages).flat_map(|message| [(message, false), (message, true)]).collect();
        if aborted_after.is_none() {
            assert_eq!(*trace, in_order, "one after the other");
        }
        let begun: Vec<_> = trace.iter().filter(|(_, is_done)| !is_done).collect();
        assert!(begun.is_sorted_by(|one, other| one.0 < other.0), "in order: {trace:?}");
    });
}

#[test]
fn messages_are_handled_one_after_the_other() {
    check(Some(3), 2, |message| message != 0, None);
    check(Some(2), 3, |_| true, None);
    check(Some(2), 3, |message| message != 0, None);
    check(Some(2), 3, |message| message != 1, None);
}

#[test]
fn the_reader_goes_on_when_the_task_is_aborted_anywhere() {
    for polls in 0..3 {
        check(Some(3), 2, |message| message != 0, Some(polls));
    }
}
