//! Lines in, lines out.

use std::{future::Future, io::Write};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

/// A command.
#[derive(Deserialize)]
pub(crate) struct Command {
    id: u64,
    pub(crate) op: String,
    /// All its fields, `op` and `id` among them.
    #[serde(flatten)]
    pub(crate) fields: serde_json::Map<String, Value>,
}

/// Writes a line. One at a time, whole.
pub(crate) fn say(line: &Value) {
    let mut text = line.to_string();
    text.push('\n');
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        // Nobody reads any more: nothing is left to do.
        std::process::exit(0);
    }
}

/// Answers each command with what `carry_out` gives, until the end of input or until it gives `None`.
pub(crate) async fn hold<F, Fut>(mut carry_out: F) -> std::io::Result<()>
where
    F: FnMut(Command) -> Fut,
    Fut: Future<Output = Result<Value, String>> + Send + 'static,
{
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str::<Command>(&line) {
            Ok(command) => {
                let (id, is_last) = (command.id, command.op == "close");
                let work = carry_out(command);
                if is_last {
                    answer(id, work.await);
                    return Ok(());
                }
                // Begun here, so that commands take effect in the order in which they came.
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

fn answer(id: u64, result: Result<Value, String>) {
    say(&match result {
        Ok(value) => json!({ "id": id, "ok": value }),
        Err(error) => json!({ "id": id, "error": error }),
    });
}
