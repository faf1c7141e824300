//! Every operation, dropped before each of its polls, on PostgreSQL and both backends.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is a test's report, and the polls are told")]

use std::sync::Arc;

use deadpool_postgres::Pool;
use diesel_async::{
    AsyncPgConnection,
    pooled_connection::{AsyncDieselConnectionManager, deadpool::Pool as DieselPool},
};
use socketio_pg_core::{
    Cluster, Emitter,
    backend::{Backend, BackendError},
    testing::contract::cancellation::{poll_times, sweep as sweep_polls},
};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tests::{database, sessions::OF_RUST};
use socketio_pg_throwaway::Database;
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use tokio::time::timeout;

#[path = "../../adapter-core/tests/suite/clients/mod.rs"]
mod clients;
#[path = "../../adapter-core/tests/suite/sweep/mod.rs"]
mod sweep;

use clients::LONG;
use sweep::{
    ends::{self, End, Then},
    operations::{self, large},
    scene::{Scene, TRAFFIC, options},
    until,
};

/// The most connections of a node: one listens, one publishes, three fetch attachments and delete
/// rows.
const SESSIONS: usize = 5;

fn count(database: &Database, which: &str) -> usize {
    let counted = database.execute(&format!("SELECT count(*) FROM pg_stat_activity WHERE {which}"));
    counted.unwrap().unwrap().parse().unwrap()
}

async fn scene<B: Backend + TryFrom<String, Error = BackendError>>(database: &Arc<Database>) -> Scene<B> {
    let mut clusters = Vec::new();
    for _ in 0..2 {
        clusters.push(Cluster::<B>::connect(database.url(), options()).await.unwrap());
    }
    let clusters = <[_; 2]>::try_from(clusters).unwrap();
    let database = database.clone();
    Scene::new(clusters, move || count(&database, OF_RUST), SESSIONS).await
}

async fn operations_are_given_up<B: Backend + TryFrom<String, Error = BackendError>>() {
    let Some(database) = database().map(Arc::new) else { return };
    let mut scene = scene::<B>(&database).await;
    for operation in operations::all() {
        for traffic in TRAFFIC {
            scene.sweep(&operation, traffic).await;
        }
    }
    ends::namespace(&mut scene).await;
    ends::events(&scene).await;
    scene.end().await;
}

async fn nodes_are_given_up<B: Backend + TryFrom<String, Error = BackendError>>() {
    let Some(one) = database() else { return };
    let Some(other) = database() else { return };
    let sessions = || count(&one, OF_RUST) + count(&other, OF_RUST);
    let connect = || Cluster::<B>::connect(one.url(), options());
    // The first node creates the table, which would add sessions and polls.
    ends::connect("connect", connect, sessions).await;
    ends::connect(
        "connect_split",
        || Cluster::<B>::connect_split([one.url(), other.url()], |_| 1, options()),
        sessions,
    )
    .await;
    for end in [End::Cluster, End::Server] {
        for then in [Then::Again, Then::Dropped] {
            ends::close(end, then, connect, sessions).await;
        }
    }
}

/// The operation of an emitter that is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Emits {
    Small,
    Large,
    Join,
    Leave,
    ServerSide,
    /// The event after the one that was dropped.
    Agree,
}

/// Emits on connection `$on`, once or dropped before each poll.
macro_rules! emit {
    ($backend:ty, $emits:expr, $number:expr, $polls:expr, $on:expr) => {{
        let emitter = Emitter::<$backend>::new();
        let emitting = async {
            match $emits {
                Emits::Small => emitter.emit("swept", &$number, $on).await,
                Emits::Large => emitter.emit("swept", &($number, large()), $on).await,
                Emits::Join => emitter.sockets_join(["room"], $on).await,
                Emits::Leave => emitter.sockets_leave(["room"], $on).await,
                Emits::ServerSide => emitter.of("/elsewhere").server_side_emit("swept", &$number, $on).await,
                Emits::Agree => emitter.emit("agree", &$number, $on).await,
            }
        };
        let mut emitting = Box::pin(emitting);
        let emitted = timeout(LONG, poll_times(emitting.as_mut(), $polls)).await.expect("it is woken");
        emitted.map(Result::unwrap).is_some()
    }};
}

async fn emits_are_given_up<B: Backend + TryFrom<String, Error = BackendError>>(
    database: Arc<Database>,
    emit: impl AsyncFn(Emits, usize, usize) -> bool,
) {
    let mut scene = scene::<B>(&database).await;
    for emits in [Emits::Small, Emits::Large, Emits::Join, Emits::Leave, Emits::ServerSide] {
        let polls = sweep_polls(async |polls| {
            let what = format!("the emitter's {emits:?} after {polls} polls");
            let number = scene.next_round();
            let is_over = emit(emits, number, polls).await;
            // PostgreSQL may go on with a statement that it has begun.
            let busy = "datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'";
            until(&what, async || match count(&database, busy) {
                0 => Ok(()),
                busy => Err(format!("{busy} sessions are busy")),
            })
            .await;
            assert!(emit(Emits::Agree, number, usize::MAX).await, "{what}");
            let has_arrived = scene.has_arrived(&what).await;
            let is_event = matches!(emits, Emits::Small | Emits::Large);
            assert!(is_event || !has_arrived, "{what}");
            assert!(polls > 0 || !has_arrived, "{what}");
            assert!(has_arrived || !is_over || !is_event, "{what}");
            is_over
        });
        println!("emitter, {emits:?}: {} polls", polls.await);
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_tokio_postgres_an_operation_that_is_given_up_leaves_everything_working() {
    operations_are_given_up::<TokioPostgresBackend>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_diesel_an_operation_that_is_given_up_leaves_everything_working() {
    operations_are_given_up::<DieselBackend>().await;
}

#[tokio::test]
async fn on_tokio_postgres_a_node_whose_beginning_or_end_is_given_up_leaves_nothing() {
    nodes_are_given_up::<TokioPostgresBackend>().await;
}

#[tokio::test]
async fn on_diesel_a_node_whose_beginning_or_end_is_given_up_leaves_nothing() {
    nodes_are_given_up::<DieselBackend>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_tokio_postgres_an_emitter_that_is_given_up_emits_all_or_nothing_and_spoils_no_pool() {
    let Some(database) = database().map(Arc::new) else { return };
    let manager = deadpool_postgres::Manager::new(database.url().parse().unwrap(), tokio_postgres::NoTls);
    let pool = Pool::builder(manager).max_size(1).build().unwrap();
    emits_are_given_up::<TokioPostgresBackend>(database, async |emits, number, polls| {
        emit!(TokioPostgresBackend, emits, number, polls, &pool)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_diesel_an_emitter_that_is_given_up_emits_all_or_nothing_and_spoils_no_pool() {
    let Some(database) = database().map(Arc::new) else { return };
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(database.url());
    let pool = DieselPool::builder(manager).max_size(1).build().unwrap();
    emits_are_given_up::<DieselBackend>(database, async |emits, number, polls| {
        let mut connection = timeout(LONG, pool.get()).await.expect("the pool has one").unwrap();
        emit!(DieselBackend, emits, number, polls, &mut *connection)
    })
    .await;
}
