//! A child process that takes commands and gives answers and events as JSON lines.
//!
//! Threads, not tasks, read its output: the process outlives the runtime of the test that started
//! it, and a test that does not read cannot block it.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout, timeout_at},
};

use super::Error;

tokio::task_local! {
    /// The last op of a scenario that failed, with the text of the node.
    pub(crate) static LAST_REFUSED: RefCell<Option<(String, String)>>;
}

/// How often a process is looked at that has closed its output and still runs.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How many lines of stderr, and of stdout before the process is ready, are kept for error messages.
const STDERR_LINES: usize = 100;
const STDOUT_LINES: usize = 20;
/// How many events are shown in error messages, and after how many characters each is cut.
const SHOWN_EVENTS: usize = 50;
const SHOWN_CHARACTERS: usize = 300;

pub(crate) struct Process {
    shared: Arc<Shared>,
    /// The time limit of each wait.
    patience: Duration,
}

struct Shared {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    /// Whether the child was waited for. Changes while `child` is locked.
    is_reaped: AtomicBool,
    stdin: Mutex<Option<ChildStdin>>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The first line of output.
    ready: Option<Value>,
    last_id: u64,
    waiting: HashMap<u64, oneshot::Sender<Result<Value, Error>>>,
    events: Vec<Event>,
    /// For each client of the process, the places in `events` of the events that no wait has taken.
    /// Without this, a wait for one client would search the events of all clients.
    untaken: HashMap<u64, Vec<usize>>,
    stderr: VecDeque<String>,
    /// What came on stdout before the line that says that the process is ready.
    early_lines: VecDeque<String>,
    /// Set once the process has ended.
    ended: bool,
    status: Option<ExitStatus>,
}

struct Event {
    value: Value,
    /// Each event is returned by one wait only, so two waits need two events.
    taken: bool,
}

impl Process {
    /// Starts a process and waits for its first line. Where it writes `url` to stderr, nothing
    /// quotes it.
    pub(crate) async fn start(
        name: &str,
        command: &mut Command,
        patience: Duration,
        url: Option<&str>,
    ) -> Result<Self, Error> {
        let spawned = Self::spawn(name, command, patience, url.map(str::to_owned));
        let process = spawned.map_err(|source| Error::Io { node: name.to_owned(), source })?;
        process.wait("line that says it is ready", all, |state| state.ready.is_some().then_some(())).await?;
        Ok(process)
    }

    fn spawn(name: &str, command: &mut Command, patience: Duration, url: Option<String>) -> std::io::Result<Self> {
        // In a group of its own, so that what it starts ends with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let shared = Arc::new(Shared {
            name: format!("{name} (pid {})", child.id()),
            pid: child.id(),
            child: Mutex::new(child),
            is_reaped: AtomicBool::new(false),
            stdin: Mutex::new(stdin),
            state: Mutex::default(),
            changed: Notify::new(),
        });
        let secret = url.filter(|url| !url.is_empty());
        let stderr_reader = thread::spawn({
            let (shared, secret) = (shared.clone(), secret.clone());
            move || shared.read_stderr(stderr, secret.as_deref())
        });
        thread::spawn({
            let shared = shared.clone();
            move || {
                shared.read_stdout(stdout, secret.as_deref());
                // Read to the end before the exit is reported, so that its last lines are in the
                // error.
                let _ = stderr_reader.join();
                shared.end();
            }
        });
        Ok(Self { shared, patience })
    }

    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// A field of the first line.
    pub(crate) fn ready(&self, field: &str) -> Value {
        lock(&self.shared.state).ready.as_ref().map(|line| line[field].clone()).unwrap_or_default()
    }

    /// Sends a command and waits for its answer.
    pub(crate) async fn call(&self, op: &str, fields: Value) -> Result<Value, Error> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut state = lock(&self.shared.state);
            if state.ended {
                return Err(self.ended(&state, &format!("the op {op:?}")));
            }
            state.last_id += 1;
            let id = state.last_id;
            state.waiting.insert(id, sender);
            id
        };

        let mut command = fields;
        if command.is_null() {
            command = Value::Object(serde_json::Map::new());
        }
        command["op"] = op.into();
        command["id"] = id.into();
        self.shared.write(&command);

        match timeout(self.patience, answer).await {
            Ok(Ok(answer)) => {
                if let Err(Error::Refused { text }) = &answer {
                    let refused = Some((op.to_owned(), text.clone()));
                    let _ = LAST_REFUSED.try_with(|last| last.replace(refused)); // outside of a scenario
                }
                answer
            }
            Ok(Err(_)) => Err(self.ended(&lock(&self.shared.state), &format!("its answer to {op:?}"))),
            Err(_) => Err(self.not_seen(&format!("answer to {op:?}"), all)),
        }
    }

    /// All events so far that were not answers.
    pub(crate) fn events(&self) -> Vec<Value> {
        lock(&self.shared.state).events.iter().map(|event| event.value.clone()).collect()
    }

    /// Waits for an event that `matches`, which may have come already, and takes it. Looks at one
    /// client's events, or at all.
    pub(crate) async fn wait_for_event(
        &self,
        awaited: &str,
        client: Option<u64>,
        mut matches: impl FnMut(&Value) -> bool,
    ) -> Result<Value, Error> {
        let mut seen = 0;
        let take = |state: &mut State| {
            let from = std::mem::replace(&mut seen, state.events.len());
            let mut is_it = |place: &usize| {
                let event = &state.events[*place];
                !event.taken && matches(&event.value)
            };
            let place = match client {
                Some(client) => {
                    let untaken = state.untaken.get(&client)?;
                    let new = untaken.partition_point(|place| *place < from);
                    untaken[new..].iter().copied().find(&mut is_it)
                }
                None => (from..state.events.len()).find(&mut is_it),
            };
            place.map(|place| state.take(place))
        };
        let relevant = |event: &Value| client.is_none_or(|client| event["client"] == client);
        self.wait(awaited, relevant, take).await
    }

    /// Kills the process and waits until it is gone.
    pub(crate) async fn kill(&self) -> Result<(), Error> {
        self.shared.kill().map_err(|source| Error::Io { node: self.name().to_owned(), source })?;
        self.wait_for_end().await
    }

    /// Waits until the process has ended.
    pub(crate) async fn wait_for_end(&self) -> Result<(), Error> {
        self.wait("end of the process", all, |state| state.ended.then_some(())).await
    }

    /// Waits until the process has ended, and fails when its exit code is a failure.
    pub(crate) async fn wait_for_success(&self) -> Result<(), Error> {
        self.wait_for_end().await?;
        let state = lock(&self.shared.state);
        match state.status {
            Some(status) if status.success() => Ok(()),
            _ => Err(self.ended(&state, "leaving cleanly")),
        }
    }

    /// The last lines of its stderr.
    pub(crate) fn stderr(&self) -> String {
        lock(&self.shared.state).last_stderr().join("\n")
    }

    /// Closes stdin: the process then ends by itself.
    pub(crate) fn close_stdin(&self) {
        lock(&self.shared.stdin).take();
    }

    async fn wait<T>(
        &self,
        awaited: &str,
        relevant: impl Fn(&Value) -> bool,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + self.patience;
        loop {
            // Registered before the check, so that a change in between is not missed.
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = lock(&self.shared.state);
                if let Some(found) = look(&mut state) {
                    return Ok(found);
                }
                if state.ended {
                    return Err(self.ended(&state, awaited));
                }
            }
            if timeout_at(deadline, changed).await.is_err() {
                return Err(self.not_seen(awaited, relevant));
            }
        }
    }

    fn ended(&self, state: &State, awaited: &str) -> Error {
        Error::Ended {
            node: self.name().to_owned(),
            awaited: awaited.to_owned(),
            status: state.status,
            stdout: state.early_lines.iter().cloned().collect(),
            stderr: state.last_stderr(),
        }
    }

    /// The error for what did not come in time, with those of the `relevant` events that came.
    pub(crate) fn not_seen(&self, awaited: &str, relevant: impl Fn(&Value) -> bool) -> Error {
        let state = lock(&self.shared.state);
        Error::NotSeen {
            node: self.name().to_owned(),
            awaited: awaited.to_owned(),
            waited: self.patience,
            came: if state.ready.is_some() {
                state.last_events(relevant)
            } else {
                state.early_lines.iter().cloned().collect()
            },
            stderr: state.last_stderr(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already; then the signal fails, which is fine. The thread that
        // reads stdout reaps the process.
        let _ = self.shared.kill();
    }
}

impl Shared {
    /// Kills the process and all that it has started.
    fn kill(&self) -> std::io::Result<()> {
        let mut child = lock(&self.child);
        // The group has the child's id, which may be another's once the child was waited for.
        #[cfg(unix)]
        if !self.is_reaped.load(Ordering::Relaxed) {
            let group = format!("-{}", self.pid);
            let killed = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
            if killed.is_ok_and(|status| status.success()) {
                return Ok(());
            }
        }
        child.kill()
    }

    fn write(&self, command: &Value) {
        let mut line = command.to_string();
        line.push('\n');
        if let Some(stdin) = lock(&self.stdin).as_mut() {
            // Writing fails when the process has ended. The caller that waits for the answer gets
            // that error, with all that is known.
            let _ = stdin.write_all(line.as_bytes());
        }
    }

    fn read_stdout(&self, stdout: impl Read, secret: Option<&str>) {
        for line in lines(stdout) {
            self.take_line(&line, secret);
            self.changed.notify_waiters();
        }
    }

    fn end(&self) {
        // The lock is free in between: a process may have closed its output and go on, until it is
        // killed.
        let status = loop {
            let mut child = lock(&self.child);
            match child.try_wait() {
                Ok(None) => {
                    drop(child);
                    thread::sleep(LOOK_AGAIN);
                }
                waited => {
                    self.is_reaped.store(true, Ordering::Relaxed);
                    break waited.unwrap_or_default();
                }
            }
        };
        let mut state = lock(&self.state);
        state.ended = true;
        state.status = status;
        // A caller that waits for an answer sees that its sender is dropped.
        state.waiting.clear();
        drop(state);
        self.changed.notify_waiters();
    }

    fn take_line(&self, line: &str, secret: Option<&str>) {
        let mut state = lock(&self.state);
        let mut message = match parse(line) {
            Ok(message) => message,
            Err(error) => serde_json::json!({ "event": "unreadable", "line": line, "error": error.to_string() }),
        };
        if state.ready.is_none() && message["ready"] == true {
            state.ready = Some(message);
            return;
        }
        if state.ready.is_none() {
            let line = without_secret(line, secret);
            keep(&mut state.early_lines, cut(&line), STDOUT_LINES);
        }
        if message["event"].is_string() {
            if let Some(client) = message["client"].as_u64() {
                let place = state.events.len();
                state.untaken.entry(client).or_default().push(place);
            }
            state.events.push(Event { value: message, taken: false });
        } else if let Some(sender) = message["id"].as_u64().and_then(|id| state.waiting.remove(&id)) {
            let answer = match message.get("error") {
                Some(text) => Err(Error::refused(text.as_str().map_or(text.to_string(), str::to_owned))),
                None => Ok(message["ok"].take()),
            };
            // The caller may have given up.
            let _ = sender.send(answer);
        }
    }

    fn read_stderr(&self, stderr: impl Read, secret: Option<&str>) {
        for line in lines(stderr) {
            keep(&mut lock(&self.state).stderr, without_secret(&line, secret), STDERR_LINES);
        }
    }
}

impl State {
    fn take(&mut self, place: usize) -> Value {
        let event = &mut self.events[place];
        event.taken = true;
        if let Some(untaken) = event.value["client"].as_u64().and_then(|client| self.untaken.get_mut(&client)) {
            untaken.retain(|other| *other != place);
        }
        event.value.clone()
    }

    fn last_stderr(&self) -> Vec<String> {
        self.stderr.iter().cloned().collect()
    }

    fn last_events(&self, relevant: impl Fn(&Value) -> bool) -> Vec<String> {
        let relevant = self.events.iter().rev().map(|event| &event.value).filter(|event| relevant(event));
        let mut last: Vec<_> = relevant.take(SHOWN_EVENTS).map(shown).collect();
        last.reverse();
        last
    }
}

/// The lines of an output. What is not UTF-8 is replaced: reading must go on, or the process could
/// no longer write.
fn lines(output: impl Read) -> impl Iterator<Item = String> {
    let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
    lines.map(|line| String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
}

/// For waits on everything that a process reports.
pub(crate) fn all(_: &Value) -> bool {
    true
}

fn keep(lines: &mut VecDeque<String>, line: String, most: usize) {
    if lines.len() == most {
        lines.pop_front();
    }
    lines.push_back(line);
}

fn without_secret(line: &str, secret: Option<&str>) -> String {
    secret.map_or(line.to_owned(), |secret| line.replace(secret, "$DATABASE_URL"))
}

fn shown(event: &Value) -> String {
    cut(&event.to_string())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// Reads a value of any depth: a node may be sent more than serde_json's 128 levels.
fn parse(line: &str) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    deserializer.disable_recursion_limit();
    let value = Value::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// A panic while the lock is held leaves plain data behind, which can still be used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
