//! A run: every workload, round by round, every contender in each round.

use std::{cell::RefCell, fs, path::Path};

use crate::{
    arena::Arena,
    contender::Contender,
    report::{self, Figures},
    workload::{self, Timing, Workload},
};

/// The command line of the bench.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// One short round of the main workloads, in about two minutes: shows that it works, not for
    /// comparing.
    #[arg(long)]
    quick: bool,
    /// Only workloads whose name starts with this; may be repeated.
    #[arg(long, value_name = "WORKLOAD")]
    only: Vec<String>,
    /// Only this contender; may be repeated.
    #[arg(long, value_name = "CONTENDER")]
    contender: Vec<Contender>,
    /// How many rounds.
    #[arg(long)]
    rounds: Option<usize>,
    /// Writes docs/performance.md and its plots.
    #[arg(long)]
    write_docs: bool,
    /// Writes the tables into the section of docs/performance.md with this name instead, without goals
    /// and plots.
    #[arg(long, value_name = "SECTION", conflicts_with = "write_docs")]
    write_section: Option<String>,
    /// Lists the workloads without measuring.
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let workloads = options.workloads()?;
    if options.list {
        workloads.iter().for_each(|workload| println!("{:18} {}", workload.id, workload.title));
        return Ok(());
    }
    let timing = options.timing();
    let wanted = if options.contender.is_empty() { Contender::ALL.to_vec() } else { options.contender.clone() };
    let arena = Arena::open(&wanted)?;
    let contenders: Vec<_> = wanted.into_iter().filter(|contender| arena.has(*contender)).collect();

    let mut circumstances = machine();
    circumstances.extend(arena.versions()?.into_iter().map(|(name, version)| (name.to_owned(), version)));
    circumstances.push(("rounds".to_owned(), timing.rounds.to_string()));
    circumstances.iter().for_each(|(name, value)| println!("{name}: {value}"));
    let figures = RefCell::new(Figures::new(circumstances));
    workload::measure(
        &workloads,
        &arena,
        &contenders,
        &timing,
        |record| figures.borrow_mut().push(record),
        |workload| {
            let table = report::workload_table(&figures.borrow(), workload);
            println!("\n{} ({})\n\n{table}", workload.title, workload.id);
        },
    );

    let figures = figures.into_inner();
    println!("\n{}", report::goals(&figures));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let results = root.join("target/bench/results.json");
    figures.write_json(&results).map_err(|error| format!("{}: {error}", results.display()))?;
    println!("every figure of every round: target/bench/results.json");
    let docs = root.join("docs");
    if options.write_docs {
        report::write_docs(&figures, &docs).map_err(|error| error.to_string())?;
    }
    if let Some(section) = &options.write_section {
        report::write_section(&figures, &docs, section).map_err(|error| error.to_string())?;
    }
    Ok(())
}

impl Options {
    fn workloads(&self) -> Result<Vec<&'static Workload>, String> {
        let starts = |workload: &Workload, name: &String| workload.id.starts_with(name.as_str());
        let is_known = |name: &&String| workload::ALL.iter().any(|workload| starts(workload, name));
        if let Some(unknown) = self.only.iter().find(|name| !is_known(name)) {
            return Err(format!("no workload's name starts with {unknown:?}: see --list"));
        }
        let is_wanted = |workload: &&Workload| match self.only.as_slice() {
            [] => workload.is_in_quick || !self.quick,
            names => names.iter().any(|name| starts(workload, name)),
        };
        Ok(workload::ALL.iter().filter(is_wanted).collect())
    }

    fn timing(&self) -> Timing {
        let rounds = |default: usize| self.rounds.unwrap_or(default).max(1);
        if self.quick {
            Timing { rounds: rounds(1), warm_up_millis: 100, millis: 300, idle_rounds: rounds(1), idle_millis: 20_000 }
        } else {
            Timing { rounds: rounds(5), warm_up_millis: 400, millis: 700, idle_rounds: rounds(2), idle_millis: 60_000 }
        }
    }
}

/// The machine, and whether something else ran on it too.
fn machine() -> Vec<(String, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let load = read("/proc/loadavg").split_whitespace().next().unwrap_or("unknown").to_owned();
    if load.parse().is_ok_and(|load: f64| load > processors as f64 / 2.0) {
        eprintln!("This machine is busy (load {load}): what is measured now says little.");
    }
    vec![
        ("processors".to_owned(), format!("{processors}, {}", model.unwrap_or("of unknown make"))),
        ("load before".to_owned(), load),
    ]
}
