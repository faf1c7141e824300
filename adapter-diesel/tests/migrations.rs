//! Creating the attachments table with diesel's migrations.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{fmt, time::Duration};

use diesel::{
    migration::{Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion, Result},
    pg::Pg,
};
use diesel_async::{AsyncConnection, AsyncMigrationHarness, AsyncPgConnection};
use diesel_migrations::MigrationHarness;
use socketio_pg_core::backend::{ErrorKind, Prepare};
use socketio_pg_diesel::{CatchUp, DieselBackend, MIGRATIONS, Migrations, Options, Outbox, SqlFunctions};
use socketio_pg_throwaway::{Database, Server};

async fn harness(database: &Database) -> AsyncMigrationHarness<AsyncPgConnection> {
    AsyncMigrationHarness::new(AsyncPgConnection::establish(&database.url()).await.unwrap())
}

/// A migration of the application's own.
struct CreateOrders;

impl MigrationSource<Pg> for CreateOrders {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<Pg>>>> {
        Ok(vec![Box::new(Self)])
    }
}

impl Migration<Pg> for CreateOrders {
    fn run(&self, connection: &mut dyn diesel::connection::BoxableConnection<Pg>) -> Result<()> {
        Ok(connection.batch_execute("CREATE TABLE orders (item text)")?)
    }

    fn revert(&self, connection: &mut dyn diesel::connection::BoxableConnection<Pg>) -> Result<()> {
        Ok(connection.batch_execute("DROP TABLE orders")?)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

impl MigrationMetadata for CreateOrders {}

impl MigrationName for CreateOrders {
    fn version(&self) -> MigrationVersion<'_> {
        "20260101000000".into()
    }
}

impl fmt::Display for CreateOrders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("20260101000000_create_orders")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_run_beside_the_applications_own_and_once() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let backend = DieselBackend::new(&database.url()).unwrap();
    let missing = backend.prepare("socket_io_attachments", false).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::MissingTable);

    let mut harness = harness(&database).await;
    assert_eq!(harness.run_pending_migrations(CreateOrders).unwrap().len(), 1);
    assert_eq!(harness.run_pending_migrations(MIGRATIONS).unwrap().len(), 1);
    assert_eq!(harness.run_pending_migrations(MIGRATIONS).unwrap().len(), 0);
    backend.prepare("socket_io_attachments", false).await.unwrap();

    // The last one is the application's, although ours ran later.
    harness.revert_last_migration(CreateOrders).unwrap();
    backend.prepare("socket_io_attachments", false).await.unwrap();
    harness.revert_last_migration(MIGRATIONS).unwrap();
    assert!(backend.prepare("socket_io_attachments", false).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn they_create_a_table_of_any_name_and_accept_one_that_is_there() {
    let database = Server::shared().unwrap().create_database().unwrap();
    database.execute("CREATE SCHEMA chat").unwrap();
    let backend = DieselBackend::new(&database.url()).unwrap();
    let name = r#"chat."My Attachments""#;
    backend.prepare(name, true).await.unwrap();
    harness(&database).await.run_pending_migrations(Migrations::for_table(name).unwrap()).unwrap();

    database.execute("DROP TABLE chat.\"My Attachments\"; DROP TABLE __diesel_schema_migrations").unwrap();
    harness(&database).await.run_pending_migrations(Migrations::for_table(name).unwrap()).unwrap();
    backend.prepare(name, false).await.unwrap();
    assert!(Migrations::for_table("a.b.c").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catch_up_log_is_a_migration_of_its_own() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let backend = DieselBackend::new(&database.url()).unwrap();
    let mut harness = harness(&database).await;
    harness.run_pending_migrations(MIGRATIONS).unwrap();
    let log = CatchUp::last(Duration::from_secs(120)).table("\"My Log\"");
    assert!(backend.prepare_log(log.table_name(), false).await.is_err());
    let migrations = || MIGRATIONS.with_catch_up(&log).unwrap();
    assert_eq!(harness.run_pending_migrations(migrations()).unwrap().len(), 1);
    backend.prepare_log(log.table_name(), false).await.unwrap();
    harness.revert_last_migration(migrations()).unwrap();
    assert!(backend.prepare_log(log.table_name(), false).await.is_err());
    backend.prepare("socket_io_attachments", false).await.unwrap();
    assert!(MIGRATIONS.with_catch_up(&log.clone().table("a.b.c")).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_functions_that_emit_are_a_migration_of_their_own() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let mut harness = harness(&database).await;
    let migrations = || MIGRATIONS.with_sql_functions(SqlFunctions::new(&Options::default()).unwrap());
    harness.run_pending_migrations(migrations()).unwrap();
    database.execute("SELECT socketio.emit('e')").unwrap();
    harness.revert_last_migration(migrations()).unwrap();
    assert!(database.execute("SELECT socketio.emit('e')").is_err());
    assert_eq!(harness.run_pending_migrations(migrations()).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn later_functions_replace_earlier_ones_and_all_can_be_reverted() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let mut harness = harness(&database).await;
    let migrations = || MIGRATIONS.with_sql_functions(SqlFunctions::new(&Options::default()).unwrap());
    harness.run_pending_migrations(migrations()).unwrap();
    // As in a database that an earlier version of this crate migrated.
    let latest = format!("00000000000000socketiopg3{}", SqlFunctions::VERSION);
    let forget = format!(
        "DELETE FROM __diesel_schema_migrations WHERE replace(version, '-', '') = '{latest}' RETURNING version"
    );
    assert!(database.execute(&forget).unwrap().is_some());
    database.execute("DROP FUNCTION socketio.version()").unwrap();
    assert_eq!(harness.run_pending_migrations(migrations()).unwrap().len(), 1);
    let installed = database.execute("SELECT socketio.version()").unwrap();
    assert_eq!(installed, Some(SqlFunctions::VERSION.to_string()));
    harness.revert_all_migrations(migrations()).unwrap();
    assert_eq!(database.execute("SELECT to_regnamespace('socketio')").unwrap(), None);
    assert_eq!(database.execute("SELECT to_regclass('socket_io_attachments')").unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_is_a_migration_of_its_own() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let backend = DieselBackend::new(&database.url()).unwrap();
    let mut harness = harness(&database).await;
    let outbox = Outbox::default().table("chat_outbox");
    let options = Options::default().outbox(outbox.clone());
    let migrations = || {
        let functions = SqlFunctions::new(&options).unwrap();
        MIGRATIONS.with_outbox(&outbox).unwrap().with_sql_functions(functions)
    };
    harness.run_pending_migrations(migrations()).unwrap();
    backend.prepare_outbox("chat_outbox", false).await.unwrap();
    // The functions are installed behind the table, which they need.
    database.execute("SELECT socketio.emit('e')").unwrap();
    assert_eq!(database.execute("SELECT count(*) FROM chat_outbox").unwrap().as_deref(), Some("1"));
    harness.revert_all_migrations(migrations()).unwrap();
    assert!(backend.prepare_outbox("chat_outbox", false).await.is_err());
    assert!(MIGRATIONS.with_outbox(&Outbox::default().table("a.b.c")).is_err());
}
