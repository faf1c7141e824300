//! The contract of a backend, on a real server, with each kind of connection.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use diesel_async::pooled_connection::{AsyncDieselConnectionManager, deadpool::Pool};
use socketio_pg_core::{backend::BackendError, testing::contract::Fixture};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_throwaway::{Database, Server};

struct OnDiesel {
    database: Database,
    connect: fn(url: &str) -> Result<DieselBackend, BackendError>,
}

impl OnDiesel {
    fn new(connect: fn(url: &str) -> Result<DieselBackend, BackendError>) -> Self {
        Self { database: Server::shared().unwrap().create_database().unwrap(), connect }
    }
}

impl Fixture for OnDiesel {
    type Backend = DieselBackend;

    fn url(&self) -> String {
        self.database.url()
    }

    async fn backend(&self, url: &str) -> Result<DieselBackend, BackendError> {
        (self.connect)(url)
    }

    fn sql(&self, statements: &str) -> Option<String> {
        self.database.execute(statements).unwrap_or_else(|error| panic!("{statements}: {error:?}"))
    }
}

mod own_connections {
    use super::*;

    fn fixture() -> OnDiesel {
        OnDiesel::new(DieselBackend::new)
    }

    socketio_pg_core::backend_tests!(fixture);
}

mod borrowed_pool {
    use super::*;

    fn fixture() -> OnDiesel {
        OnDiesel::new(|url| {
            let pool = Pool::builder(AsyncDieselConnectionManager::new(url)).max_size(16).build().unwrap();
            DieselBackend::with_pool(pool, url)
        })
    }

    socketio_pg_core::backend_tests!(fixture);
}
