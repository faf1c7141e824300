//! Measures the adapter, its peers, Node.js's own and the bare database in one run. See the README
//! of this folder.

mod arena;
mod clock;
mod contender;
mod emitters;
mod event;
mod node;
mod report;
mod run;
mod wire;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about, version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    options: run::Options,
}

#[derive(Subcommand)]
enum Role {
    /// One node of a cluster, which the bench starts.
    #[command(hide = true)]
    Node(node::Setup),
    /// What emitting from a transaction costs: from SQL, from Rust, and through the outbox.
    Emitters(emitters::Setup),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.role {
        Some(Role::Node(setup)) => node::run(setup),
        Some(Role::Emitters(setup)) => emitters::run(setup),
        None => run::run(&arguments.options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
