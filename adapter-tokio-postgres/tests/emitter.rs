//! Emitting on the application's own connections: what it sends, when it is sent, and when it is
//! not.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::Duration,
};

use socketio_pg_core::{
    backend::{Backend, FetchLimits, Listener, Prepare, Row},
    testing::contract::{
        outcomes::{Direction, Proxy},
        search_path::{SEARCH_PATHS, plant},
    },
};
use socketio_pg_throwaway::{Database, Server};
use socketio_pg_tokio_postgres::{
    CatchUp, Emitter, Error, Options, TokioPostgresBackend, TokioPostgresListener,
    protocol::{Body, Message, Notification},
};
use tokio_postgres::{Client, NoTls};

struct Scene {
    client: Client,
    backend: TokioPostgresBackend,
    listener: TokioPostgresListener,
    database: Database,
}

const TABLE: &str = "socket_io_attachments";

impl Scene {
    async fn new() -> Self {
        let database = Server::shared().unwrap().create_database().unwrap();
        let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let backend = TokioPostgresBackend::try_from(database.url()).unwrap();
        backend.prepare(TABLE, true).await.unwrap();
        let mut listener = backend.connect_listener().await.unwrap();
        listener.listen(&["socket.io#/".to_owned(), "socket.io#/kitchen".to_owned()]).await.unwrap();
        Self { client, backend, listener, database }
    }

    /// The next message that a node would receive, and its channel.
    async fn hear(&mut self) -> (String, Message) {
        let incoming = self.listener.next().await.unwrap();
        let message = match Notification::decode(&incoming.payload).unwrap() {
            Notification::Inline(message) => message,
            Notification::Attachment(header) => {
                let rows = self.backend.fetch(TABLE, &[header.attachment_id], FetchLimits::NONE).await.unwrap();
                let [Row::Body(body)] = &rows[..] else { panic!("{rows:?}") };
                Message::from_msgpack(body).unwrap()
            }
        };
        (incoming.channel, message)
    }

    /// The text of the next event.
    async fn hear_text(&mut self) -> String {
        match self.hear().await.1.body {
            Body::Broadcast(broadcast) => broadcast.packet.data.deserialize::<(String, String)>().unwrap().1,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn every_operation_is_a_message_that_every_node_understands() {
    let mut scene = Scene::new().await;
    let emitter = Emitter::new();
    let selected = emitter.of("/kitchen").to("a").to("b").except("c").volatile().compress(false);
    selected.emit("order", &("tea", 2), &scene.client).await.unwrap();
    selected.sockets_join(["x", "y"], &scene.client).await.unwrap();
    selected.sockets_leave(["x"], &scene.client).await.unwrap();
    selected.disconnect_sockets(true, &scene.client).await.unwrap();
    emitter.server_side_emit("news", "now", &scene.client).await.unwrap();

    let opts = r#""opts":{"rooms":["a","b"],"flags":{"volatile":true,"compress":false},"except":["c"]}"#;
    let opts_without_flags = r#""opts":{"rooms":["a","b"],"except":["c"]}"#;
    let expected = [
        (
            "/kitchen",
            format!(r#""type":3,"data":{{"packet":{{"type":2,"data":["order","tea",2],"nsp":"/kitchen"}},{opts}}}"#),
        ),
        ("/kitchen", format!(r#""type":4,"data":{{{opts_without_flags},"rooms":["x","y"]}}"#)),
        ("/kitchen", format!(r#""type":5,"data":{{{opts_without_flags},"rooms":["x"]}}"#)),
        ("/kitchen", format!(r#""type":6,"data":{{{opts_without_flags},"close":true}}"#)),
        ("/", r#""type":9,"data":{"packet":["news","now"]}"#.to_owned()),
    ];
    for (namespace, body) in expected {
        let (channel, message) = scene.hear().await;
        assert_eq!(channel, format!("socket.io#{namespace}"));
        let start = format!(r#"{{{body},"uid":"emitter","nsp":"{namespace}","source":"_sio_adapter","nonce":""#);
        let json = message.to_json().unwrap();
        assert!(json.starts_with(&start), "{json}\nshould start with\n{start}");
    }
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_sends_nothing() {
    let mut scene = Scene::new().await;
    let emitter = Emitter::new();
    let transaction = scene.client.transaction().await.unwrap();
    emitter.emit("order", "rolled back", &transaction).await.unwrap();
    emitter.emit("order", &"large, rolled back".repeat(1000), &transaction).await.unwrap();
    transaction.rollback().await.unwrap();

    let mut transaction = scene.client.transaction().await.unwrap();
    emitter.emit("order", "before", &transaction).await.unwrap();
    let savepoint = transaction.savepoint("nested").await.unwrap();
    emitter.emit("order", "in the savepoint", &savepoint).await.unwrap();
    savepoint.rollback().await.unwrap();
    emitter.emit("order", "after", &transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(scene.hear_text().await, "before");
    assert_eq!(scene.hear_text().await, "after");
    let rows = scene.database.execute("SELECT count(*) FROM socket_io_attachments").unwrap();
    assert_eq!(rows.as_deref(), Some("0"));
}

#[tokio::test]
async fn equal_events_of_one_transaction_all_arrive() {
    let mut scene = Scene::new().await;
    let emitter = Emitter::new();
    let transaction = scene.client.transaction().await.unwrap();
    for _ in 0..3 {
        emitter.emit("order", "the same", &transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    for _ in 0..3 {
        assert_eq!(scene.hear_text().await, "the same");
    }
}

#[tokio::test]
async fn pools_and_pooled_connections_will_do() {
    let mut scene = Scene::new().await;
    let config = scene.database.url().parse().unwrap();
    let manager = deadpool_postgres::Manager::new(config, NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).max_size(1).build().unwrap();
    let emitter = Emitter::new();
    emitter.emit("order", "by the pool", &pool).await.unwrap();
    let mut client = pool.get().await.unwrap();
    emitter.emit("order", "by its client", &client).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    emitter.emit("order", "by its transaction", &transaction).await.unwrap();
    transaction.commit().await.unwrap();
    for expected in ["by the pool", "by its client", "by its transaction"] {
        assert_eq!(scene.hear_text().await, expected);
    }
}

#[tokio::test]
async fn options_hold_in_every_namespace() {
    let scene = Scene::new().await;
    let options = Options::default().channel_prefix("shop").table("parcels").payload_threshold(100);
    scene.backend.prepare("parcels", true).await.unwrap();
    let mut listener = scene.backend.connect_listener().await.unwrap();
    listener.listen(&["shop#/kitchen".to_owned()]).await.unwrap();
    Emitter::with_options(&options).of("/kitchen").emit("order", "tea", &scene.client).await.unwrap();
    let payload = listener.next().await.unwrap().payload;
    assert!(matches!(Notification::decode(&payload), Ok(Notification::Attachment(_))), "{payload}");
}

#[tokio::test]
async fn a_refused_message_is_an_error() {
    let scene = Scene::new().await;
    let missing = Emitter::with_options(&Options::default().table("nowhere"));
    let error = missing.emit("order", &"x".repeat(9000), &scene.client).await.unwrap_err();
    assert!(matches!(error, Error::Publish(_)) && error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn with_a_log_it_is_written_if_the_transaction_commits() {
    let mut scene = Scene::new().await;
    let log = CatchUp::last(Duration::from_secs(120));
    scene.backend.prepare_log(log.table_name(), true).await.unwrap();
    let emitter = Emitter::with_options(&Options::default().catch_up(log));
    let transaction = scene.client.transaction().await.unwrap();
    emitter.emit("order", "rolled back", &transaction).await.unwrap();
    emitter.emit("order", &"large, rolled back".repeat(1000), &transaction).await.unwrap();
    transaction.rollback().await.unwrap();

    let transaction = scene.client.transaction().await.unwrap();
    emitter.emit("order", "small", &transaction).await.unwrap();
    let large = "large".repeat(2000);
    emitter.emit("order", &large, &transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let heard = [scene.listener.next().await.unwrap().payload, scene.listener.next().await.unwrap().payload];
    assert!(heard[0].contains("small") && heard[1].contains("attachmentId"), "{heard:?}");
    let logged = scene.database.execute("SELECT string_agg(payload, '' ORDER BY id) FROM socket_io_log").unwrap();
    assert_eq!(logged, Some(heard.concat()));
    let ahead = "SELECT count(*) FROM socket_io_attachments WHERE created_at > now() + '100 s'";
    assert_eq!(scene.database.execute(ahead).unwrap().as_deref(), Some("1"));
}

#[tokio::test]
async fn what_is_planted_in_the_search_path_is_not_run() {
    for search_path in SEARCH_PATHS {
        let scene = Scene::new().await;
        scene.backend.prepare_log("socket_io_log", true).await.unwrap();
        scene.database.execute(&plant(search_path)).unwrap();
        // The search path applies to new sessions.
        let (client, connection) = tokio_postgres::connect(&scene.database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let log = Options::default().catch_up(CatchUp::last(Duration::from_secs(120)));
        for emitter in [Emitter::new(), Emitter::with_options(&log)] {
            for text in ["x".to_owned(), "x".repeat(9000)] {
                emitter.emit("e", &text, &client).await.unwrap();
            }
        }
    }
}

/// An emit whose session ends after PostgreSQL has committed and before it replies.
#[tokio::test]
async fn an_event_that_is_committed_and_not_answered_is_unconfirmed() {
    let mut scene = Scene::new().await;
    let emitter = Emitter::new();
    for text in ["small".to_owned(), "large".repeat(3000)] {
        let proxy = Proxy::before(&scene.database.url());
        let (client, connection) = tokio_postgres::connect(proxy.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        emitter.emit("order", &text, &client).await.unwrap();
        assert_eq!(scene.hear_text().await, text);
        proxy.hold(Direction::FromServer);
        let (emitted, ()) = tokio::join!(emitter.emit("order", &text, &client), async {
            assert_eq!(scene.hear_text().await, text);
            proxy.cut();
        });
        assert!(matches!(emitted, Err(Error::Unconfirmed(_))), "{emitted:?}");
    }
}

#[tokio::test]
async fn an_event_whose_session_the_server_ends_is_unconfirmed_and_one_that_it_refuses_is_not_published() {
    let scene = Scene::new().await;
    let emitter = Emitter::new();
    let stalls =
        "CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END';
                  CREATE TRIGGER stall BEFORE INSERT ON socket_io_attachments FOR EACH ROW EXECUTE FUNCTION stall()";
    scene.database.execute(stalls).unwrap();
    let large = "large".repeat(3000);
    for (ends, is_unconfirmed) in [("pg_cancel_backend", false), ("pg_terminate_backend", true)] {
        let ends = format!(
            "SELECT count({ends}(pid)) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        );
        let (emitted, ()) = tokio::join!(emitter.emit("order", &large, &scene.client), async {
            while scene.database.execute(&ends).unwrap().as_deref() == Some("0") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        match emitted {
            Err(Error::Unconfirmed(_)) if is_unconfirmed => {}
            Err(Error::Publish(_)) if !is_unconfirmed => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A server that lets one client in, and ends its session when the first statement comes.
fn server_that_ends_the_session(code: &str) -> String {
    let error = format!("SFATAL\0VFATAL\0C{code}\0Mthe session ends\0\0");
    let length = u32::try_from(error.len() + 4).unwrap().to_be_bytes();
    let error = [&b"E"[..], &length, error.as_bytes()].concat();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://app@{}/chat", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut session, _) = listener.accept().unwrap();
        let mut length = [0; 4];
        session.read_exact(&mut length).unwrap();
        let mut greeting = vec![0; u32::from_be_bytes(length) as usize - 4];
        session.read_exact(&mut greeting).unwrap();
        // AuthenticationOk and ReadyForQuery.
        session.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").unwrap();
        session.read_exact(&mut [0]).unwrap();
        session.write_all(&error).unwrap();
    });
    url
}

/// 57P01 and its like say that the session has ended; of other errors only the severity does.
#[tokio::test]
async fn an_event_whose_session_ends_with_an_error_of_any_code_is_unconfirmed() {
    for code in ["57P01", "XX000", "57014"] {
        let (client, connection) = tokio_postgres::connect(&server_that_ends_the_session(code), NoTls).await.unwrap();
        tokio::spawn(connection);
        let emitted = Emitter::new().emit("order", "tea", &client).await;
        assert!(matches!(emitted, Err(Error::Unconfirmed(_))), "{code}: {emitted:?}");
    }
}

#[tokio::test]
async fn an_event_for_which_the_pool_has_no_connection_is_not_published() {
    let scene = Scene::new().await;
    let manager = deadpool_postgres::Manager::new(scene.database.url().parse().unwrap(), NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).max_size(1).runtime(deadpool_postgres::Runtime::Tokio1);
    let pool = pool.wait_timeout(Some(Duration::from_millis(50))).build().unwrap();
    let taken = pool.get().await.unwrap();
    let emitted = Emitter::new().emit("order", "tea", &pool).await;
    assert!(matches!(emitted, Err(Error::Publish(_))), "{emitted:?}");
    drop(taken);
}
