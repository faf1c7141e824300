//! Emitting on the application's own connections: when the event is sent, and when it is not. The
//! core's tests check the content.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::time::Duration;

use diesel::result::Error as DieselError;
use diesel_async::{
    AsyncConnection, AsyncPgConnection,
    pooled_connection::{AsyncDieselConnectionManager, deadpool::Pool},
};
use socketio_pg_core::{
    backend::{Backend, FetchLimits, Listener, Prepare, Row},
    testing::contract::{
        outcomes::{Direction, Proxy},
        search_path::{SEARCH_PATHS, plant},
    },
};
use socketio_pg_diesel::{
    CatchUp, DieselBackend, DieselListener, Emitter, Error, Options,
    protocol::{Body, Message, Notification},
};
use socketio_pg_throwaway::{Database, Server};

const TABLE: &str = "socket_io_attachments";

struct Scene {
    connection: AsyncPgConnection,
    backend: DieselBackend,
    listener: DieselListener,
    database: Database,
}

impl Scene {
    async fn new() -> Self {
        let database = Server::shared().unwrap().create_database().unwrap();
        let connection = AsyncPgConnection::establish(&database.url()).await.unwrap();
        let backend = DieselBackend::try_from(database.url()).unwrap();
        backend.prepare(TABLE, true).await.unwrap();
        let mut listener = backend.connect_listener().await.unwrap();
        listener.listen(&["socket.io#/".to_owned()]).await.unwrap();
        Self { connection, backend, listener, database }
    }

    /// The text of the next event that a node would receive.
    async fn hear(&mut self) -> String {
        let incoming = self.listener.next().await.unwrap();
        let message = match Notification::decode(&incoming.payload).unwrap() {
            Notification::Inline(message) => message,
            Notification::Attachment(header) => {
                let rows = self.backend.fetch(TABLE, &[header.attachment_id], FetchLimits::NONE).await.unwrap();
                let [Row::Body(body)] = &rows[..] else { panic!("{rows:?}") };
                Message::from_msgpack(body).unwrap()
            }
        };
        match message.body {
            Body::Broadcast(broadcast) => broadcast.packet.data.deserialize::<(String, String)>().unwrap().1,
            other => panic!("{other:?}"),
        }
    }
}

/// What a transaction of an application may end with.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Database(#[from] DieselError),
    #[error(transparent)]
    Emitter(#[from] Error),
    #[error("changed our mind")]
    ChangedOurMind,
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_sends_nothing() {
    let mut scene = Scene::new().await;
    let emitter = Emitter::new();
    let rolled_back = scene.connection.transaction(async |connection| {
        emitter.emit("order", "rolled back", connection).await?;
        emitter.emit("order", &"large, rolled back".repeat(1000), connection).await?;
        Err::<(), _>(Failure::ChangedOurMind)
    });
    assert!(matches!(rolled_back.await, Err(Failure::ChangedOurMind)));

    let committed = scene.connection.transaction(async |connection| {
        emitter.emit("order", "before", connection).await?;
        let savepoint = connection.transaction(async |connection| {
            emitter.emit("order", "in the savepoint", connection).await?;
            Err::<(), _>(Failure::ChangedOurMind)
        });
        assert!(matches!(savepoint.await, Err(Failure::ChangedOurMind)));
        emitter.emit("order", "after", connection).await?;
        Ok::<_, Failure>(())
    });
    committed.await.unwrap();
    assert_eq!(scene.hear().await, "before");
    assert_eq!(scene.hear().await, "after");
    let rows = scene.database.execute("SELECT count(*) FROM socket_io_attachments").unwrap();
    assert_eq!(rows.as_deref(), Some("0"));
}

#[tokio::test]
async fn equal_events_of_one_transaction_all_arrive() {
    let mut scene = Scene::new().await;
    let emitter = Emitter::new();
    let large = "the same".repeat(2000);
    let sent = scene.connection.transaction(async |connection| {
        for text in ["the same", "the same", &large, &large] {
            emitter.emit("order", text, connection).await?;
        }
        Ok::<_, Failure>(())
    });
    sent.await.unwrap();
    for expected in ["the same", "the same", &large, &large] {
        assert_eq!(scene.hear().await, expected);
    }
}

#[tokio::test]
async fn a_plain_and_a_pooled_connection_will_do() {
    let mut scene = Scene::new().await;
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(scene.database.url());
    let pool = Pool::builder(manager).max_size(1).build().unwrap();
    let emitter = Emitter::new();
    emitter.emit("order", "plain", &mut scene.connection).await.unwrap();
    let mut pooled = pool.get().await.unwrap();
    emitter.emit("order", "pooled", &mut pooled).await.unwrap();
    let in_transaction = pooled.transaction(async |connection| {
        emitter.emit("order", "pooled, in a transaction", connection).await?;
        Ok::<_, Failure>(())
    });
    in_transaction.await.unwrap();
    for expected in ["plain", "pooled", "pooled, in a transaction"] {
        assert_eq!(scene.hear().await, expected);
    }
}

#[tokio::test]
async fn a_refused_message_is_an_error() {
    let mut scene = Scene::new().await;
    let missing = Emitter::with_options(&Options::default().table("nowhere"));
    let error = missing.emit("order", &"x".repeat(9000), &mut scene.connection).await.unwrap_err();
    assert!(matches!(error, Error::Publish(_)) && error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn with_a_log_it_is_written_if_the_transaction_commits() {
    let mut scene = Scene::new().await;
    let log = CatchUp::last(Duration::from_secs(120));
    scene.backend.prepare_log(log.table_name(), true).await.unwrap();
    let emitter = Emitter::with_options(&Options::default().catch_up(log));
    let rolled_back = scene.connection.transaction(async |connection| {
        emitter.emit("order", "rolled back", connection).await?;
        emitter.emit("order", &"large, rolled back".repeat(1000), connection).await?;
        Err::<(), Failure>(DieselError::RollbackTransaction.into())
    });
    rolled_back.await.unwrap_err();

    let committed = scene.connection.transaction(async |connection| {
        emitter.emit("order", "small", connection).await?;
        emitter.emit("order", &"large".repeat(2000), connection).await?;
        Ok::<(), Failure>(())
    });
    committed.await.unwrap();
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
        let mut connection = AsyncPgConnection::establish(&scene.database.url()).await.unwrap();
        let log = Options::default().catch_up(CatchUp::last(Duration::from_secs(120)));
        for emitter in [Emitter::new(), Emitter::with_options(&log)] {
            for text in ["x".to_owned(), "x".repeat(9000)] {
                emitter.emit("e", &text, &mut connection).await.unwrap();
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
        let mut connection = AsyncPgConnection::establish(proxy.url()).await.unwrap();
        emitter.emit("order", &text, &mut connection).await.unwrap();
        assert_eq!(scene.hear().await, text);
        proxy.hold(Direction::FromServer);
        let (emitted, ()) = tokio::join!(emitter.emit("order", &text, &mut connection), async {
            assert_eq!(scene.hear().await, text);
            proxy.cut();
        });
        assert!(matches!(emitted, Err(Error::Unconfirmed(_))), "{emitted:?}");
    }
}

#[tokio::test]
async fn an_event_whose_session_the_server_ends_is_unconfirmed_and_one_that_it_refuses_is_not_published() {
    let mut scene = Scene::new().await;
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
        let (emitted, ()) = tokio::join!(emitter.emit("order", &large, &mut scene.connection), async {
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
