//! Functions that write into the outbox.

use socketio_pg_core::protocol::{Body, Message, Notification};
use socketio_pg_tests::time_limit;
use socketio_pg_tokio_postgres::{Emitter, Options, Outbox, SqlFunctions, outbox_schema_sql};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::{Functions, event};

#[tokio::test]
async fn sql_and_rust_write_the_same_rows_into_the_outbox_and_notify_nothing_else() {
    let options = Options::default().outbox(Outbox::default());
    let Some(mut functions) = Functions::install_with(&options, &["socket.io#/", "socket.io?outbox"]).await else {
        return;
    };
    let emitter = Emitter::with_options(&options).to("r");
    let long = "é".repeat(4000);
    let statements = [
        "emit('e', '1', room => 'r')".to_owned(),
        format!("emit('e', to_jsonb('{long}'::text), room => 'r')"),
        r"emit('e', attachments => ARRAY['\x00']::bytea[], room => 'r')".to_owned(),
        "sockets_join(ARRAY['a'], room => 'r')".to_owned(),
        "sockets_leave(ARRAY['a'], room => 'r')".to_owned(),
        "disconnect_sockets(room => 'r')".to_owned(),
        "server_side_emit('e', '1')".to_owned(),
    ];
    for statement in &statements {
        functions.client.batch_execute(&format!("SELECT socketio.{statement}")).await.unwrap();
    }
    emitter.emit("e", &1, &functions.client).await.unwrap();
    emitter.emit("e", &long, &functions.client).await.unwrap();
    emitter.emit("e", &bytes::Bytes::from_static(&[0]), &functions.client).await.unwrap();
    emitter.sockets_join(["a"], &functions.client).await.unwrap();
    emitter.sockets_leave(["a"], &functions.client).await.unwrap();
    emitter.disconnect_sockets(false, &functions.client).await.unwrap();
    emitter.server_side_emit("e", &1, &functions.client).await.unwrap();

    let rows = "SELECT channel, payload, after_id, body FROM socket_io_outbox ORDER BY id";
    let rows = functions.client.query(rows, &[]).await.unwrap();
    assert_eq!(rows.len(), 2 * statements.len());
    let read = |row: &tokio_postgres::Row| {
        let (channel, payload): (String, String) = (row.get(0), row.get(1));
        let header: Option<String> = row.get::<_, Option<String>>(2).map(|after_id| format!("{payload}1{after_id}"));
        let mut message = match row.get::<_, Option<Vec<u8>>>(3) {
            Some(body) => Message::from_msgpack(&body).unwrap(),
            None => match Notification::decode(&payload).unwrap() {
                Notification::Inline(message) => message,
                Notification::Attachment(header) => panic!("{header:?}"),
            },
        };
        let nonce = message.nonce.take();
        (channel, header, message, nonce)
    };
    let (from_sql, from_rust) = rows.split_at(statements.len());
    let mut nonces = std::collections::BTreeSet::new();
    for (from_sql, from_rust) in from_sql.iter().zip(from_rust) {
        let (channel, header, message, nonce) = read(from_sql);
        let (other_channel, other_header, other, _) = read(from_rust);
        assert_eq!((&channel, &header), (&other_channel, &other_header), "{message:?}");
        let whole = |message: &Message| {
            format!("{:?} {:?} {:?} {:?}", message.uid, message.nsp, message.relay, message.body.kind())
        };
        assert_eq!(whole(&message), whole(&other));
        if let (Body::Broadcast(one), Body::Broadcast(another)) = (&message.body, &other.body) {
            assert_eq!((event(&message), &one.opts), (event(&other), &another.opts));
        }
        nonces.insert(nonce.unwrap());
    }
    assert_eq!(nonces.len(), statements.len());
    // All that was notified: no server has the turn.
    for _ in 0..rows.len() {
        let notified = timeout(time_limit(), functions.notified.recv()).await.unwrap().unwrap();
        assert_eq!(notified, ("socket.io?outbox".to_owned(), String::new()));
    }
    functions.nothing_was_notified().await;

    // Equal events of a transaction are rows of their own; what is rolled back leaves none.
    functions.client.batch_execute("TRUNCATE socket_io_outbox").await.unwrap();
    let thousand = "SELECT count(socketio.emit('e', '1')) FROM generate_series(1, 1000)";
    functions.client.batch_execute(&format!("BEGIN; {thousand}; COMMIT; BEGIN; {thousand}; ROLLBACK")).await.unwrap();
    let distinct = functions.database.execute("SELECT count(DISTINCT payload) FROM socket_io_outbox").unwrap();
    assert_eq!(distinct.as_deref(), Some("1000"));
    let (state, text) = {
        let missing = options.clone().outbox(Outbox::default().table("gone"));
        functions.error(&SqlFunctions::new(&missing).unwrap().install_sql()).await
    };
    assert!(state == SqlState::UNDEFINED_TABLE && text.contains("outbox_schema_sql"), "{state:?} {text}");
}

/// As the statement of the Rust emitter does.
#[tokio::test]
async fn a_function_that_writes_into_the_outbox_wakes_servers_only_while_none_has_the_turn() {
    let options = Options::default().outbox(Outbox::default());
    let Some(mut functions) = Functions::install_with(&options, &["socket.io#/", "socket.io?outbox"]).await else {
        return;
    };
    for call in ["emit('e', '1')", "emit('e')"] {
        for (milliseconds, wakes) in [(9000, false), (-1, true), (200, true), (5000, false), (3_600_000, true)] {
            let now = "(extract(epoch FROM clock_timestamp()) * 1000)::int8";
            let turn = format!("SELECT setval('socket_io_outbox_turn', {now} + {milliseconds})");
            functions.client.batch_execute(&format!("{turn}; SELECT socketio.{call}")).await.unwrap();
            if wakes {
                let notified = timeout(time_limit(), functions.notified.recv()).await.unwrap().unwrap();
                assert_eq!(notified, ("socket.io?outbox".to_owned(), String::new()), "{call}, {milliseconds} ms");
            }
            functions.nothing_was_notified().await;
        }
    }
    let rows = functions.database.execute("SELECT count(*) FROM socket_io_outbox").unwrap();
    assert_eq!(rows.as_deref(), Some("10"));
    // The table and its sequence are others now, with the same names.
    let again = outbox_schema_sql("socket_io_outbox").unwrap();
    let again = format!("DROP TABLE socket_io_outbox; {again}; SELECT socketio.emit('e', '1')");
    functions.client.batch_execute(&again).await.unwrap_or_else(|error| panic!("{error:?}"));
    let notified = timeout(time_limit(), functions.notified.recv()).await.unwrap().unwrap();
    assert_eq!(notified.0, "socket.io?outbox");
}
