//! What the specification says about PostgreSQL, checked on a PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{fs, path::Path, sync::mpsc};

use futures_util::{StreamExt as _, stream};
use proptest::prelude::*;
use socketio_pg_protocol::{budget::MAX_PAYLOAD, channel, strategies};
use socketio_pg_tests::{database, time_limit};
use socketio_pg_throwaway::Database;
use tokio::runtime::Runtime;
use tokio_postgres::{AsyncMessage, NoTls, Notification, error::SqlState};

/// A connection that listens and notifies.
struct Session {
    runtime: Runtime,
    client: tokio_postgres::Client,
    notifications: mpsc::Receiver<Notification>,
    // dropped last
    _database: Database,
}

impl Session {
    fn open() -> Option<Self> {
        let database = database()?;
        let runtime = Runtime::new().unwrap();
        let (client, mut connection) = runtime.block_on(tokio_postgres::connect(&database.url(), NoTls)).unwrap();
        let (sender, notifications) = mpsc::channel();
        runtime.spawn(async move {
            let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(message) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message.unwrap() {
                    _ = sender.send(notification);
                }
            }
        });
        Some(Self { runtime, client, notifications, _database: database })
    }

    fn execute(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn notify(&self, channel: &str, payload: &str) -> Result<(), tokio_postgres::Error> {
        self.runtime.block_on(self.client.execute("SELECT pg_notify($1, $2)", &[&channel, &payload])).map(drop)
    }

    fn listening_to(&self) -> Vec<String> {
        let rows = self.runtime.block_on(self.client.query("SELECT pg_listening_channels()", &[])).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn received(&self) -> Notification {
        self.notifications.recv_timeout(time_limit()).expect("a notification")
    }
}

#[test]
fn a_channel_has_the_name_that_postgresql_makes_of_it() {
    let Some(session) = Session::open() else { return };
    let prefix = prop_oneof![Just("socket.io".to_owned()), "[a-zA-Zé😀#\"'; ]{0,70}"];
    // what failed is printed; there is no source file of a library to keep it beside
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) };
    proptest!(config, |(prefix in prefix, namespace in strategies::namespace())| {
        let full = format!("{prefix}#{namespace}");
        let name = channel::name(&prefix, &namespace);

        session.execute(&format!("UNLISTEN *; LISTEN {}", channel::quote_identifier(&full)));
        prop_assert_eq!(session.listening_to(), vec![name.clone()], "PostgreSQL cuts as we do");
        session.execute(&format!("UNLISTEN *; LISTEN {}", channel::quote_identifier(&name)));
        prop_assert_eq!(session.listening_to(), vec![name.clone()]);

        session.notify(&name, &namespace).unwrap();
        let notification = session.received();
        prop_assert_eq!(notification.channel(), name.as_str());
        prop_assert_eq!(notification.payload(), namespace.as_str());
        if full != name {
            let refused = session.notify(&full, "").unwrap_err();
            prop_assert_eq!(refused.code(), Some(&SqlState::INVALID_PARAMETER_VALUE));
        }
    });
}

#[test]
fn the_longest_payload_that_is_taken_is_the_longest_there_is() {
    let Some(session) = Session::open() else { return };
    session.execute("LISTEN a");
    let longest = "é".repeat(MAX_PAYLOAD / 2) + "x";
    assert_eq!(longest.len(), MAX_PAYLOAD);
    session.notify("a", &longest).unwrap();
    assert_eq!(session.received().payload(), longest);
    assert!(session.notify("a", &(longest + "x")).is_err());
}

#[test]
fn equal_notifications_of_one_transaction_are_one_and_spaces_keep_them_apart() {
    let Some(session) = Session::open() else { return };
    session.execute(
        "LISTEN a; BEGIN; NOTIFY a, '{}'; NOTIFY a, '{}'; NOTIFY a, '{} '; NOTIFY a, '{}'; COMMIT; NOTIFY a, 'end'",
    );
    let received: Vec<_> = (0..3).map(|_| session.received().payload().to_owned()).collect();
    assert_eq!(received, ["{}", "{} ", "end"]);
}

#[test]
fn the_statements_in_the_specification_are_valid() {
    let Some(session) = Session::open() else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let specification = fs::read_to_string(path).unwrap();
    let blocks = specification.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let statements: Vec<_> = blocks.flat_map(|block| block.split_inclusive(";\n")).collect();
    assert_eq!(statements.len(), 6, "{statements:?}");
    let (create, others): (Vec<_>, Vec<_>) = statements.into_iter().partition(|sql| sql.starts_with("CREATE"));
    create.into_iter().for_each(|sql| session.execute(sql));
    for sql in others {
        session.runtime.block_on(session.client.prepare(sql)).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}
