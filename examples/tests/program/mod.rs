//! A program under test: a process whose lines are awaited.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::process::{ExitStatus, Stdio};

use socketio_pg_tests::time_limit;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, ChildStdin, Command},
    sync::mpsc,
    time::{sleep, timeout},
};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Outcome<T = ()> = std::result::Result<T, Failure>;

/// A running program. Dropping it kills it, and what it has started.
pub(crate) struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    arriving: mpsc::UnboundedReceiver<String>,
    /// Lines of stdout that no wait has taken, in order.
    untaken: Vec<String>,
    /// All lines; those of stderr have a mark.
    all: Vec<String>,
}

/// Marks lines of stderr.
const STDERR: &str = "stderr: ";

impl Program {
    pub(crate) fn start(path: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome<Self> {
        let mut child = Command::new(path)
            .args(arguments)
            .env_remove("DATABASE_URL")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group: it may be a script that starts others.
            .process_group(0)
            .spawn()?;
        let (sender, arriving) = mpsc::unbounded_channel();
        read(child.stdout.take(), "", sender.clone());
        read(child.stderr.take(), STDERR, sender);
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let stdin = child.stdin.take();
        Ok(Self { name, child, stdin, arriving, untaken: Vec::new(), all: Vec::new() })
    }

    /// The first line with this text that no wait has taken, once it is there.
    pub(crate) async fn wait_for(&mut self, text: &str) -> Outcome<String> {
        let found = async {
            loop {
                if let Some(place) = self.untaken.iter().position(|line| line.contains(text)) {
                    return Some(self.untaken.remove(place));
                }
                let line = self.arriving.recv().await?;
                self.take(line);
            }
        };
        match timeout(time_limit(), found).await {
            Ok(Some(line)) => Ok(line),
            _ => Err(format!("{} did not print {text:?}, but:\n{}", self.name, self.all.join("\n")).into()),
        }
    }

    /// The port in the line that says where it listens.
    pub(crate) async fn port(&mut self) -> Outcome<u16> {
        let line = self.wait_for("listening on http://").await?;
        Ok(line.rsplit(':').next().unwrap_or_default().parse()?)
    }

    /// Writes a line to its standard input.
    pub(crate) async fn type_line(&mut self, line: &str) -> Outcome {
        let stdin = self.stdin.as_mut().ok_or("its standard input is closed")?;
        Ok(stdin.write_all(format!("{line}\n").as_bytes()).await?)
    }

    /// Types a command, and returns the lines that it prints before it is `done`.
    pub(crate) async fn command(&mut self, line: &str) -> Outcome<Vec<String>> {
        self.untaken.clear();
        self.type_line(line).await?;
        self.wait_for("done").await?;
        Ok(std::mem::take(&mut self.untaken))
    }

    pub(crate) async fn signal(&self, name: &str) -> Outcome {
        let pid = self.child.id().ok_or("it has ended")?;
        let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().await?;
        if sent.success() { Ok(()) } else { Err(format!("kill: {sent}").into()) }
    }

    /// Closes its standard input, waits until it has ended, and returns what it printed: without
    /// stderr.
    pub(crate) async fn ended(mut self) -> Outcome<(ExitStatus, Vec<String>)> {
        self.stdin = None;
        let ending = async {
            // Both streams end with the process.
            while let Some(line) = self.arriving.recv().await {
                self.take(line);
            }
            self.child.wait().await
        };
        let status = timeout(time_limit(), ending).await.map_err(|_| "it does not end")??;
        let all = std::mem::take(&mut self.all);
        Ok((status, all.into_iter().filter(|line| !line.starts_with(STDERR)).collect()))
    }

    /// As [`ended`](Self::ended), without an error.
    pub(crate) async fn succeeded(self) -> Outcome<Vec<String>> {
        let name = self.name.clone();
        let (status, lines) = self.ended().await?;
        if status.success() { Ok(lines) } else { Err(format!("{name}: {status}:\n{}", lines.join("\n")).into()) }
    }

    fn take(&mut self, line: String) {
        if !line.starts_with(STDERR) {
            self.untaken.push(line.clone());
        }
        self.all.push(line);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Without an id it has ended.
        let Some(pid) = self.child.id() else { return };
        let signal = |signal| std::process::Command::new("kill").args([signal, "--", &format!("-{pid}")]).status();
        // A script ends what it has started only if it is told to end.
        let _ = signal("-TERM");
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let _ = signal("-KILL");
    }
}

fn read(
    stream: Option<impl AsyncRead + Unpin + Send + 'static>,
    mark: &'static str,
    lines: mpsc::UnboundedSender<String>,
) {
    let Some(stream) = stream else { return };
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            // The test may have ended.
            let _ = lines.send(format!("{mark}{line}"));
        }
    });
}

/// The response of a server on this machine, with its headers.
pub(crate) async fn respond(port: u16, path: &str) -> Outcome<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    connection.read_to_string(&mut response).await?;
    Ok(response)
}

/// Gets a page until it is as expected: servers learn of each other in the background.
pub(crate) async fn get_until(port: u16, path: &str, is_expected: impl Fn(&str) -> bool) -> Outcome<String> {
    let mut last = String::new();
    let getting = async {
        loop {
            let response = respond(port, path).await?;
            last = response.split_once("\r\n\r\n").ok_or("the response has no body")?.1.to_owned();
            if is_expected(&last) {
                return Outcome::Ok(());
            }
            sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    match timeout(time_limit(), getting).await {
        Ok(gotten) => gotten.map(|()| last),
        Err(_) => Err(format!("{path} remained {last}").into()),
    }
}
