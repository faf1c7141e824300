//! `watch --top`: how much flows, by sender, event and namespace.

use std::collections::HashMap;

use serde_json::json;
use tokio::time::Instant;

use super::filter::event_name;
use crate::{
    output::{self, Table, cut},
    session::Heard,
    survey::Survey,
};

/// What is counted together: sender, what it sends, namespace.
type Key = (Option<String>, String, String);

/// How many rows are shown, and how many are kept: events have any names.
const ROWS: usize = 40;
const MAX_KEYS: usize = 10_000;

/// A name that a client chose may have any length.
const NAME_WIDTH: usize = 40;

pub(super) struct Top {
    counts: HashMap<Key, Count>,
    since: Instant,
    json: bool,
}

#[derive(Clone, Copy, Default)]
struct Count {
    messages: u64,
    bytes: u64,
}

impl Top {
    pub(super) fn new(json: bool) -> Self {
        Self { counts: HashMap::new(), since: Instant::now(), json }
    }

    pub(super) fn count(&mut self, heard: &Heard) {
        let message = heard.message.as_ref().ok();
        let uid = message.and_then(|message| Some(message.uid.as_ref()?.to_string()));
        let what = match message {
            Some(message) => match event_name(&message.body) {
                Some(event) => format!("{} {}", message.body.name(), cut(&event, Some(NAME_WIDTH))),
                None => message.body.name().to_owned(),
            },
            None => "CANNOT BE READ".to_owned(),
        };
        let mut key = (uid, what, heard.namespace.clone());
        if self.counts.len() >= MAX_KEYS && !self.counts.contains_key(&key) {
            key = (None, "all others".to_owned(), String::new());
        }
        let count = self.counts.entry(key).or_default();
        count.messages += 1;
        count.bytes += heard.bytes as u64;
    }

    /// Writes the rates since the last time, and begins again.
    pub(super) fn print(&mut self, survey: &Survey) {
        let seconds = self.since.elapsed().as_secs_f64().max(0.001);
        self.since = Instant::now();
        let mut rows: Vec<_> = std::mem::take(&mut self.counts).into_iter().collect();
        rows.sort_by(|(a, x), (b, y)| y.messages.cmp(&x.messages).then_with(|| a.cmp(b)));
        let rate = |count: u64| count as f64 / seconds;
        let all = rows.iter().fold(Count::default(), |sum, (_, count)| Count {
            messages: sum.messages + count.messages,
            bytes: sum.bytes + count.bytes,
        });
        if self.json {
            let time = output::now_in_milliseconds();
            for ((uid, what, namespace), count) in &rows {
                let server = uid.as_ref().and_then(|uid| survey.name(&uid.as_str().into()));
                output::json(&json!({
                    "time": time, "uid": uid, "server": server, "what": what, "namespace": namespace,
                    "messagesPerSecond": rate(count.messages), "bytesPerSecond": rate(count.bytes),
                }));
            }
            return;
        }
        let name = |uid: &Option<String>| {
            let Some(uid) = uid else { return "-".to_owned() };
            survey.name(&uid.as_str().into()).map_or_else(|| uid.clone(), str::to_owned)
        };
        let mut table = Table::new(&["MESSAGES/S", "BYTES/S", "SENDER", "NAMESPACE", "WHAT"]);
        let numbers = |count: Count| [format!("{:.1}", rate(count.messages)), format!("{:.0}", rate(count.bytes))];
        table.row(numbers(all).into_iter().chain(["in all".to_owned()]));
        for ((uid, what, namespace), count) in rows.iter().take(ROWS) {
            table.row(numbers(*count).into_iter().chain([name(uid), namespace.clone(), what.clone()]));
        }
        if rows.len() > ROWS {
            table.row([format!("… {} others", rows.len() - ROWS)]);
        }
        table.print_screen();
    }
}
