//! The demo: servers in Rust, on Node.js and in Python in one cluster, and a page that shows them.
//!
//! `cargo demo` starts a private PostgreSQL, two Rust nodes and, where they are installed, a Node.js
//! node and a Python node. It prints the page's address, which is the only line on standard output; explanations go
//! to standard error. See `demo/README.md`.

mod admin_page;
mod child;
mod node_server;
mod page;
mod python_server;
mod rust_node;
mod table;
mod visitor;

use std::{error::Error, io::Write as _, process::ExitCode};

use clap::Parser;
use socketio_pg_throwaway::Server;
use tokio::signal;

use admin_page::AdminPage;
use child::{Child, StartError};
use page::ServerInfo;
use rust_node::RustNode;
use table::Table;

/// Socket.IO servers in Rust, on Node.js and in Python in one cluster over one PostgreSQL, and a page
/// that shows them.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {
    /// The port of the page; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Leaves out the Node.js node.
    #[arg(long)]
    no_node: bool,
    /// Leaves out the Python node.
    #[arg(long)]
    no_python: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    eprintln!("One Socket.IO cluster in several languages\n");

    let postgres = Server::start()?;
    let database = postgres.create_database()?;
    match postgres.port() {
        Some(port) => started("PostgreSQL", &format!("a private one on port {port}, gone when the demo ends")),
        None => started("PostgreSQL", "the one in DATABASE_URL; its database for this is dropped when the demo ends"),
    }

    let mut rust_nodes = Vec::new();
    for (name, port) in [("Rust node 1", arguments.port), ("Rust node 2", 0)] {
        let node = RustNode::join(name, &database.url(), port).await?;
        started(name, &describe(node.info()));
        rust_nodes.push(node);
    }
    let table = Table::create(&database.url()).await?;
    let mut children = Vec::new();
    if !arguments.no_node {
        children.extend(there("Node node", node_server::start("Node node", &database.url()).await)?);
    }
    if !arguments.no_python {
        children.extend(there("Python node", python_server::start("Python node", &database.url()).await)?);
    }

    let servers: Vec<ServerInfo> =
        rust_nodes.iter().map(RustNode::info).chain(children.iter().map(Child::info)).cloned().collect();
    let admin_page = AdminPage::read(&node_server::packages())?;
    let page = page::router(&servers, admin_page.is_some()).merge(table.router());
    let page = page.merge(admin_page.map(AdminPage::router).unwrap_or_default());
    for node in &mut rust_nodes {
        node.serve(page.clone());
    }

    eprintln!("\nThe servers know nothing of each other but that database. Each has a pane on this page:");
    eprintln!("draw, write or drop a file in one of them, and watch the others. A button changes a row of a table:");
    eprintln!("PostgreSQL itself tells all panes. A link leads to Socket.IO's Admin UI.\n");
    // Before the address is printed: whoever reads it may end the demo at once.
    let asked_to_stop = asked_to_stop()?;
    writeln!(std::io::stdout(), "http://127.0.0.1:{}/", servers[0].port)?;
    eprintln!("\nCtrl-C stops everything.");
    asked_to_stop.await;

    eprintln!("\nStopping.");
    for child in children {
        child.stop().await;
    }
    for node in rust_nodes {
        node.stop().await;
    }
    Ok(())
}

/// A server in another language: none where the language is not installed, without which the demo
/// runs too.
fn there(name: &str, start: Result<Child, StartError>) -> Result<Option<Child>, StartError> {
    match start {
        Ok(child) => {
            started(name, &describe(child.info()));
            Ok(Some(child))
        }
        Err(error @ StartError::NoProgram { .. }) => {
            started(name, &format!("none: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn started(what: &str, details: &str) {
    eprintln!("  {what:<13} {details}");
}

fn describe(server: &ServerInfo) -> String {
    format!("{} on port {}", server.software, server.port)
}

/// Listens for signals from now on; the future waits for one.
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(windows)]
    {
        let mut interrupt = signal::windows::ctrl_c()?;
        Ok(async move { drop(interrupt.recv().await) })
    }
}
