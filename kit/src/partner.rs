//! Test nodes in Rust: a server of this project, and clients, driven by JSON lines.
//!
//! The program that uses the kit is such a node itself when it is started with the arguments that
//! [`PartnerArguments`] describes. So a partner needs no other program.

pub mod arguments;
mod clients;
pub mod commands;
mod connection;
mod operations;
mod packet;
mod server;

pub use self::server::{Extension, ServerSettings, run};

use std::time::Duration;

use clap::{Args, ValueEnum};
use socketio_pg_core::Options;
use socketio_pg_tokio_postgres::{Cluster, TokioPostgresBackend};

use crate::harness::Parser;

/// The command line of a partner.
#[derive(Args, Clone, Debug)]
pub struct PartnerArguments {
    /// What it is
    #[arg(long, value_enum, default_value = "server")]
    role: Role,
    /// Default: `DATABASE_URL`.
    #[arg(long)]
    database_url: Option<String>,
    #[arg(long)]
    listen_url: Option<String>,
    #[arg(long, default_value = "socket.io")]
    channel_prefix: String,
    #[arg(long, default_value = "socket_io_attachments")]
    table: String,
    #[arg(long)]
    payload_threshold: Option<usize>,
    #[arg(long)]
    heartbeat_interval_ms: Option<u64>,
    #[arg(long)]
    heartbeat_timeout_ms: Option<u64>,
    #[arg(long)]
    cleanup_interval_ms: Option<u64>,
    /// Requests say where the responses go.
    #[arg(long)]
    reply_channel: bool,
    #[arg(long = "namespace", default_value = "/")]
    namespaces: Vec<String>,
    #[arg(long = "dynamic-namespace")]
    dynamic_namespaces: Vec<String>,
    /// Accepted, because other nodes have them.
    #[arg(long)]
    parser: Option<String>,
    #[arg(long)]
    pool_size: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Server,
    Clients,
}

/// Is a partner, until the end of input.
///
/// # Errors
/// When it cannot connect, or stdin cannot be read.
pub async fn serve(arguments: &PartnerArguments) -> Result<(), Box<dyn std::error::Error>> {
    if matches!(arguments.role, Role::Clients) {
        return clients::serve().await;
    }
    let url = arguments.database_url.clone().or_else(|| std::env::var("DATABASE_URL").ok()).unwrap_or_default();
    let backend = TokioPostgresBackend::try_from(url.as_str())?;
    let cluster = Cluster::connect(backend, arguments.options());
    let settings = ServerSettings {
        namespaces: arguments.namespaces.clone(),
        dynamic_namespaces: arguments.dynamic_namespaces.clone(),
        parser: Parser::Common,
    };
    run(cluster.await?, &settings, ()).await
}

impl PartnerArguments {
    /// Without a reply channel responses go to the channel of the namespace, where the kit hears all of
    /// them.
    fn options(&self) -> Options {
        let milliseconds = Duration::from_millis;
        let mut options = Options::default()
            .channel_prefix(&self.channel_prefix)
            .table(&self.table)
            .reply_channel(self.reply_channel);
        if let Some(bytes) = self.payload_threshold {
            options = options.payload_threshold(bytes);
        }
        if let Some(interval) = self.heartbeat_interval_ms {
            options = options.heartbeat_interval(milliseconds(interval));
        }
        if let Some(timeout) = self.heartbeat_timeout_ms {
            options = options.heartbeat_timeout(milliseconds(timeout));
        }
        if let Some(interval) = self.cleanup_interval_ms {
            options = options.cleanup_interval(milliseconds(interval));
        }
        options
    }
}
