//! Writes lines on a thread of its own, and leaves some out while nobody reads them.
//!
//! A pager that is not scrolled, or Ctrl-S, stops whoever writes to it. A session that listens and
//! does not read keeps PostgreSQL from emptying its notification queue, which is that of all
//! databases of the server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
};

use serde_json::json;

use crate::output;

/// How many bytes of lines may wait for a reader.
const MAX_WAITING: usize = 16 * 1024 * 1024;

/// Prints lines. When it is dropped, it waits until all of them are written.
pub(super) struct Printer {
    lines: Option<Sender<String>>,
    waiting: Arc<AtomicUsize>,
    not_shown: u64,
    json: bool,
    writing: Option<JoinHandle<()>>,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        let (lines, received) = channel::<String>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = waiting.clone();
        let writing = thread::spawn(move || {
            for line in received {
                if json {
                    output::text(&line);
                } else {
                    output::line(&line);
                }
                left.fetch_sub(line.len(), Ordering::Relaxed);
            }
        });
        Self { lines: Some(lines), waiting, not_shown: 0, json, writing: Some(writing) }
    }

    /// Prints a line, with its end if it is JSON. Too many lines wait: it is left out, and counted.
    pub(super) fn print(&mut self, line: String) {
        if self.waiting.load(Ordering::Relaxed) + line.len() > MAX_WAITING {
            self.not_shown += 1;
            return;
        }
        self.tell_not_shown();
        self.send(line);
    }

    fn tell_not_shown(&mut self) {
        let count = std::mem::take(&mut self.not_shown);
        if count > 0 {
            self.send(if self.json {
                output::json_line(&json!({ "notShown": count }))
            } else {
                format!(
                    "{} not shown, as the output was not read",
                    output::counted(usize::try_from(count).unwrap_or(usize::MAX), "message")
                )
            });
        }
    }

    fn send(&self, line: String) {
        self.waiting.fetch_add(line.len(), Ordering::Relaxed);
        if let Some(lines) = &self.lines {
            // The thread ends only with the process, or when the sender is dropped.
            let _ = lines.send(line);
        }
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        self.tell_not_shown();
        self.lines = None;
        if let Some(writing) = self.writing.take() {
            // A panic has told its reason already.
            let _ = writing.join();
        }
    }
}
