//! A private redis-server.

use std::{
    io::{self, BufRead, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A Redis server on the loopback interface. It ends when this is dropped, and with the process.
pub(crate) struct Redis {
    shell: Child,
    pid: u32,
    port: u16,
}

impl Redis {
    /// Starts a server that stores nothing: published messages are not stored anyway.
    pub(crate) fn start() -> io::Result<Self> {
        let version = Command::new("redis-server").arg("--version").output()?;
        if !version.status.success() {
            return Err(io::Error::other("it does not tell its version"));
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        // The shell ends, and the server with it, when its stdin is closed: also when this process
        // is killed.
        let script = "redis-server --port \"$1\" --bind 127.0.0.1 --save '' --appendonly no >/dev/null &
            pid=$!; echo $pid; read -r _; kill $pid; wait $pid";
        let mut shell = Command::new("/bin/sh")
            .args(["-c", script, "redis", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = shell.stdout.take().ok_or_else(|| io::Error::other("the shell has no output"))?;
        BufReader::new(output).read_line(&mut line)?;
        let pid = line.trim().parse().map_err(|_| io::Error::other("the shell told no pid"))?;
        let redis = Self { shell, pid, port };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other("it does not take connections"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(redis)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}?protocol=resp3", self.port)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn version(&self) -> String {
        let output = Command::new("redis-server").arg("--version").output().map(|output| output.stdout);
        let text = String::from_utf8(output.unwrap_or_default()).unwrap_or_default();
        let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
        version.unwrap_or("unknown").to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.shell.stdin.take();
        let _ = self.shell.wait();
    }
}
