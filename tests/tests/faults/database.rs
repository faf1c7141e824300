//! The database refuses statements: the attachments table, the role's rights, the notification
//! queue.

use crate::{
    fault::{Failure, Fault, Result, Seen, Struck, last_for},
    world::World,
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

fn over() -> Struck {
    Struck { healed: Instant::now(), deaf: [false, false] }
}

async fn locked(world: Arc<World>) -> Result<Struck> {
    let (client, connection) = tokio_postgres::connect(&world.database.url(), tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(&format!("BEGIN; LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")).await?;
    last_for(30, 3).await;
    client.batch_execute("COMMIT").await?;
    Ok(over())
}

async fn dropped(world: Arc<World>) -> Result<Struck> {
    let role = world.sql("SELECT current_database() || '_app'").await?.ok_or("no role")?;
    world.sql(&format!("DROP TABLE {TABLE}")).await?;
    last_for(1, 1).await;
    let table = socketio_pg_core::backend::table::schema_sql(TABLE)?;
    world
        .sql(&format!(
            "BEGIN; {table}; GRANT ALL ON {TABLE} TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}; COMMIT"
        ))
        .await?;
    Ok(over())
}

async fn read_only(world: Arc<World>) -> Result<Struck> {
    let database = world.database.name();
    let new_sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    world.sql(&format!("ALTER DATABASE {database} SET default_transaction_read_only = on")).await?;
    world.sql(new_sessions).await?;
    last_for(1, 1).await;
    world
        .sql(&format!("BEGIN READ WRITE; ALTER DATABASE {database} RESET default_transaction_read_only; COMMIT"))
        .await?;
    world.sql(new_sessions).await?;
    Ok(Struck { healed: Instant::now(), deaf: [true, true] })
}

async fn no_rights(world: Arc<World>) -> Result<Struck> {
    let role = world.sql("SELECT current_database() || '_app'").await?.ok_or("no role")?;
    world.sql(&format!("REVOKE ALL ON {TABLE}, {TABLE}_id_seq FROM {role}")).await?;
    last_for(1, 1).await;
    world.sql(&format!("GRANT ALL ON {TABLE}, {TABLE}_id_seq TO {role}")).await?;
    Ok(over())
}

async fn disk_full(world: Arc<World>) -> Result<Struck> {
    world
        .sql(&format!(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file: No space left on device';
             END $$;
             CREATE TRIGGER full_disk BEFORE INSERT ON {TABLE} EXECUTE FUNCTION full_disk()"
        ))
        .await?;
    last_for(1, 1).await;
    world.sql(&format!("DROP TRIGGER full_disk ON {TABLE}")).await?;
    Ok(over())
}

async fn queue_full(world: Arc<World>) -> Result<Struck> {
    let sessions = "datname = current_database() AND pid <> pg_backend_pid()";
    let new_sessions = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {sessions}");
    world
        .sql(
            // Renamed, because a built-in function is called by its number: a changed definition
            // would have no effect.
            "ALTER FUNCTION pg_catalog.pg_notify(text, text) RENAME TO pg_notify_with_room;
             CREATE FUNCTION pg_catalog.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'too many notifications in the NOTIFY queue';
             END $$",
        )
        .await?;
    world.sql(&new_sessions).await?;
    last_for(1, 1).await;
    world
        .sql(
            "DROP FUNCTION pg_catalog.pg_notify(text, text);
             ALTER FUNCTION pg_catalog.pg_notify_with_room(text, text) RENAME TO pg_notify",
        )
        .await?;
    world.sql(&new_sessions).await?;
    Ok(Struck { healed: Instant::now(), deaf: [true, true] })
}

/// A database with another encoding than UTF8 cannot hold all that clients send. The node must
/// report that at its start, not when the first such name comes.
async fn other_encodings(world: Arc<World>) -> Result<Seen> {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let (database, server) = (format!("{}_{encoding}", world.database.name()).to_lowercase(), world.server.clone());
        world.sql(&format!("CREATE DATABASE {database} ENCODING {encoding} LOCALE 'C' TEMPLATE template0")).await?;
        let other = server.existing_database(&database);
        let table = socketio_pg_core::backend::table::schema_sql(TABLE)?;
        let role = format!("{}_app", world.database.name());
        let url = other.url().replace("postgres@", &format!("{role}:right@"));
        let grants = format!("{table}; GRANT ALL ON {TABLE}, {TABLE}_id_seq TO {role}");
        tokio::task::spawn_blocking(move || Ok::<_, Failure>(other.execute(&grants)?)).await??;
        let refused = Node::start(&world.rust, &world.options.clone().at(url)).await.map(drop);
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
