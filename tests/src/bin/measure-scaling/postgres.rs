//! A private PostgreSQL that writes to disk as a real one does, and the processor time that it uses.

use std::{fs, time::Duration};

use socketio_pg_throwaway::{Database, Server};

use crate::Failure;

/// Linux reports the time of ended processes in hundredths of a second.
const NANOS_PER_TICK: u64 = 10_000_000;

pub(crate) struct Postgres {
    server: Server,
    database: Database,
    /// Its first process, the parent of all others.
    process: u32,
}

impl Postgres {
    /// Its settings are PostgreSQL's defaults, except for the number of connections.
    pub(crate) fn start(max_connections: u32) -> Result<Self, Failure> {
        let server = Server::builder().durable().setting("max_connections", max_connections.to_string()).start()?;
        let directory = server.directory().ok_or("a private server has a directory")?;
        let lock_file = fs::read_to_string(directory.join("data/postmaster.pid"))?;
        let process = lock_file.lines().next().unwrap_or_default().trim().parse()?;
        let database = server.existing_database("postgres");
        Ok(Self { server, database, process })
    }

    pub(crate) fn create_database(&self) -> Result<Database, Failure> {
        Ok(self.server.create_database()?)
    }

    /// Its version, and the settings that matter.
    pub(crate) fn description(&self) -> Result<String, Failure> {
        let show = |name: &str| self.database.execute(&format!("SHOW {name}")).map(Option::unwrap_or_default);
        let [version, fsync, connections] = ["server_version", "fsync", "max_connections"].map(show);
        // Debian's build says so in parentheses.
        let version = version?;
        let version = version.split(' ').next().unwrap_or_default();
        Ok(format!("PostgreSQL {version}, `fsync = {}`, `max_connections = {}`", fsync?, connections?))
    }

    /// Waits until all sessions of the measurement before have ended.
    pub(crate) async fn wait_until_idle(&self) -> Result<(), Failure> {
        const OTHERS: &str = "SELECT count(*)::text FROM pg_stat_activity
                              WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        while self.database.execute(OTHERS)?.as_deref() != Some("0") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The processor time of all its processes so far.
    pub(crate) fn cpu(&self) -> Duration {
        let parent = self.process;
        let read = |path: String| fs::read_to_string(path).unwrap_or_default();
        let children = read(format!("/proc/{parent}/task/{parent}/children"));
        let processes = children.split_whitespace().filter_map(|child| child.parse().ok()).chain([parent]);
        let running = processes.map(|process: u32| nanos_of_running(&read(format!("/proc/{process}/schedstat"))));
        Duration::from_nanos(running.sum::<u64>() + nanos_of_ended(&read(format!("/proc/{parent}/stat"))))
    }
}

/// The time of a process, by its `schedstat`.
fn nanos_of_running(schedstat: &str) -> u64 {
    schedstat.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

/// The time of the ended children of a process, by its `stat`.
fn nanos_of_ended(stat: &str) -> u64 {
    // The second field is a name in parentheses that may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    // Two fields are cut off; the 16th and the 17th are the times in user mode and in the kernel.
    fields.skip(13).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * NANOS_PER_TICK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_processes_is_read() {
        assert_eq!([nanos_of_running("266502949 180221381 72\n"), nanos_of_running("")], [266_502_949, 0]);
        let stat = "4711 (post (gres) S 1 2 3 0 -1 4194304 5 6 7 8 24 1 30 12 20 0 1 0 9\n";
        assert_eq!([nanos_of_ended(stat), nanos_of_ended("")], [420_000_000, 0]);
    }
}
