//! Two servers with a client each, and the invariants after a cancelled operation.

use std::{future::Future, pin::Pin, sync::Arc};

use parking_lot::Mutex;
use socketio_pg_core::{
    Cluster, Options,
    backend::Backend,
    testing::contract::cancellation::{poll_times, sweep},
};
use tokio::time::timeout;

use super::{
    operations::{Does, Operation, large},
    tasks, tasks_at_rest, until,
};
use crate::clients::{Client, LONG, Server};

/// Other messages while an operation is polled and cancelled.
#[derive(Clone, Copy, Debug)]
pub enum Traffic {
    None,
    /// Events that were begun before, and are awaited only after cancelling.
    Before,
    /// Events that are begun after its last poll, and before it is dropped.
    Behind,
}

pub const TRAFFIC: [Traffic; 3] = [Traffic::None, Traffic::Before, Traffic::Behind];

/// How many requests a node may have: few, so that a permit that is not released is soon missed.
pub fn options() -> Options {
    Options::default().max_requests(3)
}

pub struct Scene<B: Backend> {
    pub one: Arc<Server<B>>,
    pub other: Arc<Server<B>>,
    local: Client,
    remote: Client,
    /// The rounds whose server-side event has arrived.
    arrived: Arc<Mutex<Vec<usize>>>,
    sessions: Box<dyn Fn() -> usize + Send + Sync>,
    rounds: usize,
    tasks: usize,
    sessions_before: usize,
    most_sessions: usize,
}

impl<B: Backend> Scene<B> {
    /// `sessions` counts the sessions of the database, of which a node may have `most` when its
    /// pools are full.
    pub async fn new(
        clusters: [Cluster<B>; 2],
        sessions: impl Fn() -> usize + Send + Sync + 'static,
        most: usize,
    ) -> Self {
        let [one, other] = clusters;
        let (one, other) = (Arc::new(Server::of(one).await), Arc::new(Server::of(other).await));
        until("they meet", async || {
            let counts = [&one, &other].map(|server| server.cluster.of("/").server_count());
            if counts == [2, 2] { Ok(()) } else { Err(format!("{counts:?}")) }
        })
        .await;
        let arrived = Arc::<Mutex<Vec<usize>>>::default();
        other.cluster.of("/").on_server_side_with_ack("swept", {
            let arrived = arrived.clone();
            move |number: usize| {
                arrived.lock().push(number);
                std::future::ready(number)
            }
        });
        let local = Client::acknowledging(one.address).await;
        let remote = Client::acknowledging(other.address).await;
        let sessions = Box::new(sessions);
        let mut scene = Self {
            one,
            other,
            local,
            remote,
            arrived,
            sessions,
            rounds: 0,
            tasks: 0,
            sessions_before: 0,
            most_sessions: 2 * most,
        };
        // Opens every connection that is opened on first use.
        scene.one.cluster.of("/").emit("first", &large()).await.unwrap();
        scene.other.cluster.of("/").emit("first", &large()).await.unwrap();
        scene.everything_works("at first").await;
        (scene.tasks, scene.sessions_before) = (tasks_at_rest().await, (scene.sessions)());
        scene
    }

    /// Cancels an operation before each of its polls.
    pub async fn sweep(&mut self, operation: &Operation<B>, traffic: Traffic) {
        let polls = sweep(async |polls| self.round(operation, traffic, polls).await).await;
        println!("{}, {traffic:?}: {polls} polls", operation.name);
        self.nothing_leaked(operation.name).await;
    }

    async fn round(&mut self, operation: &Operation<B>, traffic: Traffic, polls: usize) -> bool {
        self.rounds += 1;
        let (one, number) = (self.one.clone(), self.rounds);
        let what = format!("{} after {polls} polls, {traffic:?}", operation.name);
        if operation.does == Does::Leave {
            one.cluster.of("/").sockets_join(["swept"]).await.unwrap();
        }
        let mut others = Vec::new();
        if matches!(traffic, Traffic::Before) {
            others = begin_emits(&one).await;
        }
        let mut operating = (operation.run)(&one, number);
        let polled = timeout(LONG, poll_times(operating.as_mut(), polls)).await;
        let is_over = polled.unwrap_or_else(|_| panic!("{what}: not woken")).is_some();
        if matches!(traffic, Traffic::Behind) {
            others = begin_emits(&one).await;
        }
        drop(operating);
        for other in others {
            timeout(LONG, other).await.unwrap_or_else(|_| panic!("{what}: another emit hangs"));
        }
        self.clients_agree(&what, operation.does, number, polls > 0).await;
        self.everything_works(&what).await;
        is_over
    }

    /// Local clients got what remote ones got, in the same order: the whole effect of an operation,
    /// once it was polled.
    async fn clients_agree(&mut self, what: &str, does: Does, number: usize, was_polled: bool) {
        if does == Does::Disconnect && was_polled {
            for (client, server) in [(&mut self.local, &self.one), (&mut self.remote, &self.other)] {
                client.wait_for(|packet| packet == "41").await;
                // socketioxide tells the client first and removes the socket then. It does not
                // answer a client that enters again in between.
                until(what, async || {
                    let sockets = server.io.sockets().len();
                    if sockets == 0 { Ok(()) } else { Err(format!("{sockets} sockets are left")) }
                })
                .await;
                client.enter("/").await;
                client.wait_for(|packet| packet.starts_with("40")).await;
            }
            return;
        }
        let is_in_room = match does {
            Does::Join => was_polled,
            Does::Leave => !was_polled,
            _ => false,
        };
        if matches!(does, Does::Join | Does::Leave) {
            self.one.io.to("swept").emit("swept", &number).await.unwrap();
        }
        let [local, remote] = self.events_until("agree", number).await;
        assert_eq!(local, remote, "{what}");
        let count = local.iter().filter(|event| is_of(event, number)).count();
        let is_expected = is_in_room || does == Does::Event && was_polled;
        assert_eq!(count, usize::from(is_expected), "{what}: {local:?}");
        // It was handled before the event that follows it.
        let arrived = std::mem::take(&mut *self.arrived.lock());
        let expected = if does == Does::ServerSide && was_polled { vec![number] } else { Vec::new() };
        assert_eq!(arrived, expected, "{what}");
        self.one.cluster.of("/").sockets_leave(["swept"]).await.unwrap();
    }

    /// What both clients get before an event that this sends.
    async fn events_until(&mut self, event: &str, number: usize) -> [Vec<String>; 2] {
        let sent = timeout(LONG, self.one.cluster.of("/").emit(event, &number)).await;
        sent.expect("the emit ends").unwrap();
        self.events_before(event, number).await
    }

    /// What both clients get before an event, without the numbers of acknowledgements.
    async fn events_before(&mut self, event: &str, number: usize) -> [Vec<String>; 2] {
        let last = format!(r#"["{event}",{number}]"#);
        let mut events = [Vec::new(), Vec::new()];
        for (client, events) in [&mut self.local, &mut self.remote].into_iter().zip(&mut events) {
            let (packets, _) = client.wait_with_others(|packet| packet.ends_with(&last)).await;
            events.extend(packets.iter().filter_map(|packet| Some(packet[packet.find('[')?..].to_owned())));
        }
        events
    }

    /// Events arrive from both servers, requests get responses, no request is left waiting.
    async fn everything_works(&mut self, what: &str) {
        let number = self.rounds;
        self.events_until("one", number).await;
        timeout(LONG, self.other.cluster.of("/").emit("other", &number)).await.unwrap().unwrap();
        for client in [&mut self.local, &mut self.remote] {
            client.wait_for(|packet| packet.ends_with(&format!(r#"["other",{number}]"#))).await;
        }
        for server in [&self.one, &self.other] {
            let sockets = timeout(LONG, server.cluster.of("/").fetch_sockets()).await;
            let sockets = sockets.unwrap_or_else(|_| panic!("{what}: fetch_sockets hangs"));
            assert_eq!(sockets.unwrap_or_else(|error| panic!("{what}: {error}")).len(), 2, "{what}");
        }
        until(what, async || {
            for server in [&self.one, &self.other] {
                let health = server.cluster.health();
                let requests: usize = health.namespaces.iter().map(|namespace| namespace.requests).sum();
                let is_at_rest = health.is_ready() && requests + health.publisher.waiting + health.inbox.waiting == 0;
                let lost = health.counts.rejected + health.counts.dropped + health.counts.unpublished;
                if !is_at_rest || lost > 0 {
                    return Err(format!("{health:?}"));
                }
            }
            Ok(())
        })
        .await;
        // After all responses: the queue is empty when the clients have this event, and the next
        // operation takes the fast path.
        self.events_until("settled", number).await;
    }

    /// As many tasks and sessions as before. A pool may have grown, with a task for each
    /// connection.
    pub async fn nothing_leaked(&self, what: &str) {
        until(what, async || {
            let (tasks, sessions) = (tasks(), (self.sessions)());
            let grown = sessions.saturating_sub(self.sessions_before);
            let is_so = tasks <= self.tasks + grown && sessions <= self.most_sessions;
            let before = (self.tasks, self.sessions_before);
            if is_so { Ok(()) } else { Err(format!("{:?} tasks and sessions, {before:?} before", (tasks, sessions))) }
        })
        .await;
    }

    /// Whether the event of a round, which no server sent, arrived before `agree`: the same
    /// everywhere.
    pub async fn has_arrived(&mut self, what: &str) -> bool {
        let number = self.rounds;
        let [local, remote] = self.events_before("agree", number).await;
        assert_eq!(local, remote, "{what}");
        self.everything_works(what).await;
        local.iter().any(|event| is_of(event, number))
    }

    /// The number of a new round.
    pub fn next_round(&mut self) -> usize {
        self.rounds += 1;
        self.rounds
    }

    /// Both servers leave in time, and leave nothing in the database.
    pub async fn end(self) {
        for server in [&self.one, &self.other] {
            timeout(LONG, server.cluster.close()).await.expect("close ends");
        }
        until("sessions end", async || match (self.sessions)() {
            0 => Ok(()),
            sessions => Err(format!("{sessions} are left")),
        })
        .await;
    }
}

fn is_of(event: &str, number: usize) -> bool {
    let start = format!(r#"["swept",{number}"#);
    event.strip_prefix(&start).is_some_and(|rest| rest.starts_with([']', ',']))
}

type Emit = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Events that were polled once each: the first one may be in flight, the others wait behind it.
async fn begin_emits<B: Backend>(server: &Arc<Server<B>>) -> Vec<Emit> {
    let mut emits = Vec::new();
    for text in ["a".to_owned(), large(), "b".to_owned()] {
        let server = server.clone();
        let mut emit: Emit = Box::pin(async move { server.cluster.of("/").emit("beside", &text).await.unwrap() });
        if poll_times(emit.as_mut(), 1).await.is_none() {
            emits.push(emit);
        }
    }
    emits
}
