//! What the functions send, and what they refuse to send.

use std::time::Duration;

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, TestRunner},
};
use socketio_pg_core::protocol::{Body, Message, Payload, Value, strategies};
use socketio_pg_tests::time_limit;
use socketio_pg_tokio_postgres::{CatchUp, Emitter, Options, SqlFunctions, schema_sql};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::{Functions, event, rooms};

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
                   3e-324 1.7976931348623157e308 1.7976931348623158e308 1.0 1e3 123456789012345680000 \
                   2.47032822920623272084e-324 2.47032822920623272088e-324 2.470328229206232720882844e-324 \
                   2.47032822920623272089e-324 2.5e-324 1.79769313486231580793728971405302e308 \
                   1.79769313486231580793728971405303415079933e308 1.79769313486231580793728971405303415079935e308 \
                   -1.79769313486231580793728971405302e308 -1.79769313486231580793728971405303415079935e308";
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
        (
            "emit('e', '1', room => socketio.number_room(42))",
            r#"{"packet":{"type":2,"data":["e",1],"nsp":"/"},"opts":{"rooms":[42],"flags":{},"except":[]}}"#,
        ),
        (
            "emit('e', '1', 'a', rooms => ARRAY[socketio.number_room(-9007199254740991), '42'], except_rooms => ARRAY[socketio.number_room(0)])",
            r#"{"packet":{"type":2,"data":["e",1],"nsp":"/"},"opts":{"rooms":["a",-9007199254740991,"42"],"flags":{},"except":[0]}}"#,
        ),
        (
            "sockets_join(ARRAY['a', socketio.number_room(7)], room => socketio.number_room(8))",
            r#"{"opts":{"rooms":[8],"except":[]},"rooms":["a",7]}"#,
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
        (
            "emit('e', '1', rooms => NULL)".to_owned(),
            "the list of rooms is null. Leave the parameter out to select all sockets.",
        ),
        ("emit('e', '1', except_rooms => NULL)".to_owned(), "the list of rooms is null"),
        (
            "emit('e', '1', room => socketio.number_room(9007199254740992))".to_owned(),
            "the number 9007199254740992 cannot name a room. JavaScript has no integers beyond 2^53 - 1",
        ),
        ("emit('e', '1', room => socketio.number_room(NULL))".to_owned(), "a room is null"),
        ("disconnect_sockets(NULL)".to_owned(), "a room is null"),
        ("sockets_join(NULL)".to_owned(), "the list of rooms is null"),
        (
            "emit('e', rooms => (SELECT array_agg(x) FROM unnest('{}'::text[]) AS x))".to_owned(),
            "array_agg returns null",
        ),
        ("emit('e', '1', rooms => '{{a,b},{c,d}}')".to_owned(), "the list of rooms has 2 dimensions. Write ARRAY"),
        ("emit('e', '1', except_rooms => '{{a,b},{c,d}}')".to_owned(), "the list of rooms has 2 dimensions"),
        ("disconnect_sockets('x', rooms => '{{a,b},{c,d}}')".to_owned(), "the list of rooms has 2 dimensions"),
        ("sockets_join('{{a,b},{c,d}}')".to_owned(), "the list of rooms has 2 dimensions"),
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
        let (heard, _) = timeout(time_limit(), functions.notified.recv()).await.unwrap().unwrap();
        assert_eq!(heard, channel);
    }
    functions.client.batch_execute(&named.remove_sql()).await.unwrap();
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'it%'";
    assert_eq!(functions.database.execute(left).unwrap().as_deref(), Some("0"));
}

/// A collation that takes different texts for equal has no LIKE in most versions of PostgreSQL.
#[tokio::test]
async fn values_of_a_column_are_compared_by_their_bytes() {
    let Some(mut functions) = Functions::install().await else { return };
    functions
        .client
        .batch_execute(
            "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             CREATE TABLE texts (e text COLLATE ci, r text COLLATE ci, n text COLLATE ci);
             INSERT INTO texts VALUES ('CONNECT', 'R', '/')",
        )
        .await
        .unwrap();
    for call in [
        "emit(e, '1', r, n)",
        "emit(e, room => r, namespace => n, volatile => true)",
        "emit(e, '1', rooms => ARRAY[r], except_rooms => ARRAY['r' COLLATE ci], namespace => n)",
        "emit(e, room => r, namespace => n, attachments => ARRAY['\\x00'::bytea])",
    ] {
        let message = functions.emitted(&format!("SELECT socketio.{call} FROM texts")).await;
        assert_eq!(rooms(&message), ["R"], "{call}");
        assert!(event(&message).starts_with(r#"["CONNECT""#), "{call}: {}", event(&message));
    }
    for call in [
        "sockets_join(ARRAY[r], r, n, ARRAY[r], ARRAY['x' COLLATE ci])",
        "sockets_leave(ARRAY[r], r, n, ARRAY[r], ARRAY['x' COLLATE ci])",
        "disconnect_sockets(r, n, rooms => ARRAY[r], except_rooms => ARRAY['x' COLLATE ci])",
        "server_side_emit(e, '1', n)",
    ] {
        functions.emitted(&format!("SELECT socketio.{call} FROM texts")).await;
    }
    let trigger = "CREATE TRIGGER emit_texts AFTER UPDATE ON texts
        FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('texts', '{r}')";
    functions.client.batch_execute(trigger).await.unwrap();
    let message = functions.emitted("UPDATE texts SET r = 'r'").await;
    let mut both = rooms(&message);
    both.sort_unstable();
    assert_eq!(both, ["R", "r"]);
}

/// What stands for all clients is not written anywhere but in the functions.
#[tokio::test]
async fn no_name_that_a_client_can_choose_selects_all_clients() {
    let Some(mut functions) = Functions::install().await else { return };
    let known = "every client 0b6f7c6d2a4e4d6f";
    for call in [format!("emit('e', '1', '{known}')"), format!("emit('e', rooms => ARRAY['{known}'])")] {
        let message = functions.emitted(&format!("SELECT socketio.{call}")).await;
        assert_eq!(rooms(&message), [known], "{call}");
    }
    // Nor does one name a room of another kind.
    for (name, call) in [
        ("12", "'12'".to_owned()),
        ("numbered room 0b6f7c6d2a4e4d6f:12", "'numbered room 0b6f7c6d2a4e4d6f:12'".to_owned()),
    ] {
        let message = functions.emitted(&format!("SELECT socketio.emit('e', '1', {call})")).await;
        assert_eq!(rooms(&message), [name]);
    }
    let secret = "SELECT substring(prosrc, 'every client [0-9a-f]{32}') FROM pg_proc WHERE proname = 'emit'";
    let secret_before = functions.database.execute(secret).unwrap().unwrap();
    // It stays: a function may be replaced between two that call each other.
    let install = SqlFunctions::new(&Options::default()).unwrap().install_sql();
    functions.client.batch_execute(&install).await.unwrap();
    assert_eq!(functions.database.execute(secret).unwrap().unwrap(), secret_before);
    // Nor does a value of a column, even by who reads the functions.
    let trigger = "CREATE TABLE named (name text);
        CREATE TRIGGER emit_named AFTER INSERT OR UPDATE ON named
        FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('named', '{name}')";
    functions.client.batch_execute(trigger).await.unwrap();
    functions.client.batch_execute(&format!("INSERT INTO named VALUES ('{secret_before}')")).await.unwrap();
    functions.nothing_was_notified().await;
    let message = functions.emitted("UPDATE named SET name = 'a'").await;
    assert_eq!(rooms(&message), ["a"]);
}
