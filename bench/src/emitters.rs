//! What emitting from a transaction costs: functions in PostgreSQL, the Rust emitter, and the outbox,
//! beside a bare `pg_notify` and beside nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use socketio_pg_core::PostgresAdapter;
use socketio_pg_tokio_postgres::{Cluster, Emitter, Options, Outbox, SqlFunctions, TokioPostgresBackend};
use socketioxide::SocketIo;
use tokio::sync::mpsc;
use tokio_postgres::{Client, NoTls};

use crate::{
    arena::{Postgres, cpu_seconds},
    report::number,
};

/// The command line of this part of the bench.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Setup {
    /// How many rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Short measurements, which show that it works.
    #[arg(long)]
    quick: bool,
    /// Writes the tables into docs/scaling.md.
    #[arg(long)]
    write_docs: bool,
}

const CLIENTS: usize = 32;

/// What a transaction does besides inserting a row of 100 bytes.
const TRANSACTIONS: [(&str, &str); 6] = [
    ("nothing", ""),
    ("`INSERT` into another table", "INSERT INTO other (channel, payload) VALUES ('socket.io#/', repeat('x', 200));"),
    ("`pg_notify`, 200 bytes", "SELECT pg_notify('bench', repeat('x', 200));"),
    ("`socketio.emit`", "SELECT direct.emit('order', '{\"id\": 17, \"state\": \"paid\"}', room => 'order:17');"),
    (
        "`INSERT` of a finished row into the outbox",
        "INSERT INTO socket_io_outbox (channel, payload) VALUES ('socket.io#/', '{\"type\":3,\"data\":{\"packet\":\
         {\"type\":2,\"data\":[\"order\",{\"id\":17,\"state\":\"paid\"}],\"nsp\":\"/\"},\"opts\":{\"rooms\":[\"order:17\"],\
         \"flags\":{},\"except\":[]}},\"uid\":\"emitter\",\"nsp\":\"/\",\"nonce\":\"' || random() || '\"}');",
    ),
    (
        "`socketio.emit`, outbox",
        "SELECT waiting.emit('order', '{\"id\": 17, \"state\": \"paid\"}', room => 'order:17');",
    ),
];

/// One statement, again and again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Statement {
    Sql(&'static str),
    Emitter { is_large: bool },
}

const SMALL: [(&str, Statement); 5] = [
    (
        "`pg_notify` of the same message",
        Statement::Sql(
            "SELECT pg_notify('socket.io#/', '{\"type\":3,\"data\":{\"packet\":{\"type\":2,\"data\":[\"order\",{\"id\":17}],\
             \"nsp\":\"/\"},\"opts\":{\"rooms\":[\"order:17\"],\"flags\":{},\"except\":[]}},\"uid\":\"emitter\",\"nsp\":\"/\",\
             \"source\":\"_sio_adapter\",\"nonce\":\"1234567890\"}')",
        ),
    ),
    (
        "`pg_notify` in a function in PL/pgSQL",
        Statement::Sql("SELECT least_emit('order', '{\"id\":17}', room => 'order:17')"),
    ),
    ("`socketio.emit`", Statement::Sql("SELECT direct.emit('order', '{\"id\":17}', room => 'order:17')")),
    ("`socketio.emit`, outbox", Statement::Sql("SELECT waiting.emit('order', '{\"id\":17}', room => 'order:17')")),
    ("`Emitter` in Rust", Statement::Emitter { is_large: false }),
];

const LARGE: [(&str, Statement); 2] = [
    ("`Emitter` in Rust", Statement::Emitter { is_large: true }),
    ("`socketio.emit`", Statement::Sql("SELECT direct.emit('rows', (SELECT document FROM large), room => 'order:17')")),
];

/// What the other lines are compared with: a table like the outbox, and the least that a function
/// with these parameters can do.
const PEERS: &str = "CREATE TABLE other (id bigserial PRIMARY KEY, channel text NOT NULL, payload text NOT NULL);
    CREATE FUNCTION least_emit(event text, argument jsonb, room text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('socket.io#/', '{\"type\":3,\"data\":{\"packet\":{\"type\":2,\"data\":[' || to_json(event) || ','
            || argument || '],\"nsp\":\"/\"},\"opts\":{\"rooms\":[' || to_json(room) || '],\"flags\":{},\"except\":[]}},'
            || '\"uid\":\"emitter\",\"nsp\":\"/\",\"nonce\":\"' || random() || '\"}');
    END $$";

/// The figures of every round, by table, line and column.
type Figures = BTreeMap<(&'static str, &'static str, &'static str), Vec<f64>>;

pub(crate) fn run(setup: &Setup) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    let tables = runtime.block_on(measure(setup))?;
    println!("{tables}");
    if setup.write_docs {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scaling.md");
        write(&page, &tables).map_err(|error| format!("{}: {error}", page.display()))?;
    }
    Ok(())
}

fn write(page: &Path, tables: &str) -> std::io::Result<()> {
    const BEGIN: &str = "<!-- emitters: begin -->";
    const END: &str = "<!-- emitters: end -->";
    let text = fs::read_to_string(page)?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| std::io::Error::other(format!("put {BEGIN} and {END} into it")))?;
    fs::write(page, format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

/// A database with the functions, and a server that publishes the outbox.
struct Bench {
    postgres: Postgres,
    url: String,
    client: Client,
    io: SocketIo<PostgresAdapter<socketioxide::adapter::Emitter, TokioPostgresBackend>>,
    cluster: Cluster,
}

async fn connect(url: &str) -> Result<Client, String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(client)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Bench {
    async fn start() -> Result<Self, String> {
        let (postgres, database) = tokio::task::spawn_blocking(|| {
            let postgres = Postgres::start().map_err(text)?;
            let database = postgres.create_database()?;
            Ok::<_, String>((postgres, database))
        })
        .await
        .map_err(text)??;
        let url = database.url();
        // It is dropped with its server.
        std::mem::forget(database);
        let options = Options::default().outbox(Outbox::default());
        let backend = TokioPostgresBackend::try_from(url.as_str()).map_err(text)?;
        let cluster = Cluster::connect(backend, options.clone()).await.map_err(text)?;
        let (_, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_, _>>(cluster.clone()).build_layer();
        io.ns("/", async || {}).await.map_err(text)?;
        let client = connect(&url).await?;
        let direct = SqlFunctions::new(&Options::default()).map_err(text)?.schema("direct");
        let waiting = SqlFunctions::new(&options).map_err(text)?.schema("waiting");
        let setup = format!(
            "{}; {}; {PEERS}; CREATE TABLE orders (id bigserial PRIMARY KEY, item text);
             CREATE TABLE large AS SELECT jsonb_agg(jsonb_build_object('id', i, 'item', 'tea ' || i)) AS document
             FROM generate_series(1, 600) AS i",
            direct.install_sql(),
            waiting.install_sql()
        );
        client.batch_execute(&setup).await.map_err(text)?;
        Ok(Self { postgres, url, client, io, cluster })
    }

    /// Commits a second, of all clients together.
    async fn transactions(&self, statement: &'static str, time: Duration) -> Result<f64, String> {
        self.client.batch_execute("TRUNCATE orders, other; CHECKPOINT").await.map_err(text)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let commits = Arc::new(AtomicU64::new(0));
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let client = connect(&self.url).await?;
            let (is_over, commits) = (is_over.clone(), commits.clone());
            clients.push(tokio::spawn(async move {
                let transaction =
                    format!("BEGIN; INSERT INTO orders (item) VALUES (repeat('x', 100)); {statement} COMMIT");
                while !is_over.load(Ordering::Relaxed) {
                    client.batch_execute(&transaction).await.map_err(text)?;
                    commits.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, String>(())
            }));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (before, started) = (commits.load(Ordering::Relaxed), Instant::now());
        tokio::time::sleep(time).await;
        let rate = (commits.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.map_err(text)??;
        }
        Ok(rate)
    }

    /// Milliseconds until the outbox is empty.
    async fn drained(&self) -> Result<f64, String> {
        let started = Instant::now();
        loop {
            let left = "SELECT 1 FROM socket_io_outbox LIMIT 1";
            if self.client.query_opt(left, &[]).await.map_err(text)?.is_none() {
                return Ok(started.elapsed().as_secs_f64() * 1000.0);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Microseconds of processor time for each statement: of the session's process, and of this one.
    async fn statement(&self, statement: Statement, count: usize) -> Result<[f64; 2], String> {
        let client = connect(&self.url).await?;
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.map_err(text)?.get(0);
        let emitter = Emitter::new().to("order:17");
        let document: Vec<_> = (1..=600).map(|i| serde_json::json!({ "id": i, "item": format!("tea {i}") })).collect();
        let prepared = match statement {
            Statement::Sql(sql) => Some(client.prepare(sql).await.map_err(text)?),
            Statement::Emitter { .. } => None,
        };
        let used = || [pid.unsigned_abs(), std::process::id()].map(cpu_seconds);
        let mut cpu = [0.0; 2];
        // The first tenth fills caches.
        for part in [count / 10, count] {
            let before = used();
            for _ in 0..part {
                match (&prepared, statement) {
                    (Some(prepared), _) => client.execute(prepared, &[]).await.map(drop).map_err(text)?,
                    (None, Statement::Emitter { is_large: true }) => {
                        emitter.emit("rows", &[&document], &client).await.map_err(text)?;
                    }
                    (None, _) => {
                        emitter.emit("order", &serde_json::json!({ "id": 17 }), &client).await.map_err(text)?;
                    }
                }
            }
            let after = used();
            cpu = [0, 1].map(|process| (after[process] - before[process]) * 1e6 / count as f64);
        }
        Ok(cpu)
    }

    /// Microseconds from just before the statement to the handler of a server, sorted.
    async fn latencies(&self, schema: &str, count: usize) -> Result<Vec<f64>, String> {
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        self.cluster.of("/").on_server_side("tick", move |_: u64| {
            let _ = arrived.send(Instant::now());
            std::future::ready(())
        });
        let call = format!("SELECT {schema}.server_side_emit('tick', to_jsonb($1::int8))");
        let prepared = self.client.prepare(&call).await.map_err(text)?;
        let mut latencies = Vec::with_capacity(count);
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        for number in 0..i64::try_from(count).unwrap_or(i64::MAX) {
            ticks.tick().await;
            let sent = Instant::now();
            self.client.execute(&prepared, &[&number]).await.map_err(text)?;
            let arrived = arrivals.recv().await.ok_or("the server is gone")?;
            latencies.push(arrived.duration_since(sent).as_secs_f64() * 1e6);
        }
        latencies.sort_by(f64::total_cmp);
        Ok(latencies)
    }
}

async fn measure(setup: &Setup) -> Result<String, String> {
    let bench = Bench::start().await?;
    let (time, statements, events) =
        if setup.quick { (Duration::from_millis(500), 500, 100) } else { (Duration::from_secs(4), 5000, 1000) };
    let mut figures = Figures::new();
    for round in 1..=setup.rounds.max(1) {
        println!("round {round}");
        let mut add = |table, line, column, value| figures.entry((table, line, column)).or_default().push(value);
        let mut alone = 1.0;
        for (line, statement) in TRANSACTIONS {
            let rate = bench.transactions(statement, time).await?;
            let drained = bench.drained().await?;
            if statement.is_empty() {
                alone = rate;
            }
            add("transactions", line, "per second", rate);
            add("transactions", line, "ratio", rate / alone);
            add("transactions", line, "drained", drained);
        }
        for (table, lines, count) in [("small", &SMALL[..], statements), ("large", &LARGE[..], statements / 10)] {
            let mut first = None;
            for (line, statement) in lines {
                let [session, client] = bench.statement(*statement, count).await?;
                bench.drained().await?;
                add(table, line, "session", session);
                add(table, line, "ratio", session / *first.get_or_insert(session));
                add(table, line, "both", session + client);
            }
        }
        for (line, schema) in [("NOTIFY", "direct"), ("outbox", "waiting")] {
            let latencies = bench.latencies(schema, events).await?;
            for (column, share) in [("p50", 0.5), ("p99", 0.99)] {
                let at = ((latencies.len() - 1) as f64 * share).round() as usize;
                add("latency", line, column, latencies[at]);
            }
        }
    }
    let version = tokio::task::block_in_place(|| bench.postgres.version())?;
    let tables = tables(&figures, &version, setup.rounds.max(1));
    bench.io.close().await;
    bench.cluster.close().await;
    Ok(tables)
}

fn tables(figures: &Figures, version: &str, rounds: usize) -> String {
    let mut text = format!(
        "PostgreSQL {version}, `fsync = on`, all on one machine with {} processors; `cargo compare emitters`, {rounds} \
         interleaved rounds: least, **median**, most. A ratio compares figures of one round.\n",
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    let cell = |table, line, column| spread(figures.get(&(table, line, column)));
    text.push_str(&format!(
        "\n{CLIENTS} clients, each with one small transaction after the other that inserts a row and does this:\n\n\
         | besides | commits a second | of those without | ms until all is published |\n|---|---|---|---|\n"
    ));
    for (line, _) in TRANSACTIONS {
        let drained = if line.contains("outbox") { cell("transactions", line, "drained") } else { String::new() };
        let (rate, ratio) = (cell("transactions", line, "per second"), cell("transactions", line, "ratio"));
        text.push_str(&format!("| {line} | {rate} | {ratio} | {drained} |\n"));
    }
    for (table, lines, what) in [
        ("small", &SMALL[..], "One small event, each in a transaction of its own"),
        ("large", &LARGE[..], "One event of some 18 kB, which is an attachment"),
    ] {
        text.push_str(&format!(
            "\n{what}:\n\n| | CPU of its session, µs | of the first line | with the client's, µs |\n|---|---|---|---|\n"
        ));
        for (line, _) in lines {
            let [session, ratio, both] = ["session", "ratio", "both"].map(|column| cell(table, line, column));
            text.push_str(&format!("| {line} | {session} | {ratio} | {both} |\n"));
        }
    }
    text.push_str(
        "\nFrom the statement to the handler of a server, one event after the other:\n\n| | p50, µs | p99, µs |\n|---|---|---|\n",
    );
    for line in ["NOTIFY", "outbox"] {
        text.push_str(&format!("| {line} | {} | {} |\n", cell("latency", line, "p50"), cell("latency", line, "p99")));
    }
    text
}

fn spread(values: Option<&Vec<f64>>) -> String {
    let mut values = values.cloned().unwrap_or_default();
    values.sort_by(f64::total_cmp);
    let Some((least, most)) = values.first().zip(values.last()) else { return String::new() };
    format!("{} – **{}** – {}", number(*least), number(values[values.len() / 2]), number(*most))
}
