//! The contract of a backend, on a real server, with each kind of connection.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use socketio_pg_core::{backend::BackendError, testing::contract::Fixture};
use socketio_pg_throwaway::{Database, Server};
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use tokio_postgres::NoTls;

struct OnTokioPostgres {
    database: Database,
    connect: fn(url: &str) -> Result<TokioPostgresBackend, BackendError>,
}

impl OnTokioPostgres {
    fn new(connect: fn(url: &str) -> Result<TokioPostgresBackend, BackendError>) -> Self {
        Self { database: Server::shared().unwrap().create_database().unwrap(), connect }
    }
}

impl Fixture for OnTokioPostgres {
    type Backend = TokioPostgresBackend;

    fn url(&self) -> String {
        self.database.url()
    }

    async fn backend(&self, url: &str) -> Result<TokioPostgresBackend, BackendError> {
        (self.connect)(url)
    }

    fn sql(&self, statements: &str) -> Option<String> {
        self.database.execute(statements).unwrap_or_else(|error| panic!("{statements}: {error:?}"))
    }
}

mod one_url {
    use super::*;

    fn fixture() -> OnTokioPostgres {
        OnTokioPostgres::new(|url| Ok(TokioPostgresBackend::new(url.parse().unwrap(), NoTls)))
    }

    socketio_pg_core::backend_tests!(fixture);
}

mod two_urls {
    use super::*;

    fn fixture() -> OnTokioPostgres {
        OnTokioPostgres::new(|url| {
            Ok(TokioPostgresBackend::with_listen_config(url.parse().unwrap(), url.parse().unwrap(), NoTls))
        })
    }

    socketio_pg_core::backend_tests!(fixture);
}
