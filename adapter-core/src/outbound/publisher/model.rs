//! Checks every interleaving of senders, the publisher's task, cancelling and closing, in small
//! cases.

use std::{sync::Arc, time::Duration};

use loom::thread::{self, JoinHandle};
use socketio_pg_protocol::{SessionId, cluster::Sighting};

use super::{Limits, Publisher, Tables};
use crate::{
    backend::{
        Backend, BackendError, CatchUp, Content, ErrorKind, FetchLimits, Incoming, Listener, LogQuery, LogRow,
        OutboxBatch, OutboxProgress, OutboxState, Outgoing, Position, Row, SweepBatch, TableReport, table::TableName,
    },
    observe::event::Events,
    outbound::effect::Effect,
    sync::{Mutex, block_on, explore, moment, poll_times},
};

/// What was observed, in the order of time.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Begun,
    Committed(String),
    Ended,
    Effect { payload: String, is_committed: bool },
}

type Trace = Arc<Mutex<Vec<Seen>>>;

/// Takes a moment for each batch, in which other tasks may run.
struct Database(Trace);

struct Busy<'a>(&'a Trace);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().push(Seen::Ended);
    }
}

impl Backend for Database {
    type Listener = NotListening;

    async fn publish(&self, _: &str, _: Option<&CatchUp>, batch: &[Outgoing]) -> Result<(), BackendError> {
        self.0.lock().push(Seen::Begun);
        let _busy = Busy(&self.0);
        moment().await;
        let mut trace = self.0.lock();
        for outgoing in batch {
            let Content::Inline(payload) = &outgoing.content else { unreachable!() };
            trace.push(Seen::Committed(payload.clone()));
        }
        Ok(())
    }

    async fn inspect_table(&self, _: &TableName) -> Result<TableReport, BackendError> {
        unimplemented!()
    }
    async fn create(&self, _: &TableName, _: &str) -> Result<(), BackendError> {
        unimplemented!()
    }
    async fn fetch(&self, _: &str, _: &[i64], _: FetchLimits) -> Result<Vec<Row>, BackendError> {
        unimplemented!()
    }
    async fn mark(&self, _: &str, _: &str, _: &str) -> Result<Position, BackendError> {
        unimplemented!()
    }
    async fn read_log(&self, _: &LogQuery<'_>) -> Result<Vec<LogRow>, BackendError> {
        unimplemented!()
    }
    async fn sweep_batch(&self, _: &str, _: SweepBatch) -> Result<u64, BackendError> {
        unimplemented!()
    }
    async fn publish_outbox(&self, _: &OutboxBatch<'_>) -> Result<OutboxProgress, BackendError> {
        unimplemented!()
    }
    async fn look_at_outbox(&self, _: &str, _: i64) -> Result<OutboxState, BackendError> {
        unimplemented!()
    }
    fn close(&self) {}
    async fn connect_listener(&self) -> Result<NotListening, BackendError> {
        unimplemented!()
    }
}

struct NotListening;

impl Listener for NotListening {
    async fn listen(&mut self, _: &[String]) -> Result<(), BackendError> {
        unimplemented!()
    }
    async fn unlisten(&mut self, _: &[String]) -> Result<(), BackendError> {
        unimplemented!()
    }
    async fn next(&mut self) -> Result<Incoming, BackendError> {
        unimplemented!()
    }
    fn take_next(&mut self, _: &mut dyn FnMut(&str, &str)) -> bool {
        false
    }
    async fn check(&mut self) -> Result<(), BackendError> {
        Err(BackendError::new(ErrorKind::Connection, "cannot listen"))
    }
    async fn look(
        &mut self,
        _: Option<SessionId>,
        _: &mut (dyn FnMut(&str, &str) + Send),
    ) -> Result<Vec<Sighting>, BackendError> {
        unimplemented!()
    }
}

fn outgoing(payload: &str) -> Outgoing {
    Outgoing { channel: "c".to_owned(), content: Content::Inline(payload.to_owned()), is_logged: false }
}

/// One sender.
#[derive(Clone, Copy)]
enum Sender {
    /// Waits for one message.
    Waits(&'static str),
    /// Stops waiting for the first message after this many polls, and then waits for the second.
    GivesUp(usize, &'static str, Option<&'static str>),
    /// Does not wait for the first, but for the second.
    Queues(&'static str, &'static str),
    /// Does not wait for the first, and stops waiting for the second after a poll.
    QueuesAndGivesUp(&'static str, &'static str),
    /// Responds to another node.
    Responses(&'static str),
}

impl Sender {
    fn messages(self) -> Vec<&'static str> {
        match self {
            Self::Waits(one) => vec![one],
            Self::GivesUp(_, one, other) => std::iter::once(one).chain(other).collect(),
            Self::Queues(one, other) | Self::QueuesAndGivesUp(one, other) => vec![one, other],
            Self::Responses(_) => vec![],
        }
    }

    fn run(self, publisher: &Arc<Publisher<Database>>, trace: &Trace) {
        let effect = |payload: &str| {
            let (trace, payload) = (trace.clone(), payload.to_owned());
            Effect::new(move |result| trace.lock().push(Seen::Effect { payload, is_committed: result.is_ok() }))
        };
        let publish = |payload| async move {
            match publisher.begin(outgoing(payload), effect(payload)) {
                Ok(begun) => begun.await,
                Err(effect) => effect.fail(crate::Error::Closed),
            }
        };
        match self {
            Self::Waits(payload) => drop(block_on(publish(payload))),
            Self::GivesUp(polls, one, other) => {
                drop(poll_times(polls, publish(one)));
                if let Some(other) = other {
                    drop(block_on(publish(other)));
                }
            }
            Self::Queues(one, other) => {
                drop(publisher.queue(outgoing(one), effect(one)).map(super::Published::detach));
                drop(block_on(publish(other)));
            }
            Self::QueuesAndGivesUp(one, other) => {
                drop(publisher.queue(outgoing(one), effect(one)).map(super::Published::detach));
                drop(poll_times(1, publish(other)));
            }
            Self::Responses(payload) => {
                if publisher.queue_response(outgoing(payload), Effect::none()).is_ok() {
                    let _ = block_on(publisher.wait_for_capacity());
                }
            }
        }
    }
}

/// Lets the senders send while the task runs to its end, or is aborted after this many polls.
fn check(preemptions: Option<usize>, senders: &'static [Sender], aborted_after: Option<usize>) {
    explore(preemptions, move || {
        let trace = Trace::default();
        let tables = Tables { attachments: String::new(), log: None };
        let (publisher, task) = Publisher::new(
            Arc::new(Database(trace.clone())),
            tables,
            0,
            Limits { full: Duration::from_secs(3600), while_hanging: Duration::from_secs(900) },
            Arc::new(Events::default()),
        );
        let publisher = Arc::new(publisher);
        let fast_path = publisher.fast_path.clone();
        let sending: Vec<_> = senders
            .iter()
            .map(|sender| {
                let (publisher, trace) = (publisher.clone(), trace.clone());
                spawn(move || sender.run(&publisher, &trace))
            })
            .collect();
        drop(publisher);
        match aborted_after {
            None => block_on(task),
            Some(polls) => drop(poll_times(polls, task)),
        }
        for sender in sending {
            sender.join().expect("a sender that ends");
        }
        if aborted_after.is_none() {
            assert!(fast_path.is_free(), "the fast path is free");
        }
        drop(fast_path);
        judge(&trace.lock(), senders, aborted_after.is_none());
    });
}

fn spawn(work: impl FnOnce() + 'static) -> JoinHandle<()> {
    thread::spawn(work)
}

fn judge(trace: &[Seen], senders: &[Sender], are_all_committed: bool) {
    let mut busy = 0;
    for seen in trace {
        match seen {
            Seen::Begun => busy += 1,
            Seen::Ended => busy -= 1,
            _ => {}
        }
        assert!(busy <= 1, "two publications at once: {trace:?}");
    }
    let committed: Vec<_> = trace
        .iter()
        .filter_map(|seen| if let Seen::Committed(payload) = seen { Some(payload.as_str()) } else { None })
        .collect();
    let effects: Vec<_> = trace
        .iter()
        .filter_map(|seen| match seen {
            Seen::Effect { payload, is_committed } => Some((payload.as_str(), *is_committed)),
            _ => None,
        })
        .collect();
    for sender in senders {
        let own = sender.messages();
        for message in &own {
            let count = effects.iter().filter(|(payload, _)| payload == message).count();
            assert_eq!(count, 1, "the effect of {message} runs once: {trace:?}");
        }
        let in_order: Vec<_> = committed.iter().copied().filter(|payload| own.contains(payload)).collect();
        let expected: Vec<_> = own.iter().copied().filter(|payload| in_order.contains(payload)).collect();
        assert_eq!(in_order, expected, "a sender's messages keep their order, and none comes twice: {trace:?}");
        if are_all_committed {
            assert_eq!(in_order, own, "all that was begun is committed: {trace:?}");
        }
    }
    let taken: Vec<_> = effects.iter().filter(|(_, is_committed)| *is_committed).map(|(payload, _)| *payload).collect();
    let of_senders: Vec<_> = committed.iter().copied().filter(|payload| taken.contains(payload)).collect();
    assert_eq!(taken, of_senders, "effects run in the order of publication: {trace:?}");
}

/// How often a task may be interrupted where there are three of them.
const FEW: Option<usize> = Some(3);

#[test]
fn one_sender_and_the_task_in_every_interleaving() {
    check(None, &[Sender::Waits("a")], None);
}

#[test]
fn one_sender_that_gives_up_anywhere_in_every_interleaving() {
    check(None, &[Sender::GivesUp(1, "a", None)], None);
    check(None, &[Sender::GivesUp(2, "a", None)], None);
}

#[test]
fn two_senders_and_the_task() {
    check(FEW, &[Sender::Waits("a"), Sender::Waits("b")], None);
}

#[test]
fn a_sender_that_gives_up_and_sends_again_keeps_its_order() {
    check(Some(4), &[Sender::GivesUp(1, "a", Some("b"))], None);
    check(Some(4), &[Sender::GivesUp(2, "a", Some("b"))], None);
    check(Some(4), &[Sender::Queues("a", "b")], None);
}

#[test]
fn a_sender_that_gives_up_beside_another() {
    check(FEW, &[Sender::GivesUp(1, "a", None), Sender::Waits("b")], None);
    check(FEW, &[Sender::GivesUp(2, "a", None), Sender::Waits("b")], None);
}

#[test]
fn a_sender_that_queues_beside_another() {
    check(FEW, &[Sender::Queues("a", "b"), Sender::Waits("c")], None);
}

#[test]
fn a_sender_that_has_published_leaves_the_fast_path_of_the_next_alone() {
    check(FEW, &[Sender::Waits("c"), Sender::QueuesAndGivesUp("a", "b")], None);
}

#[test]
fn senders_end_when_the_task_is_aborted_anywhere() {
    for polls in 0..4 {
        check(None, &[Sender::Waits("a")], Some(polls));
        check(FEW, &[Sender::Waits("a"), Sender::Waits("b")], Some(polls));
    }
}

#[test]
fn what_was_given_up_is_not_forgotten_when_the_task_is_aborted_anywhere() {
    for polls in 0..4 {
        check(None, &[Sender::GivesUp(1, "a", None)], Some(polls));
        check(FEW, &[Sender::GivesUp(1, "a", None), Sender::Waits("b")], Some(polls));
    }
}

#[test]
fn answers_that_wait_for_room_end_with_the_task() {
    for polls in [None, Some(0), Some(1), Some(2)] {
        check(FEW, &[Sender::Responses("a"), Sender::Waits("b")], polls);
    }
}
