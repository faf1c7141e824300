//! A table whose changes are events: PostgreSQL emits them by a trigger, and no server does.

use std::{error::Error, sync::Arc};

use axum::{Router, http::StatusCode, routing::post};
use socketio_pg_tokio_postgres::{
    Options, SqlFunctions,
    tokio_postgres::{self, Client, NoTls},
};

/// One row, a lamp that is on or off.
pub(crate) struct Table {
    client: Arc<Client>,
}

impl Table {
    /// Installs the functions and the trigger. A node must have created the attachments table.
    pub(crate) async fn create(database_url: &str) -> Result<Self, Box<dyn Error>> {
        let (client, connection) = tokio_postgres::connect(database_url, NoTls).await?;
        // It ends with the client, and an error of it is one of the client's.
        tokio::spawn(connection);
        client.batch_execute(&SqlFunctions::new(&Options::default())?.install_sql()).await?;
        client
            .batch_execute(
                "CREATE TABLE lamps (id int PRIMARY KEY, is_on boolean NOT NULL);
                 INSERT INTO lamps VALUES (1, false);
                 CREATE TRIGGER emit_lamps AFTER UPDATE ON lamps
                 FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('row')",
            )
            .await?;
        Ok(Self { client: Arc::new(client) })
    }

    /// `POST /row` changes the row.
    pub(crate) fn router(&self) -> Router {
        let client = self.client.clone();
        let change = async move || match client.execute("UPDATE lamps SET is_on = NOT is_on", &[]).await {
            Ok(_) => (StatusCode::OK, String::new()),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        };
        Router::new().route("/row", post(change))
    }
}
