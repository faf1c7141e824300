//! What an emitter publishes, as a statement for any driver.

use std::borrow::Cow;

use crate::backend::{
    CatchUp, Content, Outgoing, log_sql, outbox_sql, sql,
    table::{InvalidTableName, TableName},
};

/// A message of an emitter, and where it is to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    /// The message.
    pub outgoing: Outgoing,
    /// The attachments table.
    pub table: String,
    /// The log in which it is also written.
    pub log: Option<CatchUp>,
    /// The outbox into which it is written, and nothing else is done: a server publishes it later.
    pub outbox: Option<OutboxTarget>,
}

/// Where messages wait for a server to publish them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxTarget {
    /// The table.
    pub table: String,
    /// The channel on which the servers are woken.
    pub wake_channel: String,
}

/// A statement, and its parameters in order. It returns rows that mean nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The SQL. It stands once for all for the same tables, and so can be prepared.
    pub text: Cow<'static, str>,
    /// For `$1`, `$2` and so on.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a [`Statement`], by the type that PostgreSQL takes it for.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Parameter {
    Text(Option<String>),
    Bytea(Option<Vec<u8>>),
    Float8(f64),
}

impl Emission {
    /// The statement that publishes the message as part of what a connection is doing: inside of a
    /// transaction, it goes out if and when that commits.
    ///
    /// # Errors
    /// When the name of a table in the options is not a name: see [`InvalidTableName`].
    pub fn statement(self) -> Result<Statement, InvalidTableName> {
        use Parameter::{Bytea, Float8, Text};

        let Outgoing { channel, content, is_logged } = self.outgoing;
        let text = |text: String| Text(Some(text));
        if let Some(outbox) = self.outbox {
            let (payload, after_id, body) = match content {
                Content::Inline(payload) => (payload, None, None),
                Content::Attachment { body, before_id, after_id } => (before_id, Some(after_id), Some(body)),
            };
            return Ok(Statement {
                text: outbox_sql::write(&TableName::parse(&outbox.table)?).into(),
                parameters: vec![text(channel), text(payload), Text(after_id), Bytea(body), text(outbox.wake_channel)],
            });
        }
        let log = match &self.log {
            Some(log) if is_logged => {
                Some((TableName::parse(log.table_name())?, log.seconds().max(sql::EMITTED_AHEAD.as_secs_f64())))
            }
            _ => None,
        };
        Ok(match (content, log) {
            (Content::Inline(payload), None) => {
                Statement { text: sql::NOTIFY_ONE.into(), parameters: vec![text(channel), text(payload)] }
            }
            (Content::Inline(payload), Some((log, _))) => {
                Statement { text: log_sql::publish_one(&log).into(), parameters: vec![text(channel), text(payload)] }
            }
            (Content::Attachment { body, before_id, after_id }, None) => Statement {
                text: sql::notify_one_with_attachment(&TableName::parse(&self.table)?).into(),
                parameters: vec![Bytea(Some(body)), text(channel), text(before_id), text(after_id)],
            },
            (Content::Attachment { body, before_id, after_id }, Some((log, seconds))) => Statement {
                text: log_sql::publish_one_attachment(&TableName::parse(&self.table)?, &log).into(),
                parameters: vec![Float8(seconds), Bytea(Some(body)), text(channel), text(before_id), text(after_id)],
            },
        })
    }
}
