//! PgBouncer, for tests of what lies between a node and its database.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::net::TcpStream;

use crate::{Tool, time_limit};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// PgBouncer, of any version.
pub const PGBOUNCER: Tool = Tool {
    name: "PgBouncer",
    is_there: || version().is_some(),
    remedy: "install it (Debian: apt-get install pgbouncer; macOS: brew install pgbouncer)",
};

/// Which session a statement of a client may use.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// The same as long as the client is connected.
    Session,
    /// Any free one, for each transaction.
    Transaction,
}

/// A running PgBouncer for one database. Dropping it kills it.
pub struct Pooler {
    directory: PathBuf,
    port: u16,
    url: String,
    child: Mutex<Option<Child>>,
}

impl Pooler {
    /// A PgBouncer before the server at that port, for the database and the role of the URL.
    ///
    /// # Errors
    /// When the URL has no password, or PgBouncer does not start.
    pub async fn start(mode: Mode, server: u16, url: &str) -> Result<Self> {
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
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts the process, again after [`kill`](Self::kill). Returns once it accepts connections.
    ///
    /// # Errors
    /// When it does not; the text is its log.
    pub async fn run(&self) -> Result {
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
            if started.elapsed() > time_limit() {
                return Err(std::fs::read_to_string(self.directory.join("log"))?.into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends the process.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill(&self) -> Result {
        if let Some(mut child) = self.child.lock().take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The version of the installed one.
pub fn version() -> Option<(u32, u32)> {
    let output = Command::new(program()?).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.lines().next()?.split_whitespace().last()?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

/// Debian installs it in a directory that is only in root's PATH.
fn program() -> Option<&'static Path> {
    let places = ["pgbouncer", "/usr/sbin/pgbouncer"].map(Path::new);
    places.into_iter().find(|place| Command::new(place).arg("--version").output().is_ok_and(|it| it.status.success()))
}
