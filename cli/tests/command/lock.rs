//! A session that keeps others from a table.

use tokio_postgres::{Client, NoTls};

/// An open transaction of a session named `migration`. Dropping it ends it.
pub(crate) struct Lock {
    _client: Client,
    pid: i32,
}

impl Lock {
    /// Locks a table as most migrations do.
    pub(crate) async fn on(url: &str, table: &str) -> Self {
        Self::with(url, &format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await
    }

    /// Takes the locks of a statement.
    pub(crate) async fn with(url: &str, statement: &str) -> Self {
        let url = format!("{url}?application_name=migration");
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("BEGIN; {statement}")).await.unwrap();
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        Self { _client: client, pid }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }
}
