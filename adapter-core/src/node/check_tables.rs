//! Checks the tables of a node, and changes nothing.

use crate::{
    backend::{
        Backend, BackendError, in_time,
        prepare::{self, Prepare},
        table::TableSpec,
    },
    error::ConnectError,
    options::Options,
};

/// What is wrong with a table of a node, as [`Cluster::check_tables`](crate::Cluster::check_tables)
/// finds it.
#[derive(Debug)]
#[non_exhaustive]
pub struct TableCheck {
    /// The table: the attachments table, the catch-up log or the outbox.
    pub table: String,
    /// Why a node cannot use it; `None` when it can.
    pub problem: Option<ConnectError>,
    /// Statements that add what the table can work without, but works better with.
    pub improvements: Vec<String>,
}

/// Checks the tables that the options name.
pub(crate) async fn check_tables<B: Backend>(backend: &B, options: &Options) -> Vec<TableCheck> {
    let mut checks = Vec::new();
    let mut add =
        |table: &str, prepared: Result<(), BackendError>, improvements, error: fn(&str, BackendError) -> _| {
            let problem = prepared.err().map(|problem| error(table, problem));
            let improvements = if problem.is_some() { Vec::new() } else { improvements };
            checks.push(TableCheck { table: table.to_owned(), problem, improvements });
        };
    let table = options.table.as_str();
    // A session of a role without time-outs waits for a locked table for ever.
    let limit = options.query_timeout;
    let prepared = in_time(limit, backend.prepare(table, false)).await;
    let improvements = prepare::improvements(backend, table, &TableSpec::ATTACHMENTS).await;
    add(table, prepared, improvements, ConnectError::preparing);
    if let Some(log) = &options.catch_up {
        let table = log.table_name();
        let prepared = in_time(limit, backend.prepare_log(table, false)).await;
        let improvements = prepare::improvements(backend, table, &TableSpec::LOG).await;
        add(table, prepared, improvements, ConnectError::preparing_log);
    }
    if let Some(outbox) = &options.outbox {
        let table = outbox.table_name();
        let prepared = in_time(limit, backend.prepare_outbox(table, false)).await;
        add(table, prepared, Vec::new(), ConnectError::preparing_outbox);
    }
    checks
}
