//! The database refuses statements: the attachments table, the role's rights, the notification
//! queue.

use crate::{
    cluster::Cluster,
    fault::{AfterFault, Failure, Fault, Result, Seen, last_for},
};
use socketio_pg_tests::{Error, Node};
use std::{sync::Arc, time::Instant};

const TABLE: &str = "socket_io_attachments";

pub(crate) fn faults() -> Vec<Fault> {
    vec![
        Fault::new("attachments table locked for 3 s", "ACCESS EXCLUSIVE; `LONG=1`: 30 s", locked)
            .with(|options| options.query_timeout(std::time::Duration::from_secs(1))),
        Fault::new("attachments table dropped", "and created again after a second", dropped),
        Fault::new("database read-only", "`default_transaction_read_only`, for new sessions", read_only),
        Fault::new("rights taken away", "REVOKE ALL on the table and its sequence", no_rights),
        Fault::new(
            "disk full",
            "a trigger on the attachments table raises SQLSTATE 53100: PostgreSQL does the same when it cannot extend the table, \
             while notifications stay in memory and in files that are there",
            disk_full,
        ),
        Fault::new(
            "notification queue full",
            "simulated: PostgreSQL 15 has room for 8 GB. PostgreSQL's `pg_notify` is replaced by one that raises \
             SQLSTATE 54000 with PostgreSQL's text",
            queue_full,
        ),
        Fault::special(
            "a database in another encoding",
            "LATIN1 and SQL_ASCII: connecting fails at once, with an error that says so",
            other_encodings,
        ),
    ]
}

fn over() -> AfterFault {
    AfterFault { healed: Instant::now(), disconnected: [false, false] }
}

async fn locked(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let (client, connection) = tokio_postgres::connect(&cluster.database.url(), tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(&format!("BEGIN; LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")).await?;
    last_for(30, 3).await;
    client.batch_execute("COMMIT").await?;
    Ok(over())
}

async fn dropped(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let role = cluster.sql("SELECT current_database() || '_app'").await?.ok_or("no role")?;
    cluster.sql(&format!("DROP TABLE {TABLE}")).await?;
    last_for(1, 1).await;
    let table = socketio_pg_core::backend::table::schema_sql(TABLE)?;
    cluster
        .sql(&format!(
            "BEGIN; {table}; GRANT ALL ON {TABLE} TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}; COMMIT"
        ))
        .await?;
    Ok(over())
}

async fn read_only(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let database = cluster.database.name();
    let new_sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    cluster.sql(&format!("ALTER DATABASE {database} SET default_transaction_read_only = on")).await?;
    cluster.sql(new_sessions).await?;
    last_for(1, 1).await;
    cluster
        .sql(&format!("BEGIN READ WRITE; ALTER DATABASE {database} RESET default_transaction_read_only; COMMIT"))
        .await?;
    cluster.sql(new_sessions).await?;
    Ok(AfterFault { healed: Instant::now(), disconnected: [true, true] })
}

async fn no_rights(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let role = cluster.sql("SELECT current_database() || '_app'").await?.ok_or("no role")?;
    cluster.sql(&format!("REVOKE ALL ON {TABLE}, {TABLE}_id_seq FROM {role}")).await?;
    last_for(1, 1).await;
    cluster.sql(&format!("GRANT ALL ON {TABLE}, {TABLE}_id_seq TO {role}")).await?;
    Ok(over())
}

async fn disk_full(cluster: Arc<Cluster>) -> Result<AfterFault> {
    cluster
        .sql(&format!(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file: No space left on device';
             END $$;
             CREATE TRIGGER full_disk BEFORE INSERT ON {TABLE} EXECUTE FUNCTION full_disk()"
        ))
        .await?;
    last_for(1, 1).await;
    cluster.sql(&format!("DROP TRIGGER full_disk ON {TABLE}")).await?;
    Ok(over())
}

async fn queue_full(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let sessions = "datname = current_database() AND pid <> pg_backend_pid()";
    let new_sessions = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {sessions}");
    cluster
        .sql(
            // Renamed, because a built-in function is called by its number: a changed definition
            // would have no effect.
            "ALTER FUNCTION pg_catalog.pg_notify(text, text) RENAME TO pg_notify_with_room;
             CREATE FUNCTION pg_catalog.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'too many notifications in the NOTIFY queue';
             END $$",
        )
        .await?;
    cluster.sql(&new_sessions).await?;
    last_for(1, 1).await;
    cluster
        .sql(
            "DROP FUNCTION pg_catalog.pg_notify(text, text);
             ALTER FUNCTION pg_catalog.pg_notify_with_room(text, text) RENAME TO pg_notify",
        )
        .await?;
    cluster.sql(&new_sessions).await?;
    Ok(AfterFault { healed: Instant::now(), disconnected: [true, true] })
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
