//! An encrypted connection to PostgreSQL whose certificate is checked. All it needs is the feature
//! `rustls` of the backend crate, and a URL with `sslmode=verify-full`. `sslrootcert` names the
//! certificate of the authority where the machine does not know it.
//!
//! ```sh
//! DATABASE_URL='postgres://app@db.example.org/app?sslmode=verify-full&sslrootcert=/etc/db.crt' \
//!     cargo run -p socketio-pg-examples --bin tls
//! ```
//!
//! It prints one of these lines:
//!
//! ```text
//! connected: the server's certificate was checked
//! not connected: no connection with the TLS that is asked for: …
//! ```
//!
//! On diesel, the name of the crate is another: `socketio_pg_diesel`.

use std::{error::Error, process::ExitCode};

use socketio_pg_tokio_postgres::{Cluster, ConnectError, Options};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    // Every other mode connects to a server that has another certificate, or none.
    if !database.contains("sslmode=verify-full") {
        return Err("add `sslmode=verify-full` to DATABASE_URL".into());
    }
    match Cluster::connect(database, Options::default()).await {
        Ok(cluster) => {
            println!("connected: the server's certificate was checked");
            cluster.close().await;
            Ok(ExitCode::SUCCESS)
        }
        // Trying again does not help: a person must look at the URL or at the certificate.
        Err(error @ ConnectError::Tls(_)) => {
            println!("not connected: {error}");
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}
