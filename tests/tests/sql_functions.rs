//! The functions in PostgreSQL that emit: what they send is what the Rust emitter sends, and what
//! goes wrong is told. That servers hear them is in the conformance suite.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{path::Path, sync::Arc, time::Duration};

use futures_util::future::join_all;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, TestRunner},
};
use socketio_pg_core::protocol::{Body, Message, Notification, Payload, Value, strategies};
use socketio_pg_tests::{DEADLINE, database};
use socketio_pg_throwaway::Database;
use socketio_pg_tokio_postgres::{
    CatchUp, Emitter, Options, Outbox, SqlFunctions, log_schema_sql, outbox_schema_sql, schema_sql,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::{AsyncMessage, Client, NoTls, error::SqlState};

/// A database with the functions, and what is notified there.
struct Functions {
    database: Arc<Database>,
    client: Client,
    notified: mpsc::UnboundedReceiver<(String, String)>,
}

impl Functions {
    /// `None` where there is no PostgreSQL to test with.
    async fn install() -> Option<Self> {
        Self::install_with(&Options::default(), &["socket.io#/"]).await
    }

    async fn install_with(options: &Options, channels: &[&str]) -> Option<Self> {
        let database = Arc::new(database()?);
        let client = connect(&database.url()).await;
        client.batch_execute(&schema_sql("socket_io_attachments").unwrap()).await.unwrap();
        client.batch_execute(&log_schema_sql("socket_io_log").unwrap()).await.unwrap();
        client.batch_execute(&outbox_schema_sql("socket_io_outbox").unwrap()).await.unwrap();
        client.batch_execute(&SqlFunctions::new(options).unwrap().install_sql()).await.unwrap();

        let (listener, mut connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
        let (notify, notified) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut messages = std::pin::pin!(futures_util::stream::poll_fn(move |cx| connection.poll_message(cx)));
            while let Some(Ok(message)) = futures_util::StreamExt::next(&mut messages).await {
                if let AsyncMessage::Notification(it) = message {
                    let _ = notify.send((it.channel().to_owned(), it.payload().to_owned()));
                }
            }
        });
        for channel in channels {
            let channel = channel.replace('"', "\"\"");
            listener.batch_execute(&format!("LISTEN \"{channel}\"")).await.unwrap();
        }
        // It ends with the database.
        std::mem::forget(listener);
        Some(Self { database, client, notified })
    }

    /// The next message, from its attachment where it is one.
    async fn next(&mut self) -> Message {
        let (_, payload) = timeout(DEADLINE, self.notified.recv()).await.expect("something is notified").unwrap();
        match Notification::decode(&payload).unwrap_or_else(|error| panic!("{error}: {payload}")) {
            Notification::Inline(message) => message,
            Notification::Attachment(header) => {
                let statement = "SELECT payload FROM socket_io_attachments WHERE id = $1";
                let row = self.client.query_one(statement, &[&header.attachment_id]).await.unwrap();
                let message = Message::from_msgpack(row.get(0)).unwrap();
                assert_eq!(
                    (&header.uid, header.kind, &header.nsp),
                    (&message.uid, Some(message.body.kind()), &message.nsp)
                );
                message
            }
        }
    }

    /// What is emitted by a statement.
    async fn emitted(&mut self, statement: &str) -> Message {
        self.client.batch_execute(statement).await.unwrap_or_else(|error| panic!("{error:?}: {statement}"));
        self.next().await
    }

    /// The error of a statement, with its hint.
    async fn error(&self, statement: &str) -> (SqlState, String) {
        let error = self.client.batch_execute(statement).await.expect_err(statement);
        let error = error.as_db_error().unwrap();
        (error.code().clone(), format!("{}. {}", error.message(), error.hint().unwrap_or_default()))
    }

    /// Fails if anything was notified until now.
    async fn nothing_was_notified(&mut self) {
        self.client.batch_execute("SELECT pg_notify('socket.io#/', 'mark')").await.unwrap();
        let (_, payload) = timeout(DEADLINE, self.notified.recv()).await.unwrap().unwrap();
        assert_eq!(payload, "mark");
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The event's name and arguments, with the numbers of JavaScript.
fn event(message: &Message) -> String {
    let data = match &message.body {
        Body::Broadcast(data) => &data.packet.data,
        Body::ServerSideEmit(data) => &data.packet,
        other => panic!("{other:?}"),
    };
    match data {
        Payload::Json(text) => Value::from_json(text.get()).unwrap().to_json(),
        Payload::Value(value) => Value::from_json(&value.to_json()).unwrap().to_json(),
    }
}

fn rooms(message: &Message) -> Vec<&str> {
    let Body::Broadcast(data) = &message.body else { panic!("{message:?}") };
    data.opts.rooms.iter().filter_map(|room| room.as_str()).collect()
}

#[tokio::test]
async fn sql_and_rust_emit_the_same_message() {
    let Some(mut functions) = Functions::install().await else { return };
    let mut runner = TestRunner::new(Config::default());
    let documents = strategies::json();
    let emitter = Emitter::new().of("/").to("r").except("x").compress(true);
    let mut sizes = [0_usize; 2];
    for case in 0..200_usize {
        let mut document = documents.new_tree(&mut runner).unwrap().current().to_json();
        if case.is_multiple_of(2) {
            // Around the size from which it is an attachment.
            let padding = "x".repeat((7780_usize + case).saturating_sub(document.len()));
            document = format!("[{document},\"{padding}\"]");
        }
        // PostgreSQL's text has neither of them.
        if document.contains("\\u0000") || document.contains("\\ud") {
            continue;
        }
        // Its order of keys, and its numbers.
        let statement = "SELECT $1::text::jsonb::text";
        let Ok(row) = functions.client.query_one(statement, &[&document]).await else { continue };
        let text: String = row.get(0);
        let data: Box<serde_json::value::RawValue> = serde_json::from_str(&text).unwrap();
        let bytes = (case % 5 == 0).then(|| case.to_be_bytes().repeat(case));

        let statement = "SELECT socketio.emit('e', $1::text::jsonb, 'r', except_rooms => ARRAY['x'], compress => true)";
        functions.client.execute(statement, &[&text]).await.unwrap();
        let from_sql = functions.next().await;
        let last_attachment = "SELECT payload FROM socket_io_attachments ORDER BY id DESC LIMIT 1";
        let last_attachment = functions.client.query_opt(last_attachment, &[]).await.unwrap();
        emitter.emit("e", &data, &functions.client).await.unwrap();
        let from_rust = functions.next().await;
        assert_eq!(event(&from_sql), event(&from_rust), "{document}");
        let opts = |message: &Message| match &message.body {
            Body::Broadcast(data) => data.opts.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(opts(&from_sql), opts(&from_rust));
        assert_eq!((&from_sql.uid, &from_sql.nsp, &from_sql.relay), (&from_rust.uid, &from_rust.nsp, &from_rust.relay));
        assert!(from_sql.nonce.is_some());
        let Body::Broadcast(data) = &from_sql.body else { panic!("{from_sql:?}") };
        let is_attachment = matches!(data.packet.data, Payload::Value(_));
        sizes[usize::from(is_attachment)] += 1;
        if is_attachment {
            // What was decoded is written back byte for byte.
            assert_eq!(from_sql.into_msgpack().unwrap(), last_attachment.unwrap().get::<_, Vec<u8>>(0), "{document}");
        }

        let Some(bytes) = bytes else { continue };
        let statement = r#"SELECT socketio.server_side_emit('e', $1::text::jsonb,
            args => ARRAY['{"b":{"_placeholder":true,"num":0}}']::jsonb[], attachments => ARRAY[$2::bytea])"#;
        functions.client.execute(statement, &[&text, &bytes]).await.unwrap();
        let message = functions.next().await;
        let Body::ServerSideEmit(it) = &message.body else { panic!("{message:?}") };
        let Payload::Value(Value::Array(packet)) = &it.packet else { panic!("{it:?}") };
        let expected = Value::Map(vec![(Value::Str("b".into()), Value::Bin(bytes))]);
        assert_eq!(packet[2], expected, "{document}");
    }
    assert!(sizes[0] > 20 && sizes[1] > 20, "messages inline and in attachments: {sizes:?}");
}

#[tokio::test]
async fn numbers_and_texts_have_their_shortest_form_in_an_attachment() {
    let Some(mut functions) = Functions::install().await else { return };
    let numbers = "0 1 -1 127 128 255 256 65535 65536 4294967295 4294967296 9007199254740991 9007199254740992 -32 -33 -128 \
                   -129 -32768 -32769 -2147483648 -2147483649 -9007199254740991 1.5 0.1 1e21 1e400 -1e400 1e-400 5e-324 2e-324 \
                   3e-324 1.7976931348623157e308 1.7976931348623158e308 1.0 1e3 123456789012345680000";
    for number in numbers.split_whitespace() {
        let statement = format!(
            "SELECT socketio.emit('e', '{number}', args => ARRAY['{{\"_placeholder\":true,\"num\":0}}']::jsonb[], \
                     attachments => ARRAY['\\x00'::bytea])"
        );
        let message = functions.emitted(&statement).await;
        let Body::Broadcast(data) = &message.body else { panic!("{message:?}") };
        let Payload::Value(Value::Array(packet)) = &data.packet.data else { panic!("{data:?}") };
        let expected = Value::from_json(number).unwrap();
        assert_eq!(packet[1].to_json(), expected.to_json(), "{number}");
    }
    // The lengths at which the form of a text, a list, an object and of bytes changes.
    for length in [0, 15, 16, 31, 32, 255, 256, 65535, 65536] {
        let statement = "SELECT socketio.emit('e', jsonb_build_array(
                repeat('é', $1), (SELECT coalesce(jsonb_agg(i), '[]') FROM generate_series(1, $1) AS i),
                (SELECT coalesce(jsonb_object_agg(i, i), '{}') FROM generate_series(1, least($1, 300)) AS i)
            ), args => ARRAY['{\"_placeholder\":true,\"num\":0}']::jsonb[], attachments => ARRAY[convert_to(repeat('x', $1), 'UTF8')])";
        functions.client.execute(statement, &[&length]).await.unwrap();
        let message = functions.next().await;
        // What was decoded is written back byte for byte.
        let row = functions.client.query_one("SELECT payload FROM socket_io_attachments ORDER BY id DESC LIMIT 1", &[]);
        assert_eq!(message.into_msgpack().unwrap(), row.await.unwrap().get::<_, Vec<u8>>(0), "{length}");
    }
}

#[tokio::test]
async fn everything_that_an_emitter_does_has_its_function() {
    let Some(mut functions) = Functions::install().await else { return };
    let cases = [
        ("emit('e')", r#"{"packet":{"type":2,"data":["e"],"nsp":"/"},"opts":{"rooms":[],"flags":{},"except":[]}}"#),
        (
            "emit('e', 'null', room => 'a', rooms => ARRAY['b'], except_rooms => ARRAY['c'], volatile => true, compress => false)",
            r#"{"packet":{"type":2,"data":["e",null],"nsp":"/"},"opts":{"rooms":["a","b"],"flags":{"compress":false,"volatile":true},"except":["c"]}}"#,
        ),
        (
            "emit('\"\\', args => ARRAY['1','[2]']::jsonb[])",
            r#"{"packet":{"type":2,"data":["\"\\",1,[2]],"nsp":"/"},"opts":{"rooms":[],"flags":{},"except":[]}}"#,
        ),
        ("sockets_join(ARRAY['a','b'], room => 'c')", r#"{"opts":{"rooms":["c"],"except":[]},"rooms":["a","b"]}"#),
        (
            "sockets_leave(ARRAY['a'], except_rooms => ARRAY['c'])",
            r#"{"opts":{"rooms":[],"except":["c"]},"rooms":["a"]}"#,
        ),
        ("disconnect_sockets('a')", r#"{"opts":{"rooms":["a"],"except":[]},"close":false}"#),
        ("disconnect_sockets(close => true)", r#"{"opts":{"rooms":[],"except":[]},"close":true}"#),
        ("server_side_emit('e', '{\"a\":1}')", r#"{"packet":["e",{"a":1}]}"#),
    ];
    for (call, expected) in cases {
        let message = functions.emitted(&format!("SELECT socketio.{call}")).await;
        let json: serde_json::Value = serde_json::from_str(&message.to_json().unwrap()).unwrap();
        assert_eq!(json["data"], serde_json::from_str::<serde_json::Value>(expected).unwrap(), "{call}");
        assert_eq!(
            (&json["uid"], &json["nsp"], &json["source"]),
            (&"emitter".into(), &"/".into(), &"_sio_adapter".into())
        );
        // Large, it says the same.
        let large = format!("/{}", "é".repeat(4000));
        let with_namespace = if call.contains('=') || call.contains(", ") || call.starts_with("emit") {
            format!("SELECT socketio.{}, namespace => '{large}')", call.strip_suffix(')').unwrap())
        } else {
            continue;
        };
        let sent = functions.client.batch_execute(&with_namespace).await;
        sent.unwrap_or_else(|error| panic!("{error:?}: {call}"));
        let row =
            functions.client.query_one("SELECT payload FROM socket_io_attachments ORDER BY id DESC LIMIT 1", &[]).await;
        let large_message = Message::from_msgpack(row.unwrap().get(0)).unwrap();
        assert_eq!(large_message.nsp.as_deref(), Some(large.as_str()));
        let large_json: serde_json::Value = serde_json::from_str(&large_message.to_json().unwrap()).unwrap();
        let expected = expected.replace(r#""nsp":"/""#, &format!(r#""nsp":"{large}""#));
        assert_eq!(large_json["data"], serde_json::from_str::<serde_json::Value>(&expected).unwrap(), "{call}");
    }
    // Equal events of one transaction arrive both.
    functions
        .client
        .batch_execute("BEGIN; SELECT socketio.emit('e'); SELECT socketio.emit('e'); COMMIT")
        .await
        .unwrap();
    functions.next().await;
    functions.next().await;
    // Also where the application repeats the random numbers.
    let repeated = "SELECT setseed(0.5); SELECT socketio.emit('e', '1');";
    functions.client.batch_execute(&format!("BEGIN; {repeated} {repeated} COMMIT")).await.unwrap();
    functions.next().await;
    functions.next().await;
    functions.client.batch_execute("BEGIN; SELECT socketio.emit('e'); ROLLBACK").await.unwrap();
    functions.nothing_was_notified().await;
}

#[tokio::test]
async fn a_trigger_emits_what_has_changed_to_the_rooms_of_the_row() {
    let Some(mut functions) = Functions::install().await else { return };
    functions
        .client
        .batch_execute(
            "CREATE TABLE orders (id int PRIMARY KEY, owner text, state text);
             CREATE TRIGGER emit_orders AFTER INSERT OR UPDATE OR DELETE ON orders
             FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('order', 'owner:{owner}:{id}')",
        )
        .await
        .unwrap();
    let message = functions.emitted("INSERT INTO orders VALUES (1, '{id}', 'new')").await;
    assert_eq!(rooms(&message), ["owner:{id}:1"]);
    let expected = r#"["order",{"new":{"id":1,"owner":"{id}","state":"new"},"old":null,"table":"orders","schema":"public","changed":null,"operation":"INSERT"}]"#;
    assert_eq!(event(&message), expected);
    let message = functions.emitted("UPDATE orders SET state = 'paid', owner = 'b'").await;
    assert_eq!(rooms(&message), ["owner:b:1", "owner:{id}:1"]);
    assert!(event(&message).contains(r#""changed":["owner","state"]"#), "{}", event(&message));
    let message = functions.emitted("UPDATE orders SET state = state").await;
    assert_eq!(rooms(&message), ["owner:b:1"]);
    assert!(event(&message).contains(r#""changed":[]"#), "{}", event(&message));
    // Without a value there is no room. The room that the row had hears that it has left.
    let message = functions.emitted("UPDATE orders SET owner = NULL").await;
    assert_eq!(rooms(&message), ["owner:b:1"]);
    functions.client.batch_execute("UPDATE orders SET state = 'x'").await.unwrap();
    functions.nothing_was_notified().await;
    let message = functions.emitted("DELETE FROM orders; INSERT INTO orders VALUES (2, 'c', 'new')").await;
    assert_eq!(rooms(&message), ["owner:c:2"]);

    functions
        .client
        .batch_execute(
            "ALTER TABLE orders RENAME COLUMN owner TO customer;
         CREATE FUNCTION try(statement text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE statement; END'",
        )
        .await
        .unwrap();
    let (state, text) = functions.error("DELETE FROM orders").await;
    assert_eq!(state, SqlState::UNDEFINED_COLUMN);
    assert!(
        text.contains(
            r#"the room of the trigger "emit_orders" names the column "owner", which public.orders does not have"#
        ),
        "{text}"
    );
    functions.client.batch_execute("DROP TRIGGER emit_orders ON orders").await.unwrap();
    // A namespace without a room, and values that do not depend on the session.
    functions
        .client
        .batch_execute(
            "CREATE TABLE values_of_all_kinds (f float8, b bytea, i interval, t timestamptz);
             CREATE TRIGGER emit AFTER INSERT ON values_of_all_kinds
             FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('v', '', '/');
             SET extra_float_digits = 0; SET bytea_output = 'escape'; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'Asia/Tokyo'",
        )
        .await
        .unwrap();
    let insert =
        "INSERT INTO values_of_all_kinds VALUES (0.1::float8 + 0.2::float8, 'a', '1 day', '2020-01-01T00:00:00Z')";
    let message = functions.emitted(insert).await;
    assert!(rooms(&message).is_empty());
    let expected = r#"{"b":"\\x61","f":0.30000000000000004,"i":"1 day","t":"2020-01-01T00:00:00+00:00"}"#;
    assert!(event(&message).contains(expected), "{}", event(&message));
    for (trigger, problem) in [
        ("AFTER DELETE ON orders FOR EACH STATEMENT EXECUTE FUNCTION socketio.emit_change('e')", "cannot emit changes"),
        ("BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('e')", "cannot emit changes"),
        ("AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION socketio.emit_change()", "cannot emit changes"),
        ("AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('disconnect')", "reserved"),
        (
            "AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('e', 'r:{{id}}')",
            "cannot be read",
        ),
        ("AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('e', 'r:{id')", "cannot be read"),
    ] {
        functions.client.batch_execute(&format!("CREATE TRIGGER wrong {trigger}")).await.unwrap();
        let (_, text) = functions.error("DELETE FROM orders").await;
        assert!(text.contains(problem), "{text}");
        functions.client.batch_execute("DROP TRIGGER wrong ON orders").await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_emitted_says_what_to_do() {
    let Some(mut functions) = Functions::install().await else { return };
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for (call, text) in [
        (
            "emit('connect_error', '1')".to_owned(),
            r#"the event name "connect_error" is reserved by Socket.IO. Give the event another name."#,
        ),
        ("server_side_emit('connection')".to_owned(), "is reserved by Socket.IO"),
        ("emit(NULL)".to_owned(), "an event needs a name"),
        ("emit(NULL, '1')".to_owned(), "an event needs a name"),
        (
            "emit('e', namespace => 'admin')".to_owned(),
            "the namespace 'admin' does not begin with a slash. Write it as servers do: /, /admin.",
        ),
        ("emit('e', '1', namespace => NULL)".to_owned(), "the namespace null does not begin with a slash"),
        (
            "emit('e', rooms => ARRAY['a', NULL])".to_owned(),
            "a room is null. Leave the parameter out to select all sockets.",
        ),
        ("emit('e', '1', room => 'order:' || NULL)".to_owned(), "a room is null"),
        ("emit('e', '1', rooms => NULL)".to_owned(), "a room is null"),
        ("emit('e', '1', except_rooms => NULL)".to_owned(), "a room is null"),
        ("disconnect_sockets(NULL)".to_owned(), "a room is null"),
        ("sockets_join(NULL)".to_owned(), "a room is null"),
        (
            r#"emit('e', '{"name":"x"}', attachments => ARRAY['\x00']::bytea[])"#.to_owned(),
            "has no placeholder in its arguments",
        ),
        ("sockets_join(ARRAY[NULL])".to_owned(), "a room is null"),
        (
            "emit('e', attachments => ARRAY[NULL]::bytea[])".to_owned(),
            "has no attachment. Attachments are counted from 0.",
        ),
        (
            r#"emit('e', '{"_placeholder":true,"num":1}', attachments => ARRAY['\x00']::bytea[])"#.to_owned(),
            "has no attachment",
        ),
        (
            r#"emit('e', '{"_placeholder":true}', attachments => ARRAY['\x00']::bytea[])"#.to_owned(),
            "has no placeholder",
        ),
        (
            r#"emit('e', '{"_placeholder":true,"num":1e30}', attachments => ARRAY['\x00']::bytea[])"#.to_owned(),
            "has no attachment",
        ),
        (format!("emit('e', '{}')", deep(120)), "are nested too deep. Not all servers read more than 120 levels"),
    ] {
        let (_, error) = functions.error(&format!("SELECT socketio.{call}")).await;
        assert!(error.contains(text), "{call}: {error}");
    }
    functions.nothing_was_notified().await;
    // What is allowed arrives, inline and as an attachment.
    let deepest = deep(119);
    let message = functions.emitted(&format!("SELECT socketio.emit('e', '{deepest}')")).await;
    assert_eq!(event(&message), format!(r#"["e",{deepest}]"#));
    let bytes = r#"args => ARRAY['{"_placeholder":true,"num":0}']::jsonb[], attachments => ARRAY['\x00']::bytea[]"#;
    let message = functions.emitted(&format!("SELECT socketio.emit('e', '{deepest}', {bytes})")).await;
    assert!(event(&message).starts_with(&format!(r#"["e",{deepest},"#)));
    let deep_objects = |levels: usize| format!("{}[]{}", r#"{"a":"#.repeat(levels - 1), "}".repeat(levels - 1));
    let message = functions.emitted(&format!("SELECT socketio.emit('e', '{}')", deep_objects(119))).await;
    assert_eq!(event(&message), format!(r#"["e",{}]"#, deep_objects(119)));
    for levels in [120, 1000] {
        // As a table stores it: compressed, it looks small.
        let store = format!("CREATE TABLE deep_{levels} AS SELECT '{}'::jsonb AS document", deep_objects(levels));
        functions.client.batch_execute(&store).await.unwrap();
        let (_, error) = functions.error(&format!("SELECT socketio.emit('e', document) FROM deep_{levels}")).await;
        assert!(error.contains("are nested too deep"), "{error}");
    }
    // Attachments are counted from 0, whatever the array's bounds are.
    let message =
        functions.emitted(r#"SELECT socketio.emit('e', attachments => '[5:6]={"\\x01","\\x02"}'::bytea[])"#).await;
    let Body::Broadcast(data) = &message.body else { panic!("{message:?}") };
    let Payload::Value(Value::Array(packet)) = &data.packet.data else { panic!("{data:?}") };
    assert_eq!(packet[1..], [Value::Bin(vec![1]), Value::Bin(vec![2])]);
    // The bytes are the same whatever the session's setting is.
    functions.client.batch_execute("SET standard_conforming_strings = off").await.unwrap();
    functions.emitted("SELECT socketio.emit('e', attachments => ARRAY[decode('00', 'hex')])").await;
    // A list of rooms that a query left empty selects no socket, not all.
    for call in [
        "emit('e', '1', rooms => '{}')",
        "emit('e', rooms => ARRAY(SELECT 'user:' || id FROM generate_series(1, 0) AS id))",
        "disconnect_sockets(rooms => '{}')",
        "sockets_join(ARRAY['a'], rooms => '{}')",
        "sockets_leave(ARRAY['a'], rooms => '{}')",
    ] {
        functions.client.batch_execute(&format!("SELECT socketio.{call}")).await.unwrap();
    }
    functions.nothing_was_notified().await;
    let message = functions.emitted("SELECT socketio.emit('e', '1', room => 'a', rooms => '{}')").await;
    assert_eq!(rooms(&message), ["a"]);
    // A placeholder without attachments is data like any other.
    let message = functions.emitted(r#"SELECT socketio.emit('e', '{"_placeholder":true,"num":0}')"#).await;
    assert!(event(&message).contains("_placeholder"));
}

#[tokio::test]
async fn functions_are_installed_at_once_and_over_each_other_and_keep_their_grants() {
    let Some(mut functions) = Functions::install().await else { return };
    let url = functions.database.url();
    let install = SqlFunctions::new(&Options::default()).unwrap();
    let at_once = join_all((0..10).map(|_| async {
        let client = connect(&url).await;
        client.batch_execute(&install.install_sql()).await
    }));
    for installed in timeout(DEADLINE, at_once).await.unwrap() {
        installed.unwrap();
    }
    let role = format!("caller_{}", functions.database.name());
    let setup = format!(
        "CREATE ROLE \"{role}\" LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA socketio TO \"{role}\";
         GRANT EXECUTE ON FUNCTION socketio.emit TO \"{role}\"; {}",
        install.install_sql()
    );
    functions.client.batch_execute(&setup).await.unwrap();
    let as_role = format!("SET ROLE \"{role}\"");
    functions.client.batch_execute(&as_role).await.unwrap();
    // It has no right on the tables, and needs none.
    functions.client.batch_execute("SELECT socketio.emit('e', attachments => ARRAY['\\x00']::bytea[])").await.unwrap();
    for (call, denied) in [
        ("disconnect_sockets()", "disconnect_sockets"),
        ("internal_notify('c', 'p')", "internal_notify"),
        ("internal_notify_attachment('c', 'p', '\\x00', 'p')", "internal_notify_attachment"),
    ] {
        let (state, text) = functions.error(&format!("SELECT socketio.{call}")).await;
        assert!(state == SqlState::INSUFFICIENT_PRIVILEGE && text.contains(denied), "{state:?} {text}");
    }
    functions
        .client
        .batch_execute(&format!("RESET ROLE; DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""))
        .await
        .unwrap();
    // Also those of every role.
    let grant = format!("GRANT EXECUTE ON FUNCTION socketio.emit TO PUBLIC; {}", install.install_sql());
    functions.client.batch_execute(&grant).await.unwrap();
    let granted = "SELECT array_to_string(proacl, ' ') FROM pg_proc WHERE proname = 'emit'";
    let granted = functions.database.execute(granted).unwrap().unwrap();
    assert!(granted.starts_with("=X/") || granted.contains(" =X/"), "{granted}");
    let version = functions.client.query_one("SELECT socketio.version()", &[]).await.unwrap();
    assert_eq!(version.get::<_, i32>(0), i32::try_from(SqlFunctions::VERSION).unwrap());
    functions.next().await;
}

/// A function of an older version may have other parameters, and so is another function.
#[tokio::test]
async fn what_was_granted_on_a_function_with_other_parameters_is_granted_on_the_one_that_replaces_it() {
    let Some(functions) = Functions::install().await else { return };
    let role = format!("Caller {}", functions.database.name());
    let install = SqlFunctions::new(&Options::default()).unwrap().install_sql();
    let older = format!(
        "CREATE ROLE \"{role}\"; DROP FUNCTION socketio.emit; DROP FUNCTION socketio.sockets_join;
         CREATE FUNCTION socketio.emit(text) RETURNS void LANGUAGE sql AS 'SELECT';
         CREATE FUNCTION socketio.sockets_join(text) RETURNS void LANGUAGE sql AS 'SELECT';
         COMMENT ON FUNCTION socketio.emit(text) IS 'socketio-pg 0';
         COMMENT ON FUNCTION socketio.sockets_join(text) IS 'socketio-pg 0';
         REVOKE ALL ON ALL FUNCTIONS IN SCHEMA socketio FROM PUBLIC;
         GRANT EXECUTE ON FUNCTION socketio.emit TO \"{role}\" WITH GRANT OPTION;
         GRANT EXECUTE ON FUNCTION socketio.sockets_join TO PUBLIC; {install} {install}"
    );
    functions.client.batch_execute(&older).await.unwrap_or_else(|error| panic!("{error:?}"));
    let granted = |name: &str| {
        let granted = "SELECT string_agg(array_to_string(proacl, ' '), ', ') FROM pg_proc WHERE proname = ";
        functions.database.execute(&format!("{granted}'{name}'")).unwrap().unwrap()
    };
    let on_emit = granted("emit");
    assert!(on_emit.contains(&format!("\"{role}\"=X*/")) && !on_emit.contains(", "), "{on_emit}");
    let on_join = granted("sockets_join");
    assert!(on_join.split(' ').any(|right| right.starts_with("=X/")) && !on_join.contains(", "), "{on_join}");
    assert!(!granted("sockets_leave").split(' ').any(|right| right.starts_with("=X/")));
    functions.client.batch_execute(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"")).await.unwrap();
}

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
        let notified = timeout(DEADLINE, functions.notified.recv()).await.unwrap().unwrap();
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
                let notified = timeout(DEADLINE, functions.notified.recv()).await.unwrap().unwrap();
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
    let notified = timeout(DEADLINE, functions.notified.recv()).await.unwrap().unwrap();
    assert_eq!(notified.0, "socket.io?outbox");
}

#[tokio::test]
async fn functions_are_not_installed_where_others_could_plant_some() {
    let Some(functions) = Functions::install().await else { return };
    let role = format!("planter_{}", functions.database.name());
    let setup = format!("CREATE ROLE \"{role}\"; CREATE SCHEMA open; GRANT CREATE ON SCHEMA open TO \"{role}\";
        CREATE SCHEMA foreign_one AUTHORIZATION \"{role}\"; CREATE SCHEMA public_one; GRANT CREATE ON SCHEMA public_one TO PUBLIC");
    functions.client.batch_execute(&setup).await.unwrap();
    for schema in ["open", "foreign_one", "public_one"] {
        let install = SqlFunctions::new(&Options::default()).unwrap().schema(schema).install_sql();
        let (state, text) = functions.error(&install).await;
        assert_eq!(state, SqlState::INSUFFICIENT_PRIVILEGE);
        assert!(text.contains(schema) && text.contains("in which no other role may create"), "{text}");
    }
    functions.client.batch_execute(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"")).await.unwrap();
    // What else is in the schema is left alone.
    let own = "CREATE SCHEMA mine; CREATE FUNCTION mine.internal_audit() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE PROCEDURE mine.internal_job() LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION mine.version(text) RETURNS text LANGUAGE sql AS 'SELECT $1'";
    functions.client.batch_execute(own).await.unwrap();
    let mine = SqlFunctions::new(&Options::default()).unwrap().schema("mine");
    let install_and_remove = format!("{} {}", mine.install_sql(), mine.remove_sql());
    functions.client.batch_execute(&install_and_remove).await.unwrap();
    let left = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'mine'::regnamespace AND proacl IS NULL";
    assert_eq!(functions.database.execute(left).unwrap().as_deref(), Some("3"));
}

#[tokio::test]
async fn the_channel_of_a_long_prefix_is_cut() {
    let options = Options::default().channel_prefix("my-company-production-eu");
    let namespace = format!("/{}é", "n".repeat(37));
    let channel = format!("my-company-production-eu#/{}", "n".repeat(37));
    assert_eq!(channel.len(), 63);
    let Some(mut functions) = Functions::install_with(&options, &[&channel]).await else { return };
    for call in
        [format!("emit('x', '1', namespace => '{namespace}')"), format!("emit('x', namespace => '{namespace}')")]
    {
        let message = functions.emitted(&format!("SELECT socketio.{call}")).await;
        assert_eq!(message.nsp.as_deref(), Some(namespace.as_str()), "{call}");
    }
}

/// Functions and operators with the names and parameters of PostgreSQL's own.
const PLANTED_AS_OWN: &str = "
    CREATE FUNCTION planted.refuse(result text) RETURNS text LANGUAGE sql
        AS $$ SELECT format('RETURNS %s LANGUAGE plpgsql AS ''BEGIN RAISE EXCEPTION ''''planted code runs''''; END''', result) $$;
    DO $$ DECLARE one record; BEGIN
        FOR one IN
            SELECT proname, pg_get_function_identity_arguments(oid) AS parameters, prorettype::regtype::text AS result
            FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND provariadic = 0 AND proname IN (
                'abs', 'clock_timestamp', 'date_part', 'hashfloat8extended', 'jsonb_path_exists',
                'pg_sequence_last_value', 'random'
            )
        LOOP
            EXECUTE format('CREATE FUNCTION planted.%I(%s) %s', one.proname, one.parameters, planted.refuse(one.result));
        END LOOP;
        FOR one IN
            SELECT oprname, oprleft::regtype AS l, oprright::regtype AS r, oprresult::regtype::text AS result, oid
            FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace
                AND oprname IN ('=', '<>', '<', '<=', '-', '*', '~~')
                AND oprleft::regtype::text IN ('text', 'integer', 'bigint', 'double precision', 'anyarray')
                AND oprright::regtype::text IN ('text', 'integer', 'bigint', 'double precision', 'anyarray')
        LOOP
            EXECUTE format('CREATE FUNCTION planted.operator_%s(%s, %s) %s', one.oid, one.l, one.r, planted.refuse(one.result));
            EXECUTE format('CREATE OPERATOR planted.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = planted.operator_%s)',
                one.oprname, one.l, one.r, one.oid);
        END LOOP;
    END $$";

#[tokio::test]
async fn what_is_planted_in_the_search_path_is_not_run() {
    let Some(mut functions) = Functions::install().await else { return };
    let planted = "
        CREATE SCHEMA planted;
        CREATE FUNCTION planted.run(a anyelement, b anyelement) RETURNS text LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE FUNCTION planted.pg_notify(text, text) RETURNS void LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE FUNCTION planted.to_json(text) RETURNS json LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE FUNCTION planted.concat(text, text, text) RETURNS text LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE FUNCTION planted.octet_length(text) RETURNS int LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE OPERATOR planted.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = planted.concat2);
        ";
    let planted = planted.replace(
        "CREATE OPERATOR",
        "CREATE FUNCTION planted.concat2(text, text) RETURNS text LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE OPERATOR",
    );
    functions.client.batch_execute(&planted).await.unwrap();
    functions.client.batch_execute(PLANTED_AS_OWN).await.unwrap_or_else(|error| panic!("{error:?}"));
    functions.client.batch_execute("SET search_path = planted, pg_catalog, public").await.unwrap();
    // The plants work.
    for planted in ["'a'::text || 'b'::text", "'{}'::text[] = '{}'::text[]", "random()", "1::int8 - 1::int8"] {
        let (_, text) = functions.error(&format!("SELECT {planted}")).await;
        assert!(text.contains("planted code runs"), "{planted}: {text}");
    }
    let install = SqlFunctions::new(&Options::default()).unwrap().install_sql();
    let install = functions.client.batch_execute(&install).await;
    install.unwrap_or_else(|error| panic!("{error:?}"));
    let outbox = SqlFunctions::new(&Options::default().outbox(Outbox::default())).unwrap().schema("socketio_outbox");
    let install = functions.client.batch_execute(&outbox.install_sql()).await;
    install.unwrap_or_else(|error| panic!("{error:?}"));
    let calls = [
        "emit('e', '1', room => 'r')",
        r#"emit('e', args => ARRAY['1','{"_placeholder":true,"num":0}']::jsonb[], rooms => ARRAY['a'], attachments => ARRAY['\x00']::bytea[])"#,
        "sockets_join(ARRAY['a'])",
        "sockets_leave(ARRAY['a'])",
        "disconnect_sockets()",
        "server_side_emit('e', '[1]')",
    ];
    for schema in ["socketio", "socketio_outbox"] {
        for call in calls {
            let called = functions.client.batch_execute(&format!("SELECT {schema}.{call}")).await;
            called.unwrap_or_else(|error| panic!("{schema}.{call}: {error:?}"));
        }
    }
    let rows = functions.database.execute("SELECT count(*) FROM socket_io_outbox").unwrap();
    assert_eq!(rows, Some(calls.len().to_string()));
    functions.client.batch_execute("RESET search_path").await.unwrap();
    for _ in 0..6 {
        functions.next().await;
    }
}

/// By default a row is dated by the beginning of its transaction, and may be old when it appears.
#[tokio::test]
async fn an_attachment_is_not_swept_as_soon_as_a_long_transaction_commits() {
    let Some(mut functions) = Functions::install().await else { return };
    functions.client.batch_execute("BEGIN; SELECT pg_sleep(0.2)").await.unwrap();
    functions.client.batch_execute("SELECT socketio.emit('e', attachments => ARRAY['\\x00']::bytea[])").await.unwrap();
    Emitter::new().emit("e", &"x".repeat(9000), &functions.client).await.unwrap();
    functions.client.batch_execute("COMMIT").await.unwrap();
    functions.next().await;
    functions.next().await;
    let ahead = "SELECT string_agg((created_at > clock_timestamp() + interval '30 seconds')::text, ' ') FROM socket_io_attachments";
    assert_eq!(functions.database.execute(ahead).unwrap().as_deref(), Some("true true"));
}

#[tokio::test]
async fn with_a_catch_up_log_each_message_has_its_row() {
    let options = Options::default().catch_up(CatchUp::last(Duration::from_secs(3600)));
    let Some(mut functions) = Functions::install_with(&options, &["socket.io#/"]).await else { return };
    functions.emitted("SELECT socketio.emit('e', '1')").await;
    functions.emitted("SELECT socketio.emit('e', attachments => ARRAY['\\x00']::bytea[])").await;
    functions.emitted("SELECT socketio.disconnect_sockets('empty')").await;
    let count = "SELECT count(*) FROM socket_io_log WHERE channel = 'socket.io#/' AND payload LIKE '{%'";
    assert_eq!(functions.database.execute(count).unwrap().as_deref(), Some("3"));
    let ahead = "SELECT created_at > now() + interval '59 minutes' FROM socket_io_attachments";
    assert_eq!(functions.database.execute(ahead).unwrap().as_deref(), Some("t"));
}

#[tokio::test]
async fn every_name_is_taken_literally() {
    let prefix = r#"it's \"%s" $body$ @schema@"#;
    let channel = format!("{prefix}#/");
    let options = Options::default().channel_prefix(prefix).table(r#"a%1$I.'b\'"#);
    let Some(mut functions) = Functions::install_with(&Options::default(), &[&channel]).await else { return };
    functions.client.batch_execute("CREATE SCHEMA \"a%1$i\"").await.unwrap();
    let options = options.table(r#""a%1$i"."'b\'""#);
    functions.client.batch_execute(&schema_sql(r#""a%1$i"."'b\'""#).unwrap()).await.unwrap();
    let named = SqlFunctions::new(&options).unwrap().schema("it's \"%s\" $socketio0_body$");
    functions.client.batch_execute(&named.install_sql()).await.unwrap_or_else(|error| panic!("{error:?}"));
    for session in ["SET standard_conforming_strings = on", "RESET standard_conforming_strings"] {
        functions.client.batch_execute(session).await.unwrap();
        let call = r#"SELECT "it's ""%s"" $socketio0_body$".emit('e', attachments => ARRAY['\x00'::bytea])"#;
        functions.client.batch_execute(call).await.unwrap();
        let (heard, _) = timeout(DEADLINE, functions.notified.recv()).await.unwrap().unwrap();
        assert_eq!(heard, channel);
    }
    functions.client.batch_execute(&named.remove_sql()).await.unwrap();
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'it%'";
    assert_eq!(functions.database.execute(left).unwrap().as_deref(), Some("0"));
}

#[tokio::test]
async fn functions_are_removed_unless_a_trigger_needs_them() {
    let Some(mut functions) = Functions::install().await else { return };
    let remove = SqlFunctions::new(&Options::default()).unwrap().remove_sql();
    let trigger = "CREATE TABLE t (id int);
        CREATE TRIGGER t AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('t')";
    functions.client.batch_execute(trigger).await.unwrap();
    let (state, _) = functions.error(&remove).await;
    assert_eq!(state, SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
    functions.emitted("INSERT INTO t VALUES (1)").await;
    // Something of others in the schema stays.
    functions.client.batch_execute("DROP TABLE t; CREATE TABLE socketio.mine (id int)").await.unwrap();
    functions.client.batch_execute(&remove).await.unwrap();
    let left = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'socketio'::regnamespace";
    assert_eq!(functions.database.execute(left).unwrap().as_deref(), Some("0"));
    functions.client.batch_execute(&format!("DROP TABLE socketio.mine; {remove} {remove}")).await.unwrap();
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname = 'socketio'";
    assert_eq!(functions.database.execute(left).unwrap().as_deref(), Some("0"));
    // Without the attachments table there is nothing to install.
    functions.client.batch_execute("DROP TABLE socket_io_attachments").await.unwrap();
    let (_, text) = functions.error(&SqlFunctions::new(&Options::default()).unwrap().install_sql()).await;
    assert!(text.contains("there is no table") && text.contains("schema_sql"), "{text}");
}

/// The statements of the page, as they stand there.
#[tokio::test]
async fn the_statements_of_the_page_run() {
    let Some(functions) = Functions::install().await else { return };
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sql.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<_> = page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 8, "{} blocks", blocks.len());
    functions.client.batch_execute("CREATE TABLE orders (id int PRIMARY KEY, customer int, state text)").await.unwrap();
    let roles = ["shop", "reporting"].map(|role| format!("{role}_{}", functions.database.name()));
    for role in &roles {
        functions.client.batch_execute(&format!("CREATE ROLE \"{role}\"")).await.unwrap();
    }
    for block in &blocks {
        let block = block.replace("TO shop;", &format!("TO \"{}\";", roles[0]));
        let block = block.replace("TO reporting;", &format!("TO \"{}\";", roles[1]));
        let run = functions.client.batch_execute(&block).await;
        run.unwrap_or_else(|error| panic!("{error:?}: {block}"));
    }
    for role in &roles {
        functions.client.batch_execute(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"")).await.unwrap();
    }
}
