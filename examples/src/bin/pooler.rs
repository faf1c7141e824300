//! Statements go through a pooler such as PgBouncer, and one connection listens directly. `LISTEN`
//! belongs to a session, and a pooler in transaction mode gives each session to many clients.
//!
//! ```sh
//! DATABASE_URL=postgres://…:5432/app POOLER_URL=postgres://…:6432/app \
//!     cargo run -p socketio-pg-examples --bin pooler
//! ```
//!
//! It prints what works, and what a server says that has only the pooler's address:
//!
//! ```text
//! connected: publishes through the pooler, listens directly
//! with the pooler alone: channel notifications do not arrive through this connection …
//! ```
//!
//! On diesel it is `DieselBackend::with_listen_url`, and the pooler
//! must know prepared statements: PgBouncer from 1.21 on, with `max_prepared_statements` above 0.

use std::{error::Error, time::Duration};

use socketio_pg_tokio_postgres::{Cluster, ConnectError, Options, TokioPostgresBackend};

fn url(variable: &str) -> Result<String, Box<dyn Error>> {
    Ok(std::env::var(variable).map_err(|_| format!("{variable} is not set"))?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (direct, pooler) = (url("DATABASE_URL")?, url("POOLER_URL")?);

    let backend = TokioPostgresBackend::with_listen_url(&pooler, &direct).map_err(ConnectError::from)?;
    // It returns once a notification that was published through the pooler has come back.
    let cluster = Cluster::connect(backend, Options::default()).await?;
    println!("connected: publishes through the pooler, listens directly");
    cluster.close().await;

    // What not to do. By default a server waits for 10 s before it gives up.
    let options = Options::default().connect_timeout(Duration::from_secs(3));
    match Cluster::connect(pooler, options).await {
        Err(error @ ConnectError::NotListening { .. }) => println!("with the pooler alone: {error}"),
        Err(error) => return Err(error.into()),
        Ok(cluster) => {
            println!("this pooler gives each client a session of its own: its address alone is enough");
            cluster.close().await;
        }
    }
    Ok(())
}
