//! The catch-up log with diesel's parameters. The statements are in `log_sql`, once for all
//! backends.

use std::time::Duration;

use diesel::{
    QueryResult, QueryableByName,
    pg::Pg,
    query_builder::{AstPass, QueryFragment},
    result::Error,
    sql_types::{Array, BigInt, Binary, Bool, Double, Nullable, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use socketio_pg_core::backend::{
    Incoming, LogQuery, LogRow, Outgoing, Position, log_sql, sql::Columns, table::TableName,
};

use crate::shared_sql::{Statement, identified_by_text};

identified_by_text!(NotifyLogged<'_>);

/// Publishes a batch and writes it into the log.
pub(crate) struct NotifyLogged<'a> {
    statement: String,
    seconds: f64,
    columns: Columns<'a>,
    are_logged: Vec<bool>,
}

impl<'a> NotifyLogged<'a> {
    pub(crate) fn new(attachments: &TableName, log: &TableName, seconds: f64, batch: &'a [Outgoing]) -> Self {
        Self {
            statement: log_sql::publish(attachments, log),
            seconds,
            are_logged: batch.iter().map(|outgoing| outgoing.is_logged).collect(),
            columns: Columns::new(batch),
        }
    }
}

impl QueryFragment<Pg> for NotifyLogged<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut statement = Statement::new(out, &self.statement);
        statement.bind::<Double, _>(&self.seconds)?;
        statement.bind::<Array<Binary>, _>(&self.columns.bodies)?;
        statement.bind::<Array<Text>, _>(&self.columns.channels)?;
        statement.bind::<Array<Text>, _>(&self.columns.payloads)?;
        statement.bind::<Array<Nullable<Text>>, _>(&self.columns.after_ids)?;
        statement.bind::<Array<Bool>, _>(&self.are_logged)?;
        statement.finish();
        Ok(())
    }
}

/// Marks a position in the log.
pub(crate) async fn mark(
    connection: &mut AsyncPgConnection,
    log: &TableName,
    channel: &str,
    payload: &str,
) -> Result<Position, Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        snapshot: String,
        #[diesel(sql_type = Double)]
        taken: f64,
        #[diesel(sql_type = Text)]
        history: String,
        #[diesel(sql_type = Text)]
        crashes: String,
        #[diesel(sql_type = BigInt)]
        id: i64,
    }

    let statement = diesel::sql_query(log_sql::mark(log)).bind::<Text, _>(channel).bind::<Text, _>(payload);
    let Row { snapshot, taken, history, crashes, id } = statement.get_result(connection).await?;
    Ok(Position { snapshot, taken: Duration::try_from_secs_f64(taken).unwrap_or_default(), history, crashes, id })
}

/// Reads a part of the log.
pub(crate) async fn read(
    connection: &mut AsyncPgConnection,
    log: &TableName,
    query: &LogQuery<'_>,
) -> Result<Vec<LogRow>, Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = Text)]
        channel: String,
        #[diesel(sql_type = Text)]
        payload: String,
        #[diesel(sql_type = Bool)]
        is_before_crash: bool,
    }

    let statement = diesel::sql_query(log_sql::read(log))
        .bind::<Text, _>(&query.since.snapshot)
        .bind::<Text, _>(&query.until.snapshot)
        .bind::<Text, _>(&query.until.crashes)
        .bind::<BigInt, _>(query.after)
        .bind::<Array<Text>, _>(query.channels)
        .bind::<BigInt, _>(query.limit);
    let rows: Vec<Row> = statement.load(connection).await?;
    let read = |Row { id, channel, payload, is_before_crash }| {
        let incoming = Incoming { channel, payload };
        LogRow { id, incoming, is_before_crash }
    };
    Ok(rows.into_iter().map(read).collect())
}
