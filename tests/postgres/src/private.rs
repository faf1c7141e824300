//! A private server, run by `supervisor.sh`.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use crate::{
    binaries::{self, Account, Binaries},
    error::{StartError, StopError},
};

/// A loaded machine may take this long; a server that fails says so at once.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The settings that a [`Server::builder`](crate::Server::builder) collects.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    settings: Vec<(String, String)>,
    is_durable: bool,
}

impl Builder {
    /// Sets a parameter of `postgresql.conf`, such as `max_connections` or `log_statement`.
    /// Defaults are PostgreSQL's, but for `fsync = off`, `full_page_writes = off` and
    /// `max_connections = 300`.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Writes to the disk as an installed server does: `fsync`, `full_page_writes` and the size of
    /// the log's segments are PostgreSQL's defaults. For benchmarks.
    pub fn durable(mut self) -> Self {
        self.is_durable = true;
        self
    }

    fn arguments(&self) -> impl Iterator<Item = String> {
        const DEFAULTS: [(&str, &str); 4] = [
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            // Shared memory is a file within the data directory, so that a killed server leaves
            // nothing elsewhere.
            ("dynamic_shared_memory_type", "mmap"),
            ("max_connections", "300"),
        ];
        const CARELESS: [(&str, &str); 2] = [("fsync", "off"), ("full_page_writes", "off")];
        let careless = CARELESS.iter().filter(|_| !self.is_durable);
        let defaults = DEFAULTS.iter().chain(careless).map(|(name, value)| format!("{name}={value}"));
        let own = self.settings.iter().map(|(name, value)| format!("{name}={value}"));
        defaults.chain(own).flat_map(|setting| ["-c".to_owned(), setting])
    }
}

/// How to [`stop`](crate::Server::stop) a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Sessions get an error and are ended, data is written: what `systemctl stop` does.
    Fast,
    /// Sessions are ended without writing data: the next start recovers from the log.
    Immediate,
    /// `kill -9` of the server process: as when the machine's memory runs out.
    Kill,
}

#[derive(Debug)]
pub(crate) struct PrivateServer {
    directory: PathBuf,
    port: u16,
    supervisor: Mutex<Supervisor>,
}

impl PrivateServer {
    pub(crate) fn start(builder: &Builder) -> Result<Self, StartError> {
        let (mut supervisor, binaries) = Supervisor::prepare(builder)?;
        supervisor.initdb(&binaries)?;
        Self::start_on_a_free_port(supervisor)
    }

    /// A primary, and a standby that follows it.
    pub(crate) fn start_pair(builder: Builder) -> Result<[Self; 2], StartError> {
        // Keeps the log that the standby has to read after the copy was made.
        let builder = builder.setting("wal_keep_size", "8GB");
        let primary = Self::start(&builder)?;
        let (mut standby, binaries) = Supervisor::prepare(&builder)?;
        // A copy of a server that does not run is a base backup. It must have run once, so that its
        // settings are in its control file.
        primary.supervisor().stop(StopMode::Fast)?;
        standby.clone_data(&binaries, &primary.directory.join("data"))?;
        standby.follow(primary.port)?;
        primary.supervisor().start_again(primary.port)?;
        Ok([primary, Self::start_on_a_free_port(standby)?])
    }

    fn start_on_a_free_port(mut supervisor: Supervisor) -> Result<Self, StartError> {
        let mut attempt = 1;
        let port = loop {
            let port = free_port()?;
            match supervisor.start(port) {
                Ok(()) => break port,
                // Another process took the port first.
                Err(StartError::Server { log }) if log.contains("could not bind") && attempt < 10 => attempt += 1,
                Err(error) => return Err(error),
            }
        };
        Ok(Self { directory: supervisor.directory.clone(), port, supervisor: Mutex::new(supervisor) })
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn stop(&self, mode: StopMode) -> Result<(), StopError> {
        self.supervisor().stop(mode).map_err(StopError::Restart)
    }

    pub(crate) fn restart(&self) -> Result<(), StopError> {
        let mut supervisor = self.supervisor();
        supervisor.stop(StopMode::Fast).map_err(StopError::Restart)?;
        supervisor.start_again(self.port).map_err(StopError::Restart)
    }

    fn supervisor(&self) -> MutexGuard<'_, Supervisor> {
        self.supervisor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_still_in_use(log: &str) -> bool {
    ["could not bind", "pre-existing shared memory block", "lock file"].iter().any(|reason| log.contains(reason))
}

fn free_port() -> Result<u16, StartError> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| Ok(listener.local_addr()?.port()))
        .map_err(|source| StartError::Io { what: "no free port on 127.0.0.1".to_owned(), source })
}

/// Copies a tree to a place where the account can read it. The account makes the copy itself, so
/// that it can delete it too.
fn copy_as(account: &Account, tree: &Path, directory: &Path) -> Result<Binaries, StartError> {
    let copy = || -> io::Result<bool> {
        let mut pack = std::process::Command::new("tar")
            .arg("-cf-")
            .arg("-C")
            .arg(tree)
            .args(["bin", "lib", "share"])
            .stdout(Stdio::piped())
            .spawn()?;
        let packed = pack.stdout.take().ok_or_else(|| io::Error::other("tar has no output"))?;
        let unpacked = account.command("tar").arg("-xf-").arg("-C").arg(directory).stdin(packed).status();
        Ok(pack.wait()?.success() && unpacked?.success())
    };
    match copy() {
        Ok(true) => Ok(Binaries { directory: directory.join("bin"), relocatable: None }),
        Ok(false) => {
            Err(StartError::Io { what: "copying PostgreSQL".to_owned(), source: io::Error::other("tar failed") })
        }
        Err(source) => Err(StartError::Io { what: "copying PostgreSQL with tar".to_owned(), source }),
    }
}

/// The running `supervisor.sh`. When its stdin is closed, it ends and stops the server.
#[derive(Debug)]
struct Supervisor {
    directory: PathBuf,
    child: Child,
    commands: Option<ChildStdin>,
    events: Receiver<String>,
    running: bool,
}

impl Supervisor {
    /// A supervisor without a server yet, and the directory of the programs that it can run.
    fn prepare(builder: &Builder) -> Result<(Self, PathBuf), StartError> {
        let mut binaries = binaries::find()?;
        let account = Account::find()?;
        let checked = account.check(&binaries.directory.join("postgres"));
        let mut supervisor = Self::spawn(&account, builder)?;
        match (checked, binaries.relocatable.take()) {
            (Err(StartError::NotExecutable { .. }), Some(tree)) => {
                binaries = copy_as(&account, &tree, &supervisor.directory)?;
            }
            (checked, _) => checked?,
        }
        if builder.is_durable {
            supervisor.command("segments 16")?;
        }
        Ok((supervisor, binaries.directory))
    }

    fn spawn(account: &Account, builder: &Builder) -> Result<Self, StartError> {
        let failed = |source| StartError::Io { what: "the supervising shell".to_owned(), source };
        let mut child = account
            .command("/bin/sh")
            .args(["-c", include_str!("supervisor.sh"), "throwaway-postgres"])
            .args(builder.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal goes to the whole group: the supervisor must end after this
            // process, not before.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let commands = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| failed(io::Error::other("it has no output")))?;
        let (sender, events) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut supervisor = Self { directory: PathBuf::new(), child, commands, events, running: false };
        supervisor.directory = supervisor.event("directory")?.into();
        Ok(supervisor)
    }

    fn initdb(&mut self, bin: &Path) -> Result<(), StartError> {
        self.command(&format!("initdb {}", bin.display()))?;
        self.succeeded("initdb")
    }

    /// Replaces `initdb`: copies the data of a server that does not run.
    fn clone_data(&mut self, bin: &Path, source: &Path) -> Result<(), StartError> {
        self.command(&format!("clone {}\n{}", bin.display(), source.display()))?;
        self.succeeded("clone")
    }

    fn follow(&mut self, primary: u16) -> Result<(), StartError> {
        self.command(&format!("follow {primary}"))?;
        self.succeeded("follow")
    }

    fn succeeded(&mut self, command: &str) -> Result<(), StartError> {
        if self.event(command)? == "0" { Ok(()) } else { Err(StartError::Server { log: self.log() }) }
    }

    /// Returns once the server accepts connections. An error has what this start wrote to the log.
    fn start(&mut self, port: u16) -> Result<(), StartError> {
        let deadline = Instant::now() + START_DEADLINE;
        let log_before = self.log().len();
        self.command(&format!("start {port}"))?;
        let pid = self.event("started")?;
        self.running = true;
        while !self.is_ready(&pid) {
            let ended = match self.events.recv_timeout(Duration::from_millis(5)) {
                Ok(event) => event.starts_with("exited"),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if ended {
                self.running = false;
            } else if Instant::now() > deadline {
                self.stop(StopMode::Kill)?;
            }
            if !self.running {
                let log = self.log();
                return Err(StartError::Server { log: log.get(log_before..).unwrap_or(&log).to_owned() });
            }
        }
        Ok(())
    }

    /// As [`start`](Self::start), on the port of a server that has just ended.
    fn start_again(&mut self, port: u16) -> Result<(), StartError> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            match self.start(port) {
                // The sessions of a killed server live a moment longer, and hold its port and
                // memory.
                Err(StartError::Server { log }) if is_still_in_use(&log) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                result => return result,
            }
        }
    }

    fn stop(&mut self, mode: StopMode) -> Result<(), StartError> {
        if !self.running {
            return Ok(());
        }
        let signal = match mode {
            StopMode::Fast => "INT",
            StopMode::Immediate => "QUIT",
            StopMode::Kill => "KILL",
        };
        self.command(&format!("signal {signal}"))?;
        self.event("exited")?;
        self.running = false;
        Ok(())
    }

    /// The eighth line of the lock file is the state of the server with that pid.
    fn is_ready(&self, pid: &str) -> bool {
        let lock_file = fs::read_to_string(self.directory.join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = lock_file.lines().map(str::trim);
        lines.next() == Some(pid) && lines.nth(6) == Some("ready")
    }

    fn log(&self) -> String {
        let log = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn command(&mut self, line: &str) -> Result<(), StartError> {
        let commands = self.commands.as_mut().expect("the supervisor's input is open as long as it lives");
        writeln!(commands, "{line}")
            .map_err(|source| StartError::Io { what: "the supervising shell is gone".to_owned(), source })
    }

    /// Waits for an event and returns its text. Events before it belong to an earlier server.
    fn event(&mut self, name: &str) -> Result<String, StartError> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            let Ok(line) = self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                let what = format!("the supervising shell did not answer with `{name}`");
                return Err(StartError::Io { what, source: io::ErrorKind::TimedOut.into() });
            };
            if let Some(rest) = line.strip_prefix(name) {
                return Ok(rest.trim().to_owned());
            }
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.commands.take();
        let _ = self.child.wait();
    }
}
