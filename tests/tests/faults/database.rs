//! The database refuses statements: the attachments table, the role's rights, the notification
//! queue.

use std::{sync::Arc, time::Duration};

use socketio_pg_tests::{
    Error, Node,
    fault::{Failure, Fault},
};

use crate::{
    case::{BOTH, Case, NONE, Result, Seen},
    cluster::Cluster,
};

const TABLE: &str = "socket_io_attachments";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::lasting(
            "attachments table locked for 3 s",
            "ACCESS EXCLUSIVE; `LONG=1`: 30 s",
            (Fault::TableLocked, NONE),
            (30, 3),
        )
        .with(|options| options.query_timeout(Duration::from_secs(1))),
        Case::lasting(
            "attachments table dropped",
            "and created again after a second",
            (Fault::TableDropped, NONE),
            (1, 1),
        ),
        Case::lasting(
            "database read-only",
            "`default_transaction_read_only`, for new sessions",
            (Fault::ReadOnly, BOTH),
            (1, 1),
        ),
        Case::lasting(
            "rights taken away",
            "REVOKE ALL on the table and its sequence",
            (Fault::RightsRevoked, NONE),
            (1, 1),
        ),
        Case::lasting(
            "disk full",
            "a trigger on the attachments table raises SQLSTATE 53100: PostgreSQL does the same when it cannot extend the table, \
             while notifications stay in memory and in files that are there",
            (Fault::DiskFull, NONE),
            (1, 1),
        ),
        Case::lasting(
            "notification queue full",
            "simulated: PostgreSQL 15 has room for 8 GB. PostgreSQL's `pg_notify` is replaced by one that raises \
             SQLSTATE 54000 with PostgreSQL's text",
            (Fault::NotificationQueueFull, BOTH),
            (1, 1),
        ),
        Case::special(
            "a database in another encoding",
            "LATIN1 and SQL_ASCII: connecting fails at once, with an error that says so",
            other_encodings,
        ),
    ]
}

/// A database with another encoding than UTF8 cannot hold all that clients send. The node must
/// report that at its start, not when the first such name comes.
async fn other_encodings(cluster: Arc<Cluster>) -> Result<Seen> {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let (database, server) =
            (format!("{}_{encoding}", cluster.database.name()).to_lowercase(), cluster.server.clone());
        cluster.sql(&format!("CREATE DATABASE {database} ENCODING {encoding} LOCALE 'C' TEMPLATE template0")).await?;
        let other = server.existing_database(&database);
        let table = socketio_pg_core::backend::table::schema_sql(TABLE)?;
        let role = format!("{}_app", cluster.database.name());
        let url = other.url().replace("postgres@", &format!("{role}:right@"));
        let grants = format!("{table}; GRANT ALL ON {TABLE}, {TABLE}_id_seq TO {role}");
        tokio::task::spawn_blocking(move || Ok::<_, Failure>(other.execute(&grants)?)).await??;
        let refused = Node::start(&cluster.rust, &cluster.options.clone().at(url)).await.map(drop);
        let Err(Error::Ended { stderr, .. }) = refused else {
            return Err(format!("a node in a database in {encoding} is to end: {refused:?}").into());
        };
        let told = stderr.join(" ");
        if !["the encoding of the database is", encoding].iter().all(|word| told.contains(word)) {
            return Err(format!("it does not say why: {told}").into());
        }
    }
    Ok(Seen {
        heard_again: "-".to_owned(),
        senders: "`ConnectError::Encoding`, at once".to_owned(),
        receivers: "-".to_owned(),
        reported: "-".to_owned(),
    })
}
