//! A test node: one Socket.IO server on this adapter, driven by JSON lines.
//!
//! ```text
//! test-node --backend tokio-postgres|diesel --database-url URL [options]
//! test-node --role emitter|sql-functions|outbox-publisher --backend tokio-postgres --database-url URL [options]
//! ```
//!
//! The first line out is `{"ready":true,"port":…,"uid":"…"}`. Then each line in is a command
//! `{"id":1,"op":"emit",…}` and has one line out, `{"id":1,"ok":…}` or `{"id":1,"error":"…"}`.
//! Lines with a key `event` are reports without a command. Logs go to stderr. At the end of input
//! the node leaves the cluster.

mod borrowed_pool;
mod crowd;
mod emitter;
mod options;
mod server;

use clap::Parser as _;
use socketio_pg_tokio_postgres::Cluster;

use self::options::{Backend, Options, Role};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    match (options.backend, options.role) {
        (_, Role::SqlFunctions) => emitter::sql_functions(&options).await,
        (Backend::TokioPostgres, Role::Emitter) => emitter::tokio_postgres(&options).await,
        (Backend::TokioPostgres, Role::Server) => {
            let cluster = Cluster::connect(options.tokio_postgres()?, options.cluster()).await?;
            server::serve(cluster, &options).await
        }
        (Backend::TokioPostgres, Role::OutboxPublisher) => {
            let cluster = Cluster::connect(options.tokio_postgres()?, options.cluster()).await?;
            emitter::publish_outbox(cluster).await
        }
        (Backend::Diesel, Role::OutboxPublisher) => {
            let cluster = socketio_pg_diesel::Cluster::connect(options.diesel()?, options.cluster()).await?;
            emitter::publish_outbox(cluster).await
        }
        (Backend::Diesel, Role::Emitter) => emitter::diesel(&options).await,
        (Backend::Diesel, Role::Server) => {
            let cluster = socketio_pg_diesel::Cluster::connect(options.diesel()?, options.cluster()).await?;
            server::serve(cluster, &options).await
        }
    }
}
