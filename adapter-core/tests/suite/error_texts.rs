//! Snapshots of the text of every error that an application can get, so that a change is seen in
//! review.
//!
//! `cargo insta review` or `INSTA_UPDATE=always` accepts an intended change.

use std::{fmt::Write, io, sync::Arc, time::Duration};

use socketio_pg_core::{
    ConnectError, Error,
    backend::{BackendError, ErrorKind},
    protocol::{EncodeError, NodeId, Payload},
};

/// A driver's error that keeps its reason in its source, as drivers do.
fn database(kind: ErrorKind, reason: &'static str) -> BackendError {
    #[derive(Debug)]
    struct Driver(io::Error);

    impl std::fmt::Display for Driver {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("db error")
        }
    }

    impl std::error::Error for Driver {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    BackendError::new(kind, Driver(io::Error::other(reason)))
}

#[test]
fn connecting() {
    let problem = "it is 0: give at least 1".to_owned();
    let texts = texts(&[
        &ConnectError::Option { option: "publish_queue", problem },
        &ConnectError::Url(database(ErrorKind::Url, "the parameter `colour` is not understood")),
        &ConnectError::Login(database(ErrorKind::Login, "password authentication failed")),
        &ConnectError::Tls(database(ErrorKind::Tls, "UnknownIssuer").with_remedy("name the root certificate")),
        &ConnectError::Settings(database(ErrorKind::Configuration, "schema \"chat\" does not exist")),
        &ConnectError::Unreachable(database(ErrorKind::Connection, "connection refused")),
        &ConnectError::MissingTable { table: "socket_io_attachments".to_owned() },
        &ConnectError::MayNotCreateTable {
            table: "socket_io_attachments".to_owned(),
            role: "chat".to_owned(),
            statement: r#"GRANT CREATE ON SCHEMA public TO "chat""#.to_owned(),
            error: database(ErrorKind::Permission, "permission denied for schema public"),
        },
        &ConnectError::MissingRights {
            table: "socket_io_attachments".to_owned(),
            role: "chat".to_owned(),
            missing: "DELETE on the table".to_owned(),
            owner: "app".to_owned(),
            statement: r#"GRANT DELETE ON "socket_io_attachments" TO "chat";"#.to_owned(),
        },
        &ConnectError::UnsuitableTable {
            table: "socket_io_attachments".to_owned(),
            problem: r#"it has no column "payload""#.to_owned(),
            owner: "app".to_owned(),
            statement: r#"ALTER TABLE "socket_io_attachments" ADD COLUMN "payload" bytea;"#.to_owned(),
        },
        &ConnectError::TableLocked {
            table: r#"chat."Out'box""#.to_owned(),
            error: database(ErrorKind::Timeout, "canceling statement due to lock timeout"),
        },
        &ConnectError::MissingLog {
            table: "socket_io_log".to_owned(),
            error: database(ErrorKind::Permission, "permission denied for schema public"),
        },
        &ConnectError::MissingOutbox {
            table: "socket_io_outbox".to_owned(),
            error: database(ErrorKind::Permission, "permission denied for sequence socket_io_outbox_turn"),
        },
        &ConnectError::NotListening { waited: Duration::from_secs(5) },
        &ConnectError::Timeout(Duration::from_secs(10)),
        &ConnectError::InDatabase {
            database: 1,
            error: Box::new(ConnectError::Unreachable(database(ErrorKind::Connection, "connection refused"))),
        },
        &ConnectError::Database(database(ErrorKind::Other, "out of memory")),
    ]);
    insta::assert_snapshot!(texts);
}

#[test]
fn operating() {
    let not_text = Payload::from_json("1").unwrap().deserialize::<String>().unwrap_err();
    let texts = texts(&[
        &Error::Encode(Arc::new(EncodeError::TooDeep("the data has more than 128 levels".to_owned()))),
        &Error::Data(Arc::new(not_text)),
        &Error::ReservedEvent { event: "disconnect".to_owned() },
        &Error::Publish(Arc::new(database(ErrorKind::Connection, "connection closed"))),
        &Error::Timeout { missing: vec![NodeId::from("8f42b1c09d5e7a36")] },
        &Error::NotAcknowledged { missing: 2 },
        &Error::TooManyRequests { limit: 10_000 },
        &Error::TooManyResponses { limit: 100_000 },
        &Error::UnknownNamespace("/admin".to_owned()),
        &Error::NoDatabase { namespace: "/admin".to_owned(), database: 2, databases: 2 },
        &Error::AnotherServer,
        &Error::Closed,
    ]);
    insta::assert_snapshot!(texts);
}

fn texts(errors: &[&dyn std::error::Error]) -> String {
    errors.iter().fold(String::new(), |mut texts, error| {
        // A reporter prints the sources too: a source must not repeat the text.
        if let Some(source) = error.source() {
            assert!(!error.to_string().contains(&source.to_string()), "{error} is told twice");
        }
        writeln!(texts, "{error}").unwrap();
        texts
    })
}
