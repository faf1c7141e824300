//! The outbox with servers that are killed, stopped and cut off while others write into it: every
//! event that was committed arrives once, and those of a writer in order.
//!
//! The seed of the faults is printed; `OUTBOX_SEED=…` repeats them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a panic is a test's report, and a seed is to be seen")]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use socketio_pg_core::{
    CatchUp, Options, Outbox,
    backend::{outbox_sql, table::TableName},
};
use socketio_pg_tests::{
    Kind, Node, NodeOptions, database,
    pooler::{self, Mode, PGBOUNCER, Pooler},
    require, sessions, time_limit,
};
use socketio_pg_throwaway::{Database, Server, StopMode};
use socketio_pg_tokio_postgres::{SqlFunctions, outbox_schema_sql, schema_sql};
use tokio::time::sleep;
use tokio_postgres::{
    Client, NoTls,
    types::{ToSql, Type},
};

/// How long the faults last.
const FAULTS: Duration = Duration::from_secs(10);

const WRITERS: usize = 4;

/// The last statement of a session that publishes an outbox.
const OUTBOX_PUBLISHERS: &str =
    "datname = current_database() AND application_name = 'publisher' AND query LIKE '%socketio_given%'";

struct Cluster {
    database: Arc<Database>,
    kind: Kind,
    /// Publish the outbox.
    publishers: Vec<Node>,
    /// Hears, and does not publish the outbox.
    observer: Node,
    options: NodeOptions,
    /// Stands between the database and those who publish and write, if it is there. All of them
    /// listen directly.
    pooler: Option<Pooler>,
}

fn options(database: &Database) -> NodeOptions {
    NodeOptions::new(database.url()).catch_up(Duration::from_secs(600)).query_timeout(Duration::from_secs(5))
}

/// As the writers have them.
fn cluster_options() -> Options {
    Options::default().catch_up(CatchUp::last(Duration::from_secs(600))).outbox(Outbox::default())
}

impl Cluster {
    async fn start(backend: &str, database: Database) -> Self {
        Self::start_behind(None, backend, database).await
    }

    async fn start_behind(pooler: Option<Pooler>, backend: &str, database: Database) -> Self {
        let database = Arc::new(database);
        let url = pooler.as_ref().map_or_else(|| database.url(), |pooler| pooler.url().to_owned());
        let program = PathBuf::from(env!("CARGO_BIN_EXE_test-node"));
        let kind = Kind::RustServer { program, backend: backend.to_owned() };
        let observer = Node::start(&kind, &options(&database)).await.unwrap();
        let options = options(&database).at(format!("{url}?application_name=publisher")).outbox();
        let options = if pooler.is_some() { options.listen_url(database.url()) } else { options };
        let mut publishers = Vec::new();
        for _ in 0..2 {
            publishers.push(Node::start(&kind, &options).await.unwrap());
        }
        let functions = SqlFunctions::new(&cluster_options()).unwrap();
        database
            .execute(&format!("{}; CREATE TABLE ledger (writer int, number int)", functions.install_sql()))
            .unwrap();
        Self { database, kind, publishers, observer, options, pooler }
    }

    /// The events that have arrived, by their writer.
    fn arrived(&self) -> BTreeMap<usize, Vec<u64>> {
        let mut arrived: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for event in self.observer.events() {
            if event["event"] == "serverSide" && event["name"] == "written" {
                let number = |index: usize| event["args"][index].as_u64().unwrap();
                arrived.entry(number(0) as usize).or_default().push(number(1));
            }
        }
        arrived
    }

    /// What was committed, in the order of its numbers.
    fn committed(&self) -> BTreeMap<usize, Vec<u64>> {
        let ledger = "SELECT string_agg(writer || ' ' || number, ',' ORDER BY writer, number) FROM ledger";
        let mut committed: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for entry in self.database.execute(ledger).unwrap().unwrap_or_default().split(',') {
            let (writer, number) = entry.split_once(' ').unwrap();
            committed.entry(writer.parse().unwrap()).or_default().push(number.parse().unwrap());
        }
        committed
    }

    /// Kills the pooler, and starts it again after a while.
    async fn without_pooler(&self, pause: Duration) {
        let pooler = self.pooler.as_ref().unwrap();
        pooler.kill().unwrap();
        let started = Instant::now();
        let publishers = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'publisher'";
        while self.database.execute(publishers).unwrap().as_deref() != Some("0") {
            assert!(started.elapsed() < time_limit(), "a server publishes, and not through the pooler");
            sleep(Duration::from_millis(20)).await;
        }
        sleep(pause).await;
        pooler.run().await.unwrap();
    }

    /// Waits until everything that was committed has arrived. Fails when something comes twice, too
    /// late, or not at all.
    async fn assert_all_arrived(&self) {
        let started = Instant::now();
        let committed = self.committed();
        loop {
            let arrived = self.arrived();
            if arrived == committed {
                break;
            }
            if started.elapsed() > time_limit() {
                for (writer, numbers) in &committed {
                    let arrived = arrived.get(writer).cloned().unwrap_or_default();
                    let at = numbers.iter().zip(&arrived).position(|(one, other)| one != other);
                    let at = at.unwrap_or(numbers.len().min(arrived.len()));
                    eprintln!(
                        "writer {writer}: {} committed, {} arrived; from {at} on {:?} and {:?}",
                        numbers.len(),
                        arrived.len(),
                        numbers.iter().skip(at).take(10).collect::<Vec<_>>(),
                        arrived.iter().skip(at).take(10).collect::<Vec<_>>(),
                    );
                }
                panic!("not everything that was committed has arrived once and in order");
            }
            sleep(Duration::from_millis(50)).await;
        }
        let rows = self.database.execute("SELECT count(*) FROM socket_io_outbox").unwrap();
        assert_eq!(rows.as_deref(), Some("0"));
        assert!(committed.len() == WRITERS && committed.values().all(|numbers| !numbers.is_empty()), "{committed:?}");
    }
}

/// Writes events in transactions, some of which are rolled back, until it is told to stop. A
/// transaction of which it does not learn the outcome is in the ledger, or not.
struct Writer {
    url: String,
    index: usize,
    is_on_diesel: bool,
    is_over: Arc<AtomicBool>,
    random: StdRng,
    number: u64,
}

impl Writer {
    async fn write(mut self) {
        while !self.is_over.load(Ordering::Relaxed) {
            // A database that is away ends a connection, and may refuse the next.
            let result = if self.is_on_diesel { self.with_diesel().await } else { self.with_tokio_postgres().await };
            if result.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// How many events, whether it is to commit.
    fn plan(&mut self) -> (Vec<u64>, bool) {
        let events = self.random.random_range(1..4);
        let numbers = self.number..self.number + events;
        self.number += events;
        (numbers.collect(), self.random.random_range(0..10) > 0)
    }

    async fn pause(&mut self) {
        sleep(Duration::from_millis(self.random.random_range(0..8))).await;
    }

    async fn with_tokio_postgres(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let (mut client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        tokio::spawn(connection);
        let emitter = socketio_pg_tokio_postgres::Emitter::with_options(&cluster_options());
        while !self.is_over.load(Ordering::Relaxed) {
            let (numbers, commits) = self.plan();
            let transaction = client.transaction().await?;
            for number in numbers {
                match self.index {
                    0 => emitter.server_side_emit("written", &(0, number), &transaction).await?,
                    2 => {
                        let call = format!(
                            "SELECT socketio.server_side_emit('written', args => ARRAY['2', '{number}']::jsonb[])"
                        );
                        transaction.batch_execute(&call).await?;
                    }
                    _ => {
                        // As an attachment.
                        let padding = "x".repeat(9000);
                        emitter.server_side_emit("written", &(self.index, number, padding), &transaction).await?;
                    }
                }
                let entry = format!("INSERT INTO ledger VALUES ({}, {number})", self.index);
                transaction.batch_execute(&entry).await?;
                self.pause().await;
            }
            if commits {
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
        }
        Ok(())
    }

    async fn with_diesel(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut connection = AsyncPgConnection::establish(&self.url).await?;
        let emitter = socketio_pg_diesel::Emitter::with_options(&cluster_options());
        while !self.is_over.load(Ordering::Relaxed) {
            let (numbers, commits) = self.plan();
            connection.batch_execute("BEGIN").await?;
            for number in numbers {
                emitter.server_side_emit("written", &(1, number), &mut connection).await?;
                let entry = format!("INSERT INTO ledger VALUES (1, {number})");
                connection.batch_execute(&entry).await?;
                self.pause().await;
            }
            connection.batch_execute(if commits { "COMMIT" } else { "ROLLBACK" }).await?;
        }
        Ok(())
    }
}

fn writers(cluster: &Cluster, is_over: &Arc<AtomicBool>, seed: u64) -> Vec<tokio::task::JoinHandle<()>> {
    let url = cluster.pooler.as_ref().map_or_else(|| cluster.database.url(), |pooler| pooler.url().to_owned());
    let has_diesel = cluster.pooler.is_none() || diesel_can_be_pooled();
    let writer = |index: usize| Writer {
        url: url.clone(),
        index,
        is_on_diesel: index == 1 && has_diesel,
        is_over: is_over.clone(),
        random: StdRng::seed_from_u64(seed + index as u64),
        number: 0,
    };
    (0..WRITERS).map(|index| tokio::spawn(writer(index).write())).collect()
}

fn seed() -> u64 {
    let seed = std::env::var("OUTBOX_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    eprintln!("OUTBOX_SEED={seed}");
    seed
}

async fn beside_faults(mut cluster: Cluster) {
    let (seed, is_over) = (seed(), Arc::new(AtomicBool::new(false)));
    let mut random = StdRng::seed_from_u64(seed);
    let writers = writers(&cluster, &is_over, seed + 1);
    let started = Instant::now();
    let mut faults = [0; 5];
    while started.elapsed() < FAULTS {
        sleep(Duration::from_millis(random.random_range(100..900))).await;
        let fault = match cluster.pooler {
            Some(_) if faults == [0; 5] => 4,
            Some(_) => random.random_range(0..5),
            None => random.random_range(0..4),
        };
        faults[fault] += 1;
        let index = random.random_range(0..cluster.publishers.len());
        match fault {
            0 => {
                cluster.publishers.remove(index).kill().await.unwrap();
                cluster.publishers.push(Node::start(&cluster.kind, &cluster.options).await.unwrap());
            }
            1 => {
                let pid = cluster.publishers[index].pid().to_string();
                sessions::signal("-STOP", &pid).unwrap();
                sleep(Duration::from_millis(random.random_range(500..3000))).await;
                sessions::signal("-CONT", &pid).unwrap();
            }
            2 => {
                cluster.database.execute(&sessions::terminate(OUTBOX_PUBLISHERS)).unwrap();
            }
            3 => {
                let lock = "BEGIN; LOCK TABLE socket_io_outbox IN EXCLUSIVE MODE; SELECT pg_sleep(0.5); COMMIT";
                let database = cluster.database.clone();
                tokio::task::spawn_blocking(move || database.execute(lock).unwrap()).await.unwrap();
            }
            _ => cluster.without_pooler(Duration::from_millis(random.random_range(200..1000))).await,
        }
    }
    let [killed, stopped, cut_off, locked_out, unpooled] = faults;
    eprintln!(
        "killed {killed}, stopped {stopped}, cut off {cut_off}, locked out {locked_out}, without the pooler {unpooled}"
    );
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    cluster.assert_all_arrived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_faults_every_event_arrives_once_and_in_order_on_tokio_postgres() {
    let Some(database) = database() else { return };
    beside_faults(Cluster::start("tokio-postgres", database).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_faults_every_event_arrives_once_and_in_order_on_diesel() {
    let Some(database) = database() else { return };
    beside_faults(Cluster::start("diesel", database).await).await;
}

/// Before 1.21 PgBouncer does not know prepared statements, and diesel-async uses no others.
fn diesel_can_be_pooled() -> bool {
    pooler::version().is_some_and(|version| version >= (1, 21))
}

/// Servers and writers share the sessions of a PgBouncer in transaction mode, which is killed as well.
async fn behind_pgbouncer(backend: &str) {
    if !require(&PGBOUNCER) || database().is_none() {
        return; // skipped, as it has reported
    }
    let server = tokio::task::spawn_blocking(|| Server::builder().start()).await.unwrap().unwrap();
    let database = server.create_database().unwrap();
    let port = server.port().expect("it is private");
    // The server asks for no password, and the settings of PgBouncer need one.
    let url = database.url().replace("postgres@", "postgres:any@");
    let pooler = Pooler::start(Mode::Transaction, port, &url).await.unwrap();
    beside_faults(Cluster::start_behind(Some(pooler), backend, database).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_pgbouncer_every_event_arrives_once_and_in_order_on_tokio_postgres() {
    behind_pgbouncer("tokio-postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_pgbouncer_every_event_arrives_once_and_in_order_on_diesel() {
    if require(&PGBOUNCER) && !diesel_can_be_pooled() {
        eprintln!("left out: the outbox on diesel behind PgBouncer, for which PgBouncer must be 1.21 or later");
        return;
    }
    behind_pgbouncer("diesel").await;
}

/// The server crashes while rows are written and published. What was published and not heard is in
/// the catch-up log. Attachments are gone then, so the writer of these is left out.
async fn beside_crashes(backend: &str) {
    if database().is_none() {
        return; // skipped, as it has reported
    }
    let server = tokio::task::spawn_blocking(|| Server::builder().durable().start()).await.unwrap().unwrap();
    let cluster = Cluster::start(backend, server.create_database().unwrap()).await;
    let (seed, is_over) = (seed(), Arc::new(AtomicBool::new(false)));
    let mut random = StdRng::seed_from_u64(seed);
    let writers = writers(&cluster, &is_over, seed + 1);
    writers[3].abort();
    for _ in 0..3 {
        sleep(Duration::from_millis(random.random_range(500..2000))).await;
        server.stop(StopMode::Immediate).unwrap();
        server.restart().unwrap();
    }
    sleep(Duration::from_millis(500)).await;
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        let _ = writer.await;
    }
    let without_last = |mut events: BTreeMap<usize, Vec<u64>>| {
        events.remove(&3);
        events
    };
    let committed = without_last(cluster.committed());
    let started = Instant::now();
    while without_last(cluster.arrived()) != committed {
        assert!(
            started.elapsed() < time_limit(),
            "committed {committed:?}, arrived {:?}",
            without_last(cluster.arrived())
        );
        sleep(Duration::from_millis(50)).await;
    }
    assert!(committed.values().all(|numbers| !numbers.is_empty()), "{committed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_crashes_of_postgresql_every_event_arrives_once_and_in_order_on_tokio_postgres() {
    beside_crashes("tokio-postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_crashes_of_postgresql_every_event_arrives_once_and_in_order_on_diesel() {
    beside_crashes("diesel").await;
}

/// Both servers hang by turns: the other one publishes what is written meanwhile.
async fn while_one_hangs(backend: &str) {
    let Some(database) = database() else { return };
    let cluster = Cluster::start(backend, database).await;
    let emit = |number: u64| {
        let call = format!("SELECT socketio.server_side_emit('written', args => ARRAY['0', '{number}']::jsonb[])");
        cluster.database.execute(&call).unwrap();
    };
    let arrives = async |number: u64| {
        let is_it = |event: &serde_json::Value| event["name"] == "written" && event["args"] == json!([0, number]);
        cluster.observer.wait_for_event("what was written", is_it).await.unwrap();
    };
    emit(0);
    arrives(0).await;
    for (number, publisher) in (1..).zip(cluster.publishers.iter().cycle().take(4)) {
        let pid = publisher.pid().to_string();
        sessions::signal("-STOP", &pid).unwrap();
        emit(number);
        let arrived = tokio::time::timeout(time_limit(), arrives(number)).await;
        sessions::signal("-CONT", &pid).unwrap();
        arrived.expect("the other server publishes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_server_hangs_another_publishes_on_tokio_postgres() {
    while_one_hangs("tokio-postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_server_hangs_another_publishes_on_diesel() {
    while_one_hangs("diesel").await;
}

/// An event goes on without the servers that were there when it was written.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_no_server_runs_waits_for_one() {
    let Some(database) = database() else { return };
    let mut cluster = Cluster::start("tokio-postgres", database).await;
    for publisher in cluster.publishers.drain(..) {
        publisher.close().await.unwrap();
    }
    let call = "SELECT socketio.server_side_emit('written', args => ARRAY['0', '7']::jsonb[])";
    cluster.database.execute(call).unwrap();
    assert_eq!(cluster.database.execute("SELECT count(*) FROM socket_io_outbox").unwrap().as_deref(), Some("1"));
    let _publisher = Node::start(&cluster.kind, &cluster.options).await.unwrap();
    assert_eq!(cluster.observer.wait_for_server_side("/", "written").await.unwrap(), json!([0, 7]));
}

/// The one whose turn it is would not get the lock meanwhile, and would resign.
#[tokio::test]
async fn a_server_whose_turn_it_is_not_does_not_take_the_lock() {
    let Some(database) = database() else { return };
    let names = ["socket_io_outbox", "socket_io_attachments"].map(|name| TableName::parse(name).unwrap());
    let schema = [outbox_schema_sql("socket_io_outbox").unwrap(), schema_sql("socket_io_attachments").unwrap()];
    database.execute(&schema.join(";")).unwrap();
    let publish = outbox_sql::publish(&names[0], &names[1], None);
    let mut client = socketio_pg_tokio_postgres::connect(&database.url()).await.unwrap();
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
    let batch = async |client: &mut Client, mine: i64, take: Option<i64>| {
        let transaction = client.transaction().await.unwrap();
        let parameters: [(&(dyn ToSql + Sync), Type); 5] = [
            (&mine, Type::INT8),
            (&take, Type::INT8),
            (&i64::MIN, Type::INT8),
            (&10_i64, Type::INT8),
            (&false, Type::BOOL),
        ];
        transaction.query_typed(&publish, &parameters).await.unwrap();
        let locks: i64 = transaction.query_one(locks, &[]).await.unwrap().get(0);
        transaction.commit().await.unwrap();
        locks
    };
    assert_eq!(batch(&mut client, 0, Some(10_000)).await, 1, "the turn is free");
    assert_eq!(batch(&mut client, 0, None).await, 0, "it is another's turn");
}
