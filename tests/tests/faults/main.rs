//! Faults, on both backends: what breaks while nodes send, how soon they hear each other again, and
//! what became of every message.
//!
//! `cargo test -p socketio-pg-tests --test faults -- WORD…` runs the faults with one of the words
//! in their names; a word that is a backend's name selects that backend. With `LONG=1` faults last
//! as long as in production. With `UPDATE_DOCS=1` the rows of what ran go into docs/operations.md;
//! without it, the run begins with a check that the page has a row for every fault. The word `page`
//! checks only that.

mod case;
mod clocks;
mod cluster;
mod database;
mod failover;
mod leaving;
mod load;
mod log;
mod network;
mod nodes;
mod pool;
mod pooler;
mod report;
mod server;
mod sessions;
mod timeouts;
mod traffic;

use std::{io::Write as _, process::ExitCode, sync::Arc, time::Instant};

use futures_util::{StreamExt, stream};
use socketio_pg_tests::{ClientHost, NODE, Traffic, database as any_database, everything_works, require, within};
use socketio_pg_throwaway::Server;

use case::{Case, Kind, Result, Seen};
use cluster::Cluster;

const BACKENDS: [&str; 2] = ["tokio-postgres", "diesel"];
/// How many run at the same time: most of their time is waiting.
const AT_ONCE: usize = 4;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (backends, words): (Vec<String>, Vec<String>) =
        words.into_iter().partition(|word| BACKENDS.contains(&word.as_str()));
    if std::env::args().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    let all = Case::all();
    let updates_page = std::env::var_os("UPDATE_DOCS").is_some();
    if !updates_page {
        if let Err(error) = report::check_page(&all) {
            return failed(&error.to_string());
        }
        say("✓ docs/operations.md has a row for every fault");
        if words == ["page"] {
            return ExitCode::SUCCESS;
        }
    }
    if !require(&NODE) || any_database().is_none() {
        return ExitCode::SUCCESS; // skipped, as `require` has reported
    }
    let server = match tokio::task::spawn_blocking(|| Server::builder().start()).await {
        Ok(Ok(server)) => Arc::new(server),
        Ok(Err(error)) => return failed(&error.to_string()),
        Err(panic) => return failed(&panic.to_string()),
    };
    let host = match ClientHost::start().await {
        Ok(host) => Arc::new(host),
        Err(error) => return failed(&error.to_string()),
    };

    let is_chosen = |case: &&Case| words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str()));
    let cases: Vec<&Case> = all.iter().filter(is_chosen).collect();
    let started = Instant::now();
    let cells = cases.iter().flat_map(|case| {
        let chosen = BACKENDS.into_iter().filter(|backend| {
            let is_asked_for = backends.is_empty() || backends.iter().any(|it| it == backend);
            is_asked_for && (case.can_run)(backend)
        });
        chosen.map(move |backend| (*case, backend))
    });
    let mut results: Vec<_> = stream::iter(cells)
        .enumerate()
        .map(|(index, (case, backend))| {
            let (host, server) = (host.clone(), server.clone());
            async move { (index, case, backend, cell(case, backend, host, server).await) }
        })
        // In any order: a case that is slow must not keep the others from beginning.
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    results.sort_by_key(|&(index, ..)| index);

    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for (_, case, backend, result) in results {
        match result {
            Ok(seen) => rows.push((case, backend, seen)),
            Err(error) => failures.push(format!("✗ {} · {backend}\n    {error}", case.name)),
        }
    }
    let passed = rows.len();
    let rows = report::Rows::seen(&rows);
    let table = report::table(&all, &rows);
    say(&format!("\n{table}"));
    let is_whole = words.is_empty() && backends.is_empty() && failures.is_empty();
    let written = match (updates_page, is_whole) {
        (true, _) => Some(report::update_page(&all, rows)),
        (false, true) => Some(report::write(&table)),
        (false, false) => None,
    };
    match written {
        Some(Ok(path)) => say(&format!("written to {}", path.display())),
        Some(Err(error)) => return failed(&format!("the table cannot be written: {error}")),
        None => {}
    }
    // The failures once more, below the table: a reader often sees only the end of the output.
    for failure in &failures {
        say(failure);
    }
    say(&format!("{passed} passed, {} failed in {:.0} s", failures.len(), started.elapsed().as_secs_f64()));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn cell(case: &Case, backend: &str, host: Arc<ClientHost>, server: Arc<Server>) -> Result<Seen> {
    let started = Instant::now();
    let (owned, name, limit) = (case.clone(), backend.to_owned(), case.limit);
    // In a task, so that a panic fails only this case.
    let running = tokio::spawn(async move { within(limit, run(&owned, &name, host, server)).await });
    let result = match running.await {
        Ok(Some(result)) => result,
        Ok(None) => Err(format!("it took longer than {limit:?}").into()),
        Err(panic) => Err(panic.into()),
    };
    let seconds = started.elapsed().as_secs_f64();
    match &result {
        Ok(_) => say(&format!("✓ {} · {backend} ({seconds:.1} s)", case.name)),
        Err(error) => say(&format!("✗ {} · {backend} ({seconds:.1} s)\n    {error}", case.name)),
    }
    result
}

async fn run(case: &Case, backend: &str, host: Arc<ClientHost>, server: Arc<Server>) -> Result<Seen> {
    let cluster = Arc::new(Cluster::start(case, backend, host, server).await?);
    match &case.kind {
        Kind::Special(run_case) => run_case(cluster).await,
        Kind::UnderTraffic(cause) => {
            let traffic = Traffic::start(cluster.members(), 0);
            traffic.wait_until_heard(Instant::now()).await?;
            let after_fault = cause(cluster.clone()).await?;
            let heard = traffic.wait_until_heard(after_fault.healed).await?;
            let seen = traffic::account(&cluster, traffic, &after_fault, heard).await?;
            everything_works(&cluster.members()).await?;
            Ok(seen)
        }
    }
}

fn failed(reason: &str) -> ExitCode {
    say(reason);
    ExitCode::FAILURE
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
