//! The command `socketio-pg`: looks into a Socket.IO cluster on PostgreSQL, and acts on it.
//!
//! | module | what it is for |
//! |---|---|
//! | `nodes`, `sockets`, `watch`, `emit`, `doctor`, `check` | the commands of these names; `emit` has all that act |
//! | `documents` | the commands that need no database |
//! | `arguments` | what can be written on the command line |
//! | `session` | listens to a cluster, and speaks to it without being a node of it |
//! | `survey`, `connected` | finds the nodes that answer; finds servers that are connected and do not |
//! | `database`, `asking` | connections; questions that leave nothing behind in a session |
//! | `output`, `payload`, `failure` | what is written; application data as people read it; exit codes |

mod arguments;
mod asking;
mod check;
mod connected;
mod database;
mod doctor;
mod documents;
mod emit;
mod failure;
mod nodes;
mod output;
mod payload;
mod session;
mod sockets;
mod survey;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use self::{
    arguments::{Arguments, Command},
    check::Partner,
    failure::Failure,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Partner::parse_if_it_is() {
        Some(partner) => partner.run().await,
        None => run(Arguments::parse()).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let target = &arguments.target;
    match &arguments.command {
        Command::Nodes(command) => nodes::run(target, command).await,
        Command::Sockets(command) => sockets::run(target, command).await,
        Command::Watch(command) => watch::run(target, command).await,
        Command::Emit(command) => emit::emit(target, command).await,
        Command::Join(command) => emit::join(target, command).await,
        Command::Leave(command) => emit::leave(target, command).await,
        Command::Disconnect(command) => emit::disconnect(target, command).await,
        Command::ServerSideEmit(command) => emit::server_side_emit(target, command).await,
        Command::Doctor(command) => doctor::run(target, command).await,
        Command::Schema(command) => documents::schema(command),
        Command::Sql(command) => documents::sql(target, command),
        Command::Check(command) => check::run(target, command).await,
        Command::Completions { shell } => documents::completions(*shell),
        Command::Man => documents::man(),
    }
}
