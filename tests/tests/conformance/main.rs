//! The conformance suite: every scenario on every composition of servers. Node.js shows the right
//! outcome.
//!
//! A scenario is written once. Its expectation is what three Node.js servers show, which is checked
//! in the first column. Every cluster with Rust servers must show the same. For Node.js's own
//! defects, [`defects`] says what is seen instead.
//!
//! `cargo test -p socketio-pg-tests --test conformance -- WORD…` runs the scenarios with one of the
//! words in their names, and the compositions whose name without spaces is one of them, e.g. `RNN`.
//! Servers in Python alone, `SSS`, run only if they are named.

mod capability;
mod composition;
mod defects;
mod report;
mod stage;

use std::{
    io::Write as _,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use socketio_pg_kit::{
    harness,
    scenarios::{Cluster, Names, Scenario, Settings, differences, shows_node_defect},
};
use socketio_pg_tests::{ClientHost, NODE, database, require};
use socketio_pg_throwaway::Database;

use composition::{Composition, Seat};
use report::{Cell, Column};
use stage::Servers;

/// How many compositions run at the same time, and how many scenarios of each: most of their time
/// is waiting.
const COMPOSITIONS_AT_ONCE: usize = 2;
const SCENARIOS_AT_ONCE: usize = 6;
/// The time limit of a scenario.
const SCENARIO_DEADLINE: Duration = Duration::from_secs(90);
/// The same where a server lacks what the scenario needs: it must fail, and some then wait for what
/// never comes.
const LACKING_DEADLINE: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (mut compositions, scenarios) = selected(&words);
    if std::env::args().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    if scenarios.is_empty() {
        // No failure: `cargo test WORD` gives its word to every suite.
        say(&format!("nothing is run: {words:?} is in no scenario's name, and is no composition"));
        return ExitCode::SUCCESS;
    }
    if !require(&NODE) || database().is_none() {
        return ExitCode::SUCCESS; // skipped, as `require` has reported
    }

    compositions.retain(Composition::can_run);

    let started = Instant::now();
    let columns = stream::iter(compositions).enumerate();
    let columns = columns.map(async |(index, composition)| (index, column(composition, &scenarios).await));
    // In any order: a composition that is slow must not keep the others from beginning.
    let mut columns: Vec<(usize, Column)> = columns.buffer_unordered(COMPOSITIONS_AT_ONCE).collect().await;
    columns.sort_by_key(|&(index, _)| index);
    let columns: Vec<Column> = columns.into_iter().map(|(_, column)| column).collect();

    let [mut passed, mut left_out] = [0; 2];
    let mut failures = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        for Column { composition, cells } in &columns {
            match &cells[index] {
                Cell::AsExpected | Cell::Defects(_) => passed += 1,
                Cell::LeftOut(_) => left_out += 1,
                Cell::Failed(reason) => {
                    failures.push(format!("✗ {} · {}\n{reason}", scenario.name, composition.name));
                }
            }
        }
    }
    let (with_python, main): (Vec<&Column>, Vec<&Column>) =
        columns.iter().partition(|column| column.composition.has_python());
    let tables = [main, with_python].into_iter().filter(|columns| !columns.is_empty());
    let tables = tables.map(|columns| report::table(&columns, &scenarios)).collect::<Vec<_>>().join("\n");
    say(&format!("\n{tables}"));
    if words.is_empty() {
        match report::write(&tables) {
            Ok(path) => say(&format!("written to {}", path.display())),
            Err(error) => say(&format!("the tables cannot be written: {error}")),
        }
    }
    // Below the tables, where whoever is shown only the end of the output sees them.
    for failure in &failures {
        say(failure);
    }
    let (failed, seconds) = (failures.len(), started.elapsed().as_secs_f64());
    say(&format!(
        "{passed} passed, {failed} failed, 0 skipped, {left_out} left out for lack of something, in {seconds:.0} s"
    ));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn selected(words: &[String]) -> (Vec<Composition>, Vec<Scenario>) {
    let (mut compositions, mut scenarios) = (Composition::all(), Scenario::all());
    let is_composition = |word: &String| Composition::all().iter().any(|it| it.name.replace(' ', "") == *word);
    let (names, parts): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| is_composition(word));
    if names.is_empty() {
        compositions.retain(|it| !it.is_by_name_only());
    } else {
        compositions.retain(|it| names.iter().any(|name| it.name.replace(' ', "") == **name));
    }
    if !parts.is_empty() {
        scenarios.retain(|it| parts.iter().any(|part| it.name.contains(part.as_str())));
    }
    (compositions, scenarios)
}

/// All scenarios on one composition, in a database of its own.
async fn column(composition: Composition, scenarios: &[Scenario]) -> Column {
    let started = Instant::now();
    let cells = cells(&composition, scenarios).await;
    let failed = cells.iter().filter(|cell| matches!(cell, Cell::Failed(_))).count();
    let seconds = started.elapsed().as_secs_f64();
    say(&format!("{}: {} scenarios, {failed} failed, {seconds:.1} s", composition.name, scenarios.len()));
    Column { composition, cells }
}

async fn cells(composition: &Composition, scenarios: &[Scenario]) -> Vec<Cell> {
    let Some(database) = database().map(Arc::new) else { return vec![failed("there is no database"); scenarios.len()] };
    let mut cells = vec![failed("it was not run"); scenarios.len()];
    // One host for each composition, because a host keeps all that its clients ever got.
    let host = match ClientHost::start().await {
        Ok(host) => Arc::new(host.into_inner()),
        Err(error) => return vec![failed(&format!("the clients did not start: {error}")); scenarios.len()],
    };
    let runs =
        Settings::ALL.map(|settings| with_settings(settings, composition, scenarios, host.clone(), database.clone()));
    for (index, cell) in futures_util::future::join_all(runs).await.into_iter().flatten() {
        cells[index] = cell;
    }
    cells
}

/// The scenarios with the same server settings, each with its index.
async fn with_settings(
    settings: Settings,
    composition: &Composition,
    scenarios: &[Scenario],
    host: Arc<harness::ClientHost>,
    database: Arc<Database>,
) -> Vec<(usize, Cell)> {
    let of_settings = scenarios.iter().enumerate().filter(|(_, scenario)| scenario.settings == settings);
    let of_settings: Vec<(usize, &Scenario)> = of_settings.collect();
    if of_settings.is_empty() {
        return Vec::new();
    }
    let servers = Servers::new(composition, database);
    let options = settings.options(servers.url(), &Names::default());
    let options = options.inline_binary(composition.is_packed).watch_sessions(composition.is_watching);
    let own = of_settings.iter().map(|(_, scenario)| *scenario);
    let cluster = match Cluster::start(Arc::new(servers), options, SCENARIOS_AT_ONCE, own, host).await {
        Ok(cluster) => Arc::new(cluster),
        Err(error) => {
            let cell = failed(&format!("the servers did not start: {error}"));
            return of_settings.into_iter().map(|(index, _)| (index, cell.clone())).collect();
        }
    };
    let cells = stream::iter(of_settings).map(|(index, scenario)| {
        let cluster = cluster.clone();
        async move { (index, cell(scenario, composition, cluster).await) }
    });
    cells.buffer_unordered(SCENARIOS_AT_ONCE).collect().await
}

fn failed(reason: &str) -> Cell {
    Cell::Failed(format!("    {}", reason.replace('\n', "\n    ")))
}

/// Runs one scenario on one composition. It must fail if the composition lacks what it needs.
async fn cell(scenario: &Scenario, composition: &Composition, cluster: Arc<Cluster>) -> Cell {
    let lacking = scenario.needs.filter(|&capability| composition.lacks(capability));
    let deadline = if lacking.is_some() { LACKING_DEADLINE } else { SCENARIO_DEADLINE };
    match (lacking, run_scenario(scenario, composition, cluster, deadline).await) {
        (None, cell) => cell,
        (Some(capability), Cell::Failed(_)) => Cell::LeftOut(capability),
        (Some(capability), _) => {
            failed(&format!("it goes well without {}: say no longer that it needs them", capability.name()))
        }
    }
}

async fn run_scenario(
    scenario: &Scenario,
    composition: &Composition,
    cluster: Arc<Cluster>,
    deadline: Duration,
) -> Cell {
    let run = cluster.run(scenario.clone());
    // In a task, so that a panic fails only this scenario.
    let observation = match tokio::spawn(harness::within(deadline, run)).await {
        Ok(Some(Ok(observation))) => observation,
        Ok(Some(Err(error))) => return failed(&error.to_string()),
        Err(panic) => return failed(&panic.to_string()),
        Ok(None) => return failed(&format!("it took longer than {} s", deadline.as_secs())),
    };
    let (shown, defects) = defects::shown(composition, scenario.name, &observation.expected, &observation.seen);
    let is_node = composition.seats.map(Seat::is_node);
    if composition.is_plain() && shows_node_defect(scenario.name, is_node) != defects::has_one_of_node(&defects) {
        return failed("the kit's `shows_node_defect` says of this cell what the list of defects does not");
    }
    let Some(shown) = shown else { return Cell::Defects(defects) };
    if observation.seen == shown {
        return if defects.is_empty() { Cell::AsExpected } else { Cell::Defects(defects) };
    }
    let mut reason = differences(&observation.seen, &shown);
    if observation.seen == observation.expected {
        reason = format!("    the defect {} has disappeared: take it off the list\n{reason}", defects.join("+"));
    }
    Cell::Failed(reason)
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
