//! What the server refuses is recognised without its error codes, which diesel does not expose.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::time::Duration;

use socketio_pg_core::backend::{Backend, Content, ErrorKind, FetchLimits, Outgoing, Prepare};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_throwaway::{Database, Server};

/// A database with a role that may do nothing there yet.
struct Guest {
    database: Database,
    name: String,
}

impl Guest {
    fn create() -> Self {
        let database = Server::shared().unwrap().create_database().unwrap();
        let name = format!("{}_guest", database.name());
        database.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'right'; CREATE SCHEMA chat")).unwrap();
        Self { database, name }
    }

    fn backend(&self) -> DieselBackend {
        let url = self.database.url();
        let (_, address) = url.split_once('@').unwrap();
        DieselBackend::new(&format!("postgres://{}:right@{address}", self.name)).unwrap()
    }

    fn execute(&self, statements: &str) {
        self.database.execute(&statements.replace("guest", &self.name)).unwrap();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.execute("DROP OWNED BY guest; DROP ROLE guest");
        }
    }
}

fn attachment() -> [Outgoing; 1] {
    let content = Content::Attachment { body: vec![1], before_id: String::new(), after_id: String::new() };
    [Outgoing { channel: "c".to_owned(), content, is_logged: false }]
}

/// The kinds that publishing, fetching and sweeping fail with.
async fn kinds(backend: &DieselBackend) -> [Option<ErrorKind>; 3] {
    let table = "chat.attachments";
    [
        backend.publish(table, None, &attachment()).await.err().map(|error| error.kind()),
        backend.fetch(table, &[1], FetchLimits::NONE).await.err().map(|error| error.kind()),
        backend.sweep(table, Duration::ZERO).await.err().map(|error| error.kind()),
    ]
}

#[tokio::test]
async fn each_missing_right_is_one_of_permission() {
    let guest = Guest::create();
    let backend = guest.backend();
    let no = Some(ErrorKind::Permission);
    // Nor whether a table exists in a schema that may not be used.
    assert_eq!(kinds(&backend).await, [no; 3]);
    assert_eq!(backend.prepare("chat.attachments", true).await.unwrap_err().kind(), ErrorKind::Permission);

    guest.execute("GRANT USAGE ON SCHEMA chat TO guest");
    assert_eq!(kinds(&backend).await, [Some(ErrorKind::MissingTable); 3]);
    assert_eq!(backend.prepare("chat.attachments", true).await.unwrap_err().kind(), ErrorKind::Permission);

    guest.execute("CREATE TABLE chat.attachments (id bigserial, created_at timestamptz DEFAULT now(), payload bytea)");
    assert_eq!(kinds(&backend).await, [no; 3]);
    guest.execute("GRANT SELECT ON chat.attachments TO guest");
    assert_eq!(kinds(&backend).await, [no, None, no]);
    guest.execute("GRANT INSERT ON chat.attachments TO guest");
    assert_eq!(kinds(&backend).await, [no, None, no], "an id takes the sequence, too");
    guest.execute("GRANT USAGE ON chat.attachments_id_seq TO guest");
    assert_eq!(kinds(&backend).await, [None, None, no]);
    guest.execute("GRANT DELETE ON chat.attachments TO guest");
    assert_eq!(kinds(&backend).await, [None; 3]);
}

#[tokio::test]
async fn a_refusal_for_another_reason_is_none_of_permission() {
    let guest = Guest::create();
    guest.execute(
        "CREATE TABLE chat.attachments (id bigserial, created_at timestamptz DEFAULT now(), payload bytea);
         GRANT USAGE ON SCHEMA chat TO guest;
         GRANT SELECT, INSERT ON chat.attachments TO guest;
         GRANT USAGE ON chat.attachments_id_seq TO guest;
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RAISE insufficient_privilege USING MESSAGE = ''not today''; END';
         CREATE TRIGGER refuse BEFORE INSERT ON chat.attachments EXECUTE FUNCTION refuse()",
    );
    let error = guest.backend().publish("chat.attachments", None, &attachment()).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Other, "not today"));
}

#[tokio::test]
async fn what_keeps_a_connection_from_being_made_is_told() {
    let guest = Guest::create();
    guest.execute("ALTER ROLE guest CONNECTION LIMIT 0");
    let error = guest.backend().fetch("chat.attachments", &[1], FetchLimits::NONE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "it may be tried again: {error}");
    assert!(error.to_string().contains(&guest.name), "{error}");
}
