//! The tables, and the functions that emit from SQL, as diesel migrations, to run with the
//! application's own migrations.

use std::{borrow::Cow, fmt};

use diesel::{
    connection::BoxableConnection,
    migration::{Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion, Result},
    pg::Pg,
};
use socketio_pg_core::{
    CatchUp, Outbox, SqlFunctions,
    backend::table::{InvalidTableName, TableName},
};

/// The migrations for a cluster with default options.
///
/// Run them with the application's own, and tell the node that it need not create the table:
///
/// ```no_run
/// use diesel_async::{AsyncMigrationHarness, AsyncPgConnection};
/// use diesel_migrations::MigrationHarness;
/// use socketio_pg_diesel::{MIGRATIONS, Options};
///
/// # type Failure = Box<dyn std::error::Error + Send + Sync>;
/// # fn example(connection: AsyncPgConnection) -> Result<(), Failure> {
/// let mut harness = AsyncMigrationHarness::new(connection);
/// harness.run_pending_migrations(MIGRATIONS)?;
/// // harness.run_pending_migrations(the application's own)?;
/// let options = Options::default().create_table(false);
/// # Ok(())
/// # }
/// ```
pub const MIGRATIONS: Migrations =
    Migrations { table: Cow::Borrowed("socket_io_attachments"), log: None, outbox: None, functions: None };

/// Migrations that create the attachments table: a diesel `MigrationSource`, for any harness on
/// PostgreSQL.
///
/// See [`MIGRATIONS`] for an example. A table that already exists, such as one that a Node.js
/// server created, stays and keeps its rows; the migrations only make PostgreSQL store later rows
/// uncompressed.
#[derive(Clone, Debug)]
pub struct Migrations {
    table: Cow<'static, str>,
    log: Option<String>,
    outbox: Option<String>,
    functions: Option<SqlFunctions>,
}

impl Migrations {
    /// The migrations for another table than the default one, with the name that
    /// [`Options::table`](crate::Options::table) gets. A database may have them for one table only.
    ///
    /// # Errors
    /// When `table` is not a name or a schema and a name.
    pub fn for_table(table: impl Into<String>) -> std::result::Result<Self, InvalidTableName> {
        let table = table.into();
        TableName::parse(&table)?;
        Ok(Self { table: Cow::Owned(table), log: None, outbox: None, functions: None })
    }

    /// Also creates the table of the catch-up log, with the name that it has in
    /// [`Options::catch_up`](crate::Options::catch_up).
    ///
    /// # Errors
    /// When the table's name is not a name or a schema and a name.
    ///
    /// ```
    /// use socketio_pg_diesel::{CatchUp, MIGRATIONS};
    ///
    /// let log = CatchUp::last(std::time::Duration::from_secs(120));
    /// let migrations = MIGRATIONS.with_catch_up(&log)?;
    /// # Ok::<(), socketio_pg_diesel::InvalidTableName>(())
    /// ```
    pub fn with_catch_up(self, log: &CatchUp) -> std::result::Result<Self, InvalidTableName> {
        TableName::parse(log.table_name())?;
        Ok(Self { log: Some(log.table_name().to_owned()), ..self })
    }

    /// Also creates the table of the outbox, with the name that it has in
    /// [`Options::outbox`](crate::Options::outbox).
    ///
    /// # Errors
    /// When the table's name is not a name or a schema and a name.
    ///
    /// ```
    /// use socketio_pg_diesel::{MIGRATIONS, Outbox};
    ///
    /// let migrations = MIGRATIONS.with_outbox(&Outbox::default())?;
    /// # Ok::<(), socketio_pg_diesel::InvalidTableName>(())
    /// ```
    pub fn with_outbox(self, outbox: &Outbox) -> std::result::Result<Self, InvalidTableName> {
        TableName::parse(outbox.table_name())?;
        Ok(Self { outbox: Some(outbox.table_name().to_owned()), ..self })
    }

    /// Also installs the functions that emit from SQL. A later version of them is another
    /// migration; reverting one removes the functions.
    ///
    /// ```
    /// use socketio_pg_diesel::{MIGRATIONS, Options, SqlFunctions};
    ///
    /// let migrations = MIGRATIONS.with_sql_functions(SqlFunctions::new(&Options::default())?);
    /// # Ok::<(), socketio_pg_diesel::InvalidTableName>(())
    /// ```
    pub fn with_sql_functions(self, functions: SqlFunctions) -> Self {
        Self { functions: Some(functions), ..self }
    }
}

impl MigrationSource<Pg> for Migrations {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<Pg>>>> {
        let create = |name, table: &TableName, up| Statements { name, up, down: format!("DROP TABLE {table}") };
        let table = TableName::parse(&self.table)?;
        let mut migrations: Vec<Box<dyn Migration<Pg>>> =
            vec![Box::new(create(Name::Attachments, &table, table.create_statement()))];
        if let Some(log) = &self.log {
            let table = TableName::parse(log)?;
            migrations.push(Box::new(create(Name::Log, &table, table.create_log_statement())));
        }
        if let Some(outbox) = &self.outbox {
            let table = TableName::parse(outbox)?;
            migrations.push(Box::new(create(Name::Outbox, &table, table.create_outbox_statement())));
        }
        if let Some(functions) = &self.functions {
            // Diesel reverts only migrations that are there. The last one replaces what they installed.
            for version in 1..SqlFunctions::VERSION {
                let (up, down) = (NOTHING.to_owned(), NOTHING.to_owned());
                migrations.push(Box::new(Statements { name: Name::Functions(version), up, down }));
            }
            let (up, down) = (functions.install_sql(), functions.remove_sql());
            migrations.push(Box::new(Statements { name: Name::Functions(SqlFunctions::VERSION), up, down }));
        }
        Ok(migrations)
    }
}

/// A migration that has been replaced.
const NOTHING: &str = "SELECT";

struct Statements {
    name: Name,
    up: String,
    down: String,
}

impl Migration<Pg> for Statements {
    fn run(&self, connection: &mut dyn BoxableConnection<Pg>) -> Result<()> {
        Ok(connection.batch_execute(&self.up)?)
    }

    fn revert(&self, connection: &mut dyn BoxableConnection<Pg>) -> Result<()> {
        Ok(connection.batch_execute(&self.down)?)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        &InTransaction
    }

    fn name(&self) -> &dyn MigrationName {
        &self.name
    }
}

struct InTransaction;

impl MigrationMetadata for InTransaction {}

enum Name {
    Attachments,
    Log,
    Outbox,
    /// This version of them.
    Functions(u32),
}

impl MigrationName for Name {
    /// Different from every version of an application. It sorts before versions that begin with a
    /// date, so that "revert the last one" reverts a migration of the application.
    fn version(&self) -> MigrationVersion<'_> {
        match self {
            Self::Attachments => "00000000000000-socketio-pg-1".into(),
            Self::Log => "00000000000000-socketio-pg-2".into(),
            // Before the functions, which may need it.
            Self::Outbox => "00000000000000-socketio-pg-2-outbox".into(),
            Self::Functions(version) => format!("00000000000000-socketio-pg-3-{version}").into(),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Attachments => "attachments",
            Self::Log => "log",
            Self::Outbox => "outbox",
            Self::Functions(SqlFunctions::VERSION) => "functions",
            Self::Functions(_) => return write!(f, "{}_replaced", self.version()),
        };
        write!(f, "{}_create_{what}", self.version())
    }
}
