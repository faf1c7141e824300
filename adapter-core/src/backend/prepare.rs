//! Prepares the tables at the start: creates those that are missing, and checks their columns and
//! what the role may do.

use socketio_pg_protocol::channel::quote_identifier;

use crate::backend::{
    Backend, BackendError, ErrorKind,
    error::{List, PrepareError},
    inspect::{TableReport, UTF8},
    table::{TableName, TableSpec},
};

/// Prepares the tables of a node, on every backend.
pub trait Prepare: Backend {
    /// Creates the attachments table when it is missing, with the columns that Node.js gives it,
    /// under an advisory lock so that any number of nodes may start at once. With `create` false a
    /// missing table is [`ErrorKind::MissingTable`].
    ///
    /// A table that exists is checked: when the role lacks a right on it, that is
    /// [`ErrorKind::Permission`]; when its columns are not the necessary ones,
    /// [`ErrorKind::UnsuitableTable`]. The error says what to do.
    fn prepare(&self, table: &str, create: bool) -> impl Future<Output = Result<(), BackendError>> + Send {
        prepare(self, table, &TableSpec::ATTACHMENTS, create)
    }

    /// Creates the table of the catch-up log when it is missing, as [`prepare`](Self::prepare)
    /// does.
    fn prepare_log(&self, table: &str, create: bool) -> impl Future<Output = Result<(), BackendError>> + Send {
        prepare(self, table, &TableSpec::LOG, create)
    }

    /// Creates the outbox when it is missing, as [`prepare`](Self::prepare) does, and checks that
    /// the role may take the turn to publish it.
    fn prepare_outbox(&self, table: &str, create: bool) -> impl Future<Output = Result<(), BackendError>> + Send {
        async move {
            prepare(self, table, &TableSpec::OUTBOX, create).await?;
            let name = TableName::parse(table)?;
            let report = self.inspect_table(&name).await?;
            if !report.is_before("xid", "id") {
                let statement = format!("DROP TABLE {name};\n{}", name.create_outbox_statement());
                let problems = List(vec![r#"its column "xid" comes after "id""#.to_owned()]);
                let owner = report.owner.unwrap_or_default();
                return Err(PrepareError::Unsuitable { problems, owner, statement }.into());
            }
            let mut state = self.look_at_outbox(table, i64::MIN).await;
            if state.as_ref().is_err_and(|error| error.kind().is_about_content()) && create {
                // The sequence may be missing alone. If not, the error is the same as before.
                let _ = self.create(&name, &TableName::alone(&name.create_outbox_statement())).await;
                state = self.look_at_outbox(table, i64::MIN).await;
            }
            if state?.may_take_turn {
                return Ok(());
            }
            let table = name;
            let TableReport { role, owner, .. } = report;
            let sequence = table.turn_sequence();
            let missing = List(vec![format!("UPDATE on the sequence {sequence}")]);
            let statement = format!("GRANT SELECT, UPDATE ON SEQUENCE {sequence} TO {};", quote_identifier(&role));
            Err(PrepareError::Rights { role, missing, owner: owner.unwrap_or_default(), statement }.into())
        }
    }
}

impl<B: Backend + ?Sized> Prepare for B {}

/// Inspects a table, after creating it when it is missing and may be created.
async fn prepare<B: Backend + ?Sized>(
    backend: &B,
    table: &str,
    spec: &TableSpec,
    create: bool,
) -> Result<(), BackendError> {
    let table = TableName::parse(table)?;
    // A role that finds the table does not need the right to create one.
    let mut report = backend.inspect_table(&table).await?;
    if report.encoding != UTF8 {
        return Err(PrepareError::Encoding { encoding: report.encoding }.into());
    }
    if !report.is_there() {
        let statement = spec.create_statement(&table);
        if !create {
            return Err(PrepareError::Missing { statement }.into());
        }
        let created = backend.create(&table, &TableName::alone(&statement)).await;
        // A Node.js server that starts at the same time creates the table without our lock: then
        // ours fails, but the table exists.
        report = backend.inspect_table(&table).await?;
        if !report.is_there() {
            let gone = || BackendError::new(ErrorKind::MissingTable, "it was created, and is not there");
            let error = created.err().unwrap_or_else(gone);
            let role = report.role;
            let grant = format!(
                "GRANT CREATE ON SCHEMA {} TO {}",
                table.schema().unwrap_or_else(|| "public".to_owned()),
                quote_identifier(&role)
            );
            return Err(PrepareError::NotCreated { role, grant, error }.into());
        }
    }
    Ok(report.check(&table, spec)?)
}

/// The statements that [`improve`] would run. None when the table cannot be inspected.
pub(crate) async fn improvements<B: Backend + ?Sized>(backend: &B, table: &str, spec: &TableSpec) -> Vec<String> {
    let Ok(name) = TableName::parse(table) else { return Vec::new() };
    let report = backend.inspect_table(&name).await;
    report.map(|report| report.improvements(&name, spec)).unwrap_or_default()
}

/// Adds to a table what it can work without, but works better with, where the role may; logs where
/// the role may not.
///
/// Each statement waits for its lock, and runs, for a short time only: nodes that publish wait
/// behind it.
pub(crate) async fn improve<B: Backend + ?Sized>(backend: &B, table: &str, spec: &TableSpec, may_alter: bool) {
    let Ok(name) = TableName::parse(table) else { return };
    let report = match backend.inspect_table(&name).await {
        Ok(report) => report,
        Err(error) => return tracing::warn!(%error, table, "the table could not be looked at"),
    };
    for statement in report.improvements(&name, spec) {
        if !may_alter || report.is_owner != Some(true) {
            let owner = report.owner.as_deref().unwrap_or_default();
            tracing::warn!(table, owner, statement, "the table lacks something: run this as its owner");
        } else if let Err(error) = backend.create(&name, &TableName::hurried(&TableName::alone(&statement))).await {
            tracing::warn!(%error, table, statement, "the table lacks something: run this while little is published");
            if error.kind() == ErrorKind::Timeout {
                // The next one would take as long, and the node has to start.
                return;
            }
        } else {
            tracing::info!(table, statement, "the table was given what it lacked");
        }
    }
}
