//! Commands: read as lines from stdin, answered as lines on stdout.

use std::{future::Future, io::Write, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use socketio_pg_core::{number_room, protocol::value::Arguments};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::arguments::arguments_from_json;

/// A command.
#[derive(Debug, Deserialize)]
pub struct Command {
    id: u64,
    /// What to do.
    pub op: String,
    /// All that it takes.
    #[serde(flatten)]
    pub fields: Fields,
}

/// The result of an op: a value, or why it failed.
pub type Answer = Result<Value, String>;

/// The fields of a command.
#[derive(Debug, Deserialize)]
pub struct Fields(serde_json::Map<String, Value>);

impl Fields {
    /// A field, if it is there.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A field that is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A field that is a string and must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn required(&self, name: &str) -> Result<&str, String> {
        self.text(name).ok_or_else(|| format!("`{name}` is missing"))
    }

    /// Whether a field is true.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    /// Names of rooms: strings and numbers.
    pub fn list(&self, name: &str) -> Vec<String> {
        let list = self.0.get(name).and_then(Value::as_array);
        let name = |room: &Value| room.as_i64().map(number_room).or_else(|| room.as_str().map(str::to_owned));
        list.into_iter().flatten().filter_map(name).collect()
    }

    /// The namespace; `/` by default.
    pub fn nsp(&self) -> &str {
        self.text("nsp").unwrap_or("/")
    }

    /// The arguments of the event.
    pub fn args(&self) -> Arguments {
        arguments_from_json(self.0.get("args"))
    }

    /// How long to wait.
    pub fn timeout(&self) -> Option<Duration> {
        self.0.get("timeout").and_then(Value::as_u64).map(Duration::from_millis)
    }
}

/// The text of an error.
pub fn failed(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Writes one whole line at a time.
pub fn say(line: &Value) {
    let mut text = line.to_string();
    text.push('\n');
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        // The reader has closed its end: nothing is left to do.
        std::process::exit(0);
    }
}

/// Answers each command with the result of `carry_out`, until the end of input or the command
/// `close`.
///
/// # Errors
/// When stdin cannot be read.
pub async fn serve<F, Fut>(mut carry_out: F) -> std::io::Result<()>
where
    F: FnMut(Command) -> Fut,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match read(&line) {
            Ok(command) => {
                let (id, is_last) = (command.id, command.op == "close");
                let work = carry_out(command);
                if is_last {
                    answer(id, work.await);
                    return Ok(());
                }
                // Started here and not in the task, so that commands take effect in their order.
                let mut work = Box::pin(work);
                match futures_util::poll!(&mut work) {
                    std::task::Poll::Ready(result) => answer(id, result),
                    std::task::Poll::Pending => {
                        tokio::spawn(async move { answer(id, work.await) });
                    }
                }
            }
            Err(error) => say(&json!({ "id": null, "error": format!("not a command: {error}") })),
        }
    }
    Ok(())
}

/// Reads a command of any depth: its arguments may go deeper than serde_json's 128 levels.
fn read(line: &str) -> serde_json::Result<Command> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    deserializer.disable_recursion_limit();
    let command = Command::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(command)
}

fn answer(id: u64, result: Answer) {
    say(&match result {
        Ok(value) => json!({ "id": id, "ok": value }),
        Err(error) => json!({ "id": id, "error": error }),
    });
}
