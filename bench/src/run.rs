//! A run: every workload, round by round, every contender in each round.

use crate::{
    arena::Arena,
    contender::Contender,
    report::{Figures, Record},
    workload::{self, Timing, Workload},
};

/// The command line of the bench.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// One short round, in about two minutes: to see that it works, not to compare.
    #[arg(long)]
    quick: bool,
    /// Only workloads whose name starts so; may be repeated.
    #[arg(long, value_name = "WORKLOAD")]
    only: Vec<String>,
    /// Only this contender; may be repeated.
    #[arg(long, value_name = "CONTENDER")]
    contender: Vec<Contender>,
    /// How many rounds.
    #[arg(long)]
    rounds: Option<usize>,
    /// Lists the workloads, and measures none.
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let workloads = options.workloads()?;
    if options.list {
        workloads.iter().for_each(|workload| println!("{:24} {}", workload.id, workload.title));
        return Ok(());
    }
    let timing = options.timing();
    let contenders = if options.contender.is_empty() { Contender::ALL.to_vec() } else { options.contender.clone() };
    let arena = Arena::open(&contenders)?;
    for (name, version) in arena.versions()? {
        println!("{name} {version}");
    }
    let mut figures = Figures::default();
    for workload in workloads {
        let suited: Vec<_> =
            contenders.iter().copied().filter(|&contender| arena.has(contender) && workload.suits(contender)).collect();
        for round in 0..workload.rounds(&timing) {
            for &contender in &suited {
                match workload.measure(&arena, contender, &timing) {
                    Ok(measures) => figures.extend(measures.into_iter().map(|(metric, value)| Record {
                        workload: workload.id,
                        contender,
                        round,
                        metric,
                        value,
                    })),
                    Err(error) => {
                        eprintln!("FAILED: {} of {}, round {round}: {error}", workload.id, contender.label());
                    }
                }
            }
        }
        figures.print(workload, &suited);
    }
    Ok(())
}

impl Options {
    fn workloads(&self) -> Result<Vec<&'static Workload>, String> {
        if let Some(unknown) =
            self.only.iter().find(|name| !workload::ALL.iter().any(|workload| workload.id.starts_with(name.as_str())))
        {
            return Err(format!("no workload's name starts with {unknown:?}: see --list"));
        }
        let is_wanted = |workload: &&Workload| {
            self.only.is_empty() || self.only.iter().any(|name| workload.id.starts_with(name.as_str()))
        };
        Ok(workload::ALL.iter().filter(is_wanted).collect())
    }

    fn timing(&self) -> Timing {
        let (rounds, warm_up_millis, millis) = if self.quick { (1, 100, 400) } else { (5, 500, 1000) };
        Timing { rounds: self.rounds.unwrap_or(rounds).max(1), warm_up_millis, millis }
    }
}
