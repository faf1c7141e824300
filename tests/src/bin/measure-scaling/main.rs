//! Measures what each cost grows with, and writes the tables and plots of `docs/scaling.md`.
//!
//! ```text
//! cargo run --release -p socketio-pg-tests --bin measure-scaling -- --write-docs
//!     [fetch] [listeners] [sockets] [memory] [namespaces] [heartbeats] [capacity]
//!     [--rounds N] [--quick]
//! ```

#![allow(clippy::print_stdout, reason = "it prints its result")]

mod capacity;
mod circumstances;
mod counting;
mod crowd;
mod fetch;
mod figures;
mod heartbeats;
mod listeners;
mod memory;
mod namespaces;
mod nodes;
mod page;
mod plot;
mod polling;
mod postgres;
mod scale;
mod sockets;
mod straight_line;
mod subject;
mod table;

use clap::Parser as _;

use circumstances::Circumstances;
use subject::{Plan, Report, Subject, run};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(clap::Parser)]
struct Arguments {
    /// The tables to make. Without a word, all of them.
    words: Vec<Word>,
    /// How often each shape is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Small shapes, few repetitions and two rounds: shows that the program works. The figures are noise.
    #[arg(long)]
    quick: bool,
    /// Writes the tables and plots into docs/scaling.md and docs/scaling.
    #[arg(long)]
    write_docs: bool,
    /// Makes this process a node with many sockets, for `sockets` and `memory`.
    #[arg(long, hide = true)]
    crowd: Option<crowd::Kind>,
    /// The database of that node.
    #[arg(long, hide = true, default_value = "")]
    url: String,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Word {
    Fetch,
    Listeners,
    Sockets,
    Memory,
    Namespaces,
    Heartbeats,
    Capacity,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    if let Some(kind) = arguments.crowd {
        return crowd::serve(kind, &arguments.url).await;
    }
    let rounds = if arguments.quick { arguments.rounds.min(2) } else { arguments.rounds }.max(1);
    let plan = Plan { rounds, is_quick: arguments.quick };
    let circumstances = Circumstances::now(plan);
    circumstances.warn();
    let is_wanted = |word: &Word| arguments.words.is_empty() || arguments.words.contains(word);
    for word in <Word as clap::ValueEnum>::value_variants().iter().filter(|word| is_wanted(word)) {
        let (name, report) = measure(*word, plan).await?;
        let text = format!("{}\n\n{}", circumstances.text(&report.postgres), report.text);
        println!("## {name}\n\n{text}");
        if arguments.write_docs {
            page::write(name, &text, &report.plots)?;
        }
    }
    Ok(())
}

async fn measure(word: Word, plan: Plan) -> Result<(&'static str, Report), Failure> {
    async fn named<S: Subject>(plan: Plan) -> Result<(&'static str, Report), Failure> {
        Ok((S::NAME, run::<S>(plan).await?))
    }
    match word {
        Word::Fetch => named::<fetch::Fetch>(plan).await,
        Word::Listeners => named::<listeners::Listeners>(plan).await,
        Word::Sockets => named::<sockets::Sockets>(plan).await,
        Word::Memory => named::<memory::Memory>(plan).await,
        Word::Namespaces => named::<namespaces::Namespaces>(plan).await,
        Word::Heartbeats => named::<heartbeats::Heartbeats>(plan).await,
        Word::Capacity => named::<capacity::Capacity>(plan).await,
    }
}
