//! The command line, the same for test nodes in every language.

use std::time::Duration;

use socketio_pg_admin_ui::{AdminOptions, Mode};
use socketio_pg_core::{CatchUp, Outbox};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use tokio_postgres::NoTls;

use crate::borrowed_pool;

/// A Socket.IO server in a cluster, driven by JSON lines.
#[derive(clap::Parser)]
pub(crate) struct Options {
    #[arg(long, value_enum)]
    pub(crate) backend: Backend,
    #[arg(long, value_enum, default_value = "server")]
    pub(crate) role: Role,
    #[arg(long)]
    pub(crate) database_url: String,
    /// Listen through another connection than the one for publishing.
    #[arg(long)]
    listen_url: Option<String>,
    #[arg(long)]
    channel_prefix: Option<String>,
    #[arg(long)]
    table: Option<String>,
    #[arg(long)]
    payload_threshold: Option<usize>,
    #[arg(long)]
    heartbeat_interval_ms: Option<u64>,
    #[arg(long)]
    heartbeat_timeout_ms: Option<u64>,
    #[arg(long)]
    cleanup_interval_ms: Option<u64>,
    #[arg(long)]
    check_interval_ms: Option<u64>,
    #[arg(long)]
    query_timeout_ms: Option<u64>,
    #[arg(long)]
    max_inbox_bytes: Option<usize>,
    /// Keep the catch-up log, and catch up with what is not older than this.
    #[arg(long)]
    catch_up_ms: Option<u64>,
    /// Publish the outbox, or write into it.
    #[arg(long)]
    pub(crate) outbox: bool,
    /// Send no heartbeats while all others see the session of this node.
    #[arg(long)]
    watch_sessions: bool,
    /// Send binary in notifications: no server of the cluster is on Node.js.
    #[arg(long)]
    inline_binary: bool,
    #[arg(long = "namespace", default_value = "/")]
    pub(crate) namespaces: Vec<String>,
    /// socketioxide's own pattern syntax: `/dynamic-{id}`.
    #[arg(long = "dynamic-namespace")]
    pub(crate) dynamic_namespaces: Vec<String>,
    #[arg(long, value_enum, default_value = "common")]
    pub(crate) parser: Parser,
    /// The Admin UI, with the options of Node.js's `instrument` as JSON.
    #[arg(long)]
    pub(crate) admin_ui: Option<String>,
    /// Accepted because other nodes have it; this node needs only its own few connections.
    #[arg(long)]
    pool_size: Option<usize>,
    /// Publish through the application's own pool, with this many connections.
    #[arg(long)]
    borrowed_pool: Option<usize>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Backend {
    TokioPostgres,
    Diesel,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Role {
    Server,
    Emitter,
    /// The functions in PostgreSQL that emit.
    SqlFunctions,
    /// Publishes the outbox, and has no namespace.
    OutboxPublisher,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Parser {
    Common,
    Msgpack,
}

impl Options {
    pub(crate) fn cluster(&self) -> socketio_pg_core::Options {
        // A busy machine is not a database that cannot be reached.
        let mut options = socketio_pg_core::Options::default().connect_timeout(Duration::from_secs(60));
        if let Some(prefix) = &self.channel_prefix {
            options = options.channel_prefix(prefix);
        }
        if let Some(table) = &self.table {
            options = options.table(table);
        }
        if let Some(bytes) = self.payload_threshold {
            options = options.payload_threshold(bytes);
        }
        if let Some(ms) = self.heartbeat_interval_ms {
            options = options.heartbeat_interval(Duration::from_millis(ms));
        }
        if let Some(ms) = self.heartbeat_timeout_ms {
            options = options.heartbeat_timeout(Duration::from_millis(ms));
        }
        if let Some(ms) = self.cleanup_interval_ms {
            options = options.cleanup_interval(Duration::from_millis(ms));
        }
        if let Some(ms) = self.check_interval_ms {
            options = options.check_interval(Duration::from_millis(ms));
        }
        if let Some(ms) = self.query_timeout_ms {
            options = options.query_timeout(Duration::from_millis(ms));
        }
        if let Some(bytes) = self.max_inbox_bytes {
            options = options.max_inbox_bytes(bytes);
        }
        if let Some(ms) = self.catch_up_ms {
            options = options.catch_up(CatchUp::last(Duration::from_millis(ms)));
        }
        if self.outbox {
            options = options.outbox(Outbox::default());
        }
        options.watch_sessions(self.watch_sessions).inline_binary(self.inline_binary)
    }

    pub(crate) fn admin(&self) -> Result<Option<AdminOptions>, Box<dyn std::error::Error>> {
        let Some(json) = &self.admin_ui else { return Ok(None) };
        let json: serde_json::Value = serde_json::from_str(json)?;
        let mut options = AdminOptions::default();
        options = match (json["auth"]["username"].as_str(), json["auth"]["password"].as_str()) {
            (Some(username), Some(hash)) => options.basic_auth(username, hash),
            _ => options.no_auth(),
        };
        if let Some(id) = json["serverId"].as_str() {
            options = options.server_id(id);
        }
        if json["mode"] == "production" {
            options = options.mode(Mode::Production);
        }
        Ok(Some(options.read_only(json["readonly"] == true)))
    }

    pub(crate) fn tokio_postgres(&self) -> Result<TokioPostgresBackend, Box<dyn std::error::Error>> {
        let config: tokio_postgres::Config = self.database_url.parse()?;
        if let Some(connections) = self.borrowed_pool {
            let pool = borrowed_pool::tokio_postgres(config, connections)?;
            return Ok(TokioPostgresBackend::with_pool(pool, self.listen_url().parse()?, NoTls));
        }
        Ok(match &self.listen_url {
            Some(url) => TokioPostgresBackend::with_listen_config(config, url.parse()?, NoTls),
            None => TokioPostgresBackend::new(config, NoTls),
        })
    }

    pub(crate) fn diesel(&self) -> Result<DieselBackend, Box<dyn std::error::Error>> {
        if let Some(connections) = self.borrowed_pool {
            let pool = borrowed_pool::diesel(&self.database_url, connections)?;
            return Ok(DieselBackend::with_pool(pool, self.listen_url())?);
        }
        Ok(DieselBackend::with_listen_url(&self.database_url, self.listen_url())?)
    }

    fn listen_url(&self) -> &str {
        self.listen_url.as_ref().unwrap_or(&self.database_url)
    }
}
