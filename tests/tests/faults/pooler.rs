//! PgBouncer between a node and its database.

use crate::{
    cluster::Cluster,
    fault::{AfterFault, Failure, Fault, Result, Way, last_for},
};
use parking_lot::Mutex;
use socketio_pg_tests::{
    DEADLINE, Tool, require,
    sessions::{self, PUBLISHERS},
};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::TcpStream;

const PGBOUNCER: Tool = Tool {
    name: "PgBouncer",
    is_there: || version().is_some(),
    remedy: "install it (Debian: apt-get install pgbouncer; macOS: brew install pgbouncer)",
};

/// Which session a statement of a client may use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    Session,
    Transaction,
}

pub(crate) fn faults() -> Vec<Fault> {
    if !require(&PGBOUNCER) {
        return Vec::new();
    }
    // Before 1.21 it does not know prepared statements, and diesel-async uses no others.
    let knows_prepared = version().is_some_and(|version| version >= (1, 21));
    vec![
        Fault::new(
            "PgBouncer in transaction mode, for publishing",
            "its sessions in the server are terminated three times, and it is killed for a second. diesel needs one from 1.21 on",
            transaction_mode,
        )
        .by(Way::TransactionPooler)
        .only_on((!knows_prepared).then_some("tokio-postgres")),
        Fault::new("PgBouncer in session mode, for everything", "it is killed for a second", session_mode)
            .by(Way::SessionPooler),
    ]
}

async fn transaction_mode(cluster: Arc<Cluster>) -> Result<AfterFault> {
    for _ in 0..3 {
        cluster
            .until("it publishes", &format!("SELECT count(*) >= 2 FROM pg_stat_activity WHERE {PUBLISHERS}"), "t")
            .await?;
        cluster.sql(&sessions::terminate(PUBLISHERS)).await?;
    }
    restarted(&cluster).await?;
    Ok(AfterFault { healed: Instant::now(), disconnected: [false, false] })
}

async fn session_mode(cluster: Arc<Cluster>) -> Result<AfterFault> {
    restarted(&cluster).await?;
    Ok(AfterFault { healed: Instant::now(), disconnected: [true, false] })
}

async fn restarted(cluster: &Cluster) -> Result {
    let pooler = cluster.pooler.as_ref().ok_or("there is no pooler")?;
    pooler.kill()?;
    last_for(10, 1).await;
    pooler.run().await
}

/// A running PgBouncer for one database. Dropping it kills it.
pub(crate) struct Pooler {
    directory: PathBuf,
    port: u16,
    url: String,
    child: Mutex<Option<Child>>,
}

impl Pooler {
    /// A PgBouncer before the server at that port, for the database and the role of the URL.
    pub(crate) async fn start(mode: Mode, server: u16, url: &str) -> Result<Self> {
        let config: tokio_postgres::Config = url.parse()?;
        let (Some(user), Some(password), Some(database)) =
            (config.get_user(), config.get_password(), config.get_dbname())
        else {
            return Err("the URL lacks something".into());
        };
        let password = String::from_utf8_lossy(password);
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = std::env::temp_dir().join(format!("socketio-pg-pooler-{}-{port}", std::process::id()));
        std::fs::create_dir(&directory)?;
        let mode = match mode {
            Mode::Session => "session",
            Mode::Transaction => "transaction",
        };
        let prepared = match version() {
            Some(version) if version >= (1, 21) => "max_prepared_statements = 200",
            _ => "",
        };
        let settings = format!(
            "[databases]\n{database} = host=127.0.0.1 port={server} dbname={database} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = 10\nserver_login_retry = 1\n{prepared}\n"
        );
        std::fs::write(directory.join("pgbouncer.ini"), settings)?;
        let url = url.replace(&format!("@127.0.0.1:{server}/"), &format!("@127.0.0.1:{port}/"));
        let pooler = Self { directory, port, url, child: Mutex::new(None) };
        pooler.run().await?;
        Ok(pooler)
    }

    /// The URL of the database through PgBouncer.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns once it accepts connections.
    async fn run(&self) -> Result {
        let program = program().ok_or("PgBouncer is gone")?;
        let mut command = Command::new(program);
        command.arg("-q").arg(self.directory.join("pgbouncer.ini")).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(self.directory.join("log"))?);
        // PgBouncer refuses to run as root.
        if is_root() {
            command.args(["-u", "nobody"]);
        }
        *self.child.lock() = Some(command.spawn()?);
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            if started.elapsed() > DEADLINE {
                return Err(std::fs::read_to_string(self.directory.join("log"))?.into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn kill(&self) -> Result {
        if let Some(mut child) = self.child.lock().take() {
            child.kill()?;
            child.wait()?;
        }
        Ok::<_, Failure>(())
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

/// Debian installs it in a directory that is only in root's PATH.
fn program() -> Option<&'static Path> {
    let places = ["pgbouncer", "/usr/sbin/pgbouncer"].map(Path::new);
    places.into_iter().find(|place| Command::new(place).arg("--version").output().is_ok_and(|it| it.status.success()))
}

fn version() -> Option<(u32, u32)> {
    let output = Command::new(program()?).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.lines().next()?.split_whitespace().last()?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
