//! Tests of the outbox: what is written there is published once and in order, by one node at a time.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

use super::*;
use crate::backend::{CatchUp, LogQuery, OutboxBatch, OutboxProgress, outbox::wake_channel};

const OUTBOX: &str = "socket_io_outbox";

/// A batch that takes the turn and all rows.
const ALL: OutboxBatch<'_> = OutboxBatch {
    outbox: OUTBOX,
    attachments: TABLE,
    log: None,
    turn: 0,
    take_turn: Some(Duration::from_secs(5)),
    after: i64::MIN,
    limit: 1000,
    wants_xid: false,
};

/// A backend on the fixture's database, with both tables created.
async fn prepared_with_outbox<F: Fixture>(fixture: &F) -> F::Backend {
    let backend = prepared(fixture).await;
    backend.prepare_outbox(OUTBOX, true).await.unwrap();
    backend
}

async fn publish<B: Backend>(backend: &B, batch: OutboxBatch<'_>) -> OutboxProgress {
    backend.publish_outbox(&batch).await.unwrap()
}

fn write<F: Fixture>(fixture: &F, rows: &[Outgoing]) {
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let row = |outgoing: &Outgoing| match &outgoing.content {
        Content::Inline(payload) => format!("({}, {}, NULL, NULL)", text(&outgoing.channel), text(payload)),
        Content::Attachment { body, before_id, after_id } => {
            let body: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("({}, {}, {}, '\\x{body}')", text(&outgoing.channel), text(before_id), text(after_id))
        }
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    fixture.sql(&format!("INSERT INTO {OUTBOX} (channel, payload, after_id, body) VALUES {}", rows.join(", ")));
}

fn rows<F: Fixture>(fixture: &F) -> Option<String> {
    fixture.sql(&format!("SELECT count(*) FROM {OUTBOX}"))
}

pub async fn what_is_written_is_published_once_and_in_order<F: Fixture>(fixture: &F) {
    let backend = prepared_with_outbox(fixture).await;
    let mut listener = listening(&backend, &["a", "b"]).await;
    let row = |index: usize| match index % 3 {
        0 => attachment(["a", "b"][index % 2], &index.to_string(), format!("body of {index}")),
        _ => inline(["a", "b"][index % 2], format!("'{index}' é")),
    };
    let written: Vec<Outgoing> = (0..250).map(row).collect();
    write(fixture, &written[..7]);
    write(fixture, &written[7..]);
    assert_eq!(backend.look_at_outbox(OUTBOX, i64::MIN).await.unwrap().oldest, Some(1));
    assert_eq!(backend.look_at_outbox(OUTBOX, 250).await.unwrap().oldest, None);
    let (mut turn, mut published, mut sizes) = (0, 0, Vec::new());
    while published < 250 {
        let progress = publish(&backend, OutboxBatch { turn, limit: 60, ..ALL }).await;
        assert!(progress.is_ours && progress.refused == 0 && progress.xid > 0 && progress.waited >= 0, "{progress:?}");
        (turn, published) = (progress.turn, published + progress.rows);
        sizes.push(progress.rows);
    }
    assert_eq!(sizes, [60, 60, 60, 60, 10]);
    let progress = publish(&backend, OutboxBatch { turn, ..ALL }).await;
    assert_eq!((progress.rows, progress.last, progress.xid), (0, 0, 0));
    assert_eq!(backend.look_at_outbox(OUTBOX, i64::MIN).await.unwrap().oldest, None);
    for (index, payload) in hear(&mut listener, 250).await.into_iter().enumerate() {
        match announced(&payload) {
            Some((label, id)) => {
                assert_eq!(label, index.to_string());
                assert_eq!(fetch(&backend, &[id]).await.unwrap(), [Some(format!("body of {index}").into_bytes())]);
            }
            None => assert_eq!(payload, format!("'{index}' é")),
        }
    }
    backend.publish(TABLE, None, &[inline("a", "last")]).await.unwrap();
    assert_eq!(hear(&mut listener, 1).await, ["last"], "nothing comes twice");
}

pub async fn one_node_has_the_turn<F: Fixture>(fixture: &F) {
    let [one, other] = [prepared_with_outbox(fixture).await, prepared_with_outbox(fixture).await];
    let progress = publish(&one, ALL).await;
    let state = other.look_at_outbox(OUTBOX, i64::MIN).await.unwrap();
    assert!(progress.is_ours && (1..=5000).contains(&state.turn_left) && state.may_take_turn, "{state:?}");
    write(fixture, &[inline("a", "x")]);
    let refused = publish(&other, OutboxBatch { wants_xid: true, ..ALL }).await;
    assert_eq!((refused.is_ours, refused.rows, refused.turn), (false, 0, progress.turn));
    assert_eq!(rows(fixture).as_deref(), Some("1"));
    // It keeps the turn without taking it for longer, and can take it for longer.
    let kept = publish(&one, OutboxBatch { turn: progress.turn, take_turn: None, ..ALL }).await;
    assert_eq!((kept.is_ours, kept.rows, kept.turn), (true, 1, progress.turn));
    let taken = publish(&one, OutboxBatch { turn: kept.turn, ..ALL }).await;
    assert!(taken.turn >= kept.turn, "{taken:?}");
    // It gives it up.
    let end = OutboxBatch { turn: taken.turn, take_turn: Some(Duration::ZERO), limit: 0, ..ALL };
    assert!(publish(&one, end).await.is_ours);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let taken = publish(&other, ALL).await;
    assert!(taken.is_ours, "{taken:?}");
    assert!(!publish(&one, OutboxBatch { turn: end_of(&taken) - 1, ..ALL }).await.is_ours);
    // A turn that is too far ahead, by a clock that was set back, does not count.
    fixture.sql(&format!(
        "SELECT setval('{OUTBOX}_turn', (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 3600000)"
    ));
    assert_eq!(one.look_at_outbox(OUTBOX, i64::MIN).await.unwrap().turn_left, 0);
    assert!(publish(&one, ALL).await.is_ours);
}

fn end_of(progress: &OutboxProgress) -> i64 {
    progress.turn
}

/// Two nodes that both take themselves for the one that has the turn, as one may that hung.
pub async fn two_nodes_at_once_publish_each_row_once_and_in_order<F: Fixture>(fixture: &F) {
    const ROWS: usize = 2000;
    const WRITERS: usize = 4;
    let nodes = [prepared_with_outbox(fixture).await, prepared_with_outbox(fixture).await];
    let mut listener = listening(&nodes[0], &["c"]).await;
    let is_over = AtomicBool::new(false);
    let turn = publish(&nodes[0], OutboxBatch { take_turn: Some(Duration::from_secs(9)), ..ALL }).await.turn;
    let relay = async |node: &F::Backend| {
        let _end = super::catch_up::End(&is_over);
        let mut rows = 0;
        while !is_over.load(Ordering::Relaxed) {
            let batch = OutboxBatch { turn, take_turn: None, limit: 20, ..ALL };
            rows += publish(node, batch).await.rows;
        }
        rows
    };
    let handle = tokio::runtime::Handle::current();
    let (heard, by_nodes) = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                scope.spawn(move || {
                    // Each row is a transaction, and the rows of a block are one.
                    fixture.sql(&format!(
                        "CREATE OR REPLACE PROCEDURE write_{writer}() LANGUAGE plpgsql AS $$ BEGIN
                             FOR number IN 0..{last} LOOP
                                 INSERT INTO {OUTBOX} (channel, payload) VALUES ('c', '{writer} ' || number);
                                 IF number % 3 = 0 THEN COMMIT; END IF;
                             END LOOP;
                         END $$;",
                        last = ROWS / WRITERS - 1
                    ));
                    fixture.sql(&format!("CALL write_{writer}()"));
                });
            }
            handle.block_on(async {
                let hearing = async {
                    let heard = hear(&mut listener, ROWS).await;
                    is_over.store(true, Ordering::Relaxed);
                    heard
                };
                futures_util::join!(hearing, async { futures_util::join!(relay(&nodes[0]), relay(&nodes[1])) })
            })
        })
    });
    assert_eq!(by_nodes.0 + by_nodes.1, ROWS as i64);
    assert!(by_nodes.0 > 0 && by_nodes.1 > 0, "{by_nodes:?}: the test tests nothing");
    assert_eq!(heard.iter().collect::<BTreeSet<_>>().len(), ROWS);
    for writer in 0..WRITERS {
        let of_writer: Vec<String> =
            heard.iter().filter(|payload| payload.starts_with(&format!("{writer} "))).cloned().collect();
        let in_order: Vec<String> = (0..ROWS / WRITERS).map(|number| format!("{writer} {number}")).collect();
        assert_eq!(of_writer, in_order);
    }
    assert_eq!(rows(fixture).as_deref(), Some("0"));
}

pub async fn the_rows_of_a_long_transaction_come_when_it_commits<F: Fixture>(fixture: &F) {
    let backend = prepared_with_outbox(fixture).await;
    let mut listener = listening(&backend, &["c"]).await;
    fixture.sql("CREATE TABLE gate (state text)");
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                fixture.sql(&format!(
                    "CREATE PROCEDURE slow() LANGUAGE plpgsql AS $$ BEGIN
                         INSERT INTO {OUTBOX} (channel, payload) VALUES ('c', 'early');
                         WHILE NOT EXISTS (SELECT FROM gate) LOOP PERFORM pg_sleep(0.01); END LOOP;
                     END $$"
                ));
                fixture.sql("CALL slow()");
            });
            tokio::runtime::Handle::current().block_on(async {
                let waits = format!("SELECT count(*) {OTHER_SESSIONS} AND query LIKE 'CALL slow%'");
                let sequence = format!("SELECT coalesce(pg_sequence_last_value('{OUTBOX}_id_seq'), 0)");
                eventually("the slow writer has its number", || {
                    fixture.sql(&waits).as_deref() == Some("1") && fixture.sql(&sequence).as_deref() == Some("1")
                })
                .await;
                write(fixture, &[inline("c", "late")]);
                let published = publish(&backend, ALL).await;
                assert_eq!((published.rows, published.last), (1, 2));
                // It says that there may be rows before the last.
                let next = publish(&backend, OutboxBatch { turn: published.turn, wants_xid: true, ..ALL }).await;
                assert!(next.open_since < published.xid && next.xid > published.xid, "{published:?} {next:?}");
                assert_eq!(hear(&mut listener, 1).await, ["late"]);
                fixture.sql("INSERT INTO gate VALUES ('open')");
                let mut turn = next.turn;
                loop {
                    let progress = publish(&backend, OutboxBatch { turn, ..ALL }).await;
                    turn = progress.turn;
                    if progress.rows > 0 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                assert_eq!(hear(&mut listener, 1).await, ["early"]);
                // Below a number is not looked.
                write(fixture, &[inline("c", "three"), inline("c", "four")]);
                let progress = publish(&backend, OutboxBatch { turn, after: 3, ..ALL }).await;
                assert_eq!((progress.rows, progress.last), (1, 4));
            });
        });
    });
}

pub async fn what_is_published_is_logged_too<F: Fixture>(fixture: &F) {
    const LOG: &str = "socket_io_log";
    let backend = prepared_with_outbox(fixture).await;
    backend.prepare_log(LOG, true).await.unwrap();
    let log = CatchUp::last(Duration::from_secs(3600));
    let mut listener = listening(&backend, &["c"]).await;
    let since = backend.mark(LOG, "marks", "mark").await.unwrap();
    write(fixture, &[inline("c", "one"), attachment("c", "x", "body"), inline("c", "two")]);
    assert_eq!(publish(&backend, OutboxBatch { log: Some(&log), ..ALL }).await.rows, 3);
    let until = backend.mark(LOG, "marks", "mark").await.unwrap();
    let channels = ["c".to_owned()];
    let query = LogQuery { table: LOG, channels: &channels, since: &since, until: &until, after: 0, limit: 100 };
    let logged: Vec<String> =
        backend.read_log(&query).await.unwrap().into_iter().map(|row| row.incoming.payload).collect();
    assert_eq!(logged, hear(&mut listener, 3).await);
    // The attachment is there as long as its row of the log.
    assert_eq!(backend.sweep(TABLE, Duration::ZERO).await.unwrap(), 0);
}

pub async fn what_cannot_be_notified_is_refused_and_holds_up_nothing<F: Fixture>(fixture: &F) {
    let backend = prepared_with_outbox(fixture).await;
    let mut listener = listening(&backend, &["c"]).await;
    let longest = "c".repeat(63);
    write(fixture, &[inline("c", "x".repeat(7999)), inline(&longest, "x"), attachment("c", &"x".repeat(7977), "b")]);
    let progress = publish(&backend, ALL).await;
    assert_eq!((progress.rows, progress.refused), (3, 0));
    assert_eq!(hear(&mut listener, 1).await[0].len(), 7999);
    assert!(hear(&mut listener, 1).await[0].len() > 7979);
    write(fixture, &[inline("c", "one"), inline("c", "x".repeat(8000)), inline("", "x"), inline("c", "two")]);
    let progress = publish(&backend, OutboxBatch { turn: progress.turn, ..ALL }).await;
    assert_eq!((progress.rows, progress.refused), (4, 2));
    assert_eq!(hear(&mut listener, 2).await, ["one", "two"]);
    assert_eq!(rows(fixture).as_deref(), Some("0"));
}

pub async fn an_outbox_may_have_any_name<F: Fixture>(fixture: &F) {
    fixture.sql(r#"CREATE SCHEMA "Odd.Schema""#);
    let backend = prepared(fixture).await;
    let mut listener = listening(&backend, &["c"]).await;
    let long = "é".repeat(31);
    let names =
        [r#""Odd.Schema"."Odd ""Table\'$1""#, r#"x'; DROP TABLE y; --"#, "order", "cost$1", "batch", "turn", "taken"];
    for name in names.into_iter().chain([long.as_str()]) {
        backend.prepare_outbox(name, true).await.unwrap();
        backend.prepare_outbox(name, false).await.unwrap();
        let quoted = crate::backend::table::TableName::parse(name).unwrap();
        fixture.sql(&format!("INSERT INTO {quoted} (channel, payload) VALUES ('c', 'x')"));
        assert_eq!(publish(&backend, OutboxBatch { outbox: name, ..ALL }).await.rows, 1, "{name}");
        assert_eq!(hear(&mut listener, 1).await, ["x"], "{name}");
    }
    assert_kind(backend.prepare_outbox("a.b.c", true).await, ErrorKind::Configuration);
}

pub async fn an_outbox_that_is_missing_or_may_not_be_used_is_told<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    let error = backend.prepare_outbox(OUTBOX, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingTable, "{error}");
    assert!(error.to_string().contains("CREATE SEQUENCE"), "it must say what to do: {error}");
    assert_kind(backend.publish_outbox(&ALL).await, ErrorKind::MissingTable);
    assert_kind(backend.look_at_outbox(OUTBOX, i64::MIN).await, ErrorKind::MissingTable);

    let guest = Role::create(fixture);
    let stranger = fixture.backend(&guest.url("right")).await.unwrap();
    assert_kind(stranger.prepare_outbox(OUTBOX, true).await, ErrorKind::Permission);
    backend.prepare_outbox(OUTBOX, true).await.unwrap();
    let error = stranger.prepare_outbox(OUTBOX, true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    let grant = format!("GRANT SELECT, DELETE ON \"{OUTBOX}\" TO \"{}\"", guest.name);
    assert!(error.to_string().contains(&grant), "{error}");
    fixture.sql(&grant);
    fixture.sql(&format!("GRANT SELECT ON {OUTBOX}_turn TO {}", guest.name));
    let error = stranger.prepare_outbox(OUTBOX, true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    let grant = format!("GRANT SELECT, UPDATE ON SEQUENCE \"{OUTBOX}_turn\" TO \"{}\"", guest.name);
    assert!(error.to_string().contains(&grant), "{error}");
    fixture.sql(&grant);
    stranger.prepare_outbox(OUTBOX, true).await.unwrap();
    // What it is to put bodies into.
    assert_kind(stranger.publish_outbox(&ALL).await, ErrorKind::Permission);
    fixture.sql(&format!("GRANT INSERT, SELECT ON {TABLE} TO {0}; GRANT USAGE ON {TABLE}_id_seq TO {0}", guest.name));
    assert!(publish(&stranger, ALL).await.is_ours);
}

pub async fn rows_that_somebody_wrote_by_hand_hold_up_nothing<F: Fixture>(fixture: &F) {
    let backend = prepared_with_outbox(fixture).await;
    let mut listener = listening(&backend, &["c"]).await;
    fixture.sql(&format!(
        "INSERT INTO {OUTBOX} (id, created_at, channel, payload) OVERRIDING SYSTEM VALUE
         VALUES (-5, 'infinity', 'c', 'one'), (0, '-infinity', 'c', 'two')"
    ));
    write(fixture, &[inline("c", "three")]);
    assert_eq!(backend.look_at_outbox(OUTBOX, i64::MIN).await.unwrap().oldest, Some(-5));
    assert_eq!(publish(&backend, ALL).await.rows, 3);
    assert_eq!(hear(&mut listener, 3).await, ["one", "two", "three"]);
}

/// PostgreSQL believes that the table is empty, as it mostly is.
pub async fn many_rows_that_wait_are_found_by_their_index<F: Fixture>(fixture: &F) {
    const ROWS: i64 = 30_000;
    let backend = prepared_with_outbox(fixture).await;
    write(fixture, &[inline("c", "x")]);
    publish(&backend, ALL).await;
    fixture.sql(&format!("VACUUM ANALYZE {OUTBOX}"));
    let turn = fixture.sql(&format!("SELECT last_value FROM {OUTBOX}_turn")).unwrap().parse().unwrap();
    let batch = OutboxBatch { turn, limit: 50, take_turn: None, ..ALL };
    // Often enough for a plan that is kept.
    for _ in 0..10 {
        publish(&backend, batch.clone()).await;
        backend.look_at_outbox(OUTBOX, 0).await.unwrap();
    }
    fixture.sql(&format!("INSERT INTO {OUTBOX} (channel, payload) SELECT 'c', i FROM generate_series(1, {ROWS}) AS i"));
    let read = |column: &str| -> i64 {
        let read = format!("SELECT coalesce({column}, 0) FROM pg_stat_user_tables WHERE relname = '{OUTBOX}'");
        fixture.sql(&read).unwrap().parse().unwrap()
    };
    let by_index = read("idx_tup_fetch");
    for _ in 0..10 {
        assert_eq!(publish(&backend, batch.clone()).await.rows, 50);
        backend.look_at_outbox(OUTBOX, 0).await.unwrap();
    }
    // A session reports what it has read when it ends. One that waits in a pool may never do so
    // by itself.
    backend.close();
    fixture.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    );
    eventually("what was read is reported", || read("idx_tup_fetch") + read("seq_tup_read") >= by_index + 500).await;
    assert!(read("seq_tup_read") < ROWS, "the whole table is read");
}

pub async fn many_nodes_prepare_the_outbox_at_once<F: Fixture>(fixture: &F) {
    let mut nodes = Vec::new();
    for _ in 0..10 {
        nodes.push(prepared(fixture).await);
    }
    for _ in 0..10 {
        let all = futures_util::future::join_all(nodes.iter().map(|node| node.prepare_outbox(OUTBOX, true)));
        soon(all).await.into_iter().for_each(|result| result.unwrap());
        fixture.sql(&format!("DROP TABLE {OUTBOX}"));
    }
    // With it goes the sequence. One that is missing alone is made.
    assert_eq!(fixture.sql(&format!("SELECT to_regclass('{OUTBOX}_turn') IS NULL")).as_deref(), Some("t"));
    let node = &nodes[0];
    node.prepare_outbox(OUTBOX, true).await.unwrap();
    fixture.sql(&format!("DROP SEQUENCE {OUTBOX}_turn"));
    node.prepare_outbox(OUTBOX, false).await.unwrap_err();
    node.prepare_outbox(OUTBOX, true).await.unwrap();
    assert!(publish(node, ALL).await.is_ours);
    // A transaction would have a number for its row before it has one itself.
    fixture.sql(&format!(
        "ALTER TABLE {OUTBOX} DROP COLUMN xid CASCADE;
         ALTER TABLE {OUTBOX} ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id()"
    ));
    let error = node.prepare_outbox(OUTBOX, true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsuitableTable, "{error}");
    assert!(error.to_string().contains(r#"its column "xid" comes after "id""#), "{error}");
}

/// The statement with which every emitter writes: it notifies while no node has the turn, and only
/// then.
pub async fn a_writer_wakes_the_nodes_only_while_none_has_the_turn<F: Fixture>(fixture: &F) {
    let backend = prepared_with_outbox(fixture).await;
    let wake = wake_channel("prefix");
    let mut listener = listening(&backend, &[&wake]).await;
    let statement = crate::backend::outbox_sql::write(&crate::backend::table::TableName::parse(OUTBOX).unwrap());
    fixture.sql(&format!("PREPARE x AS {statement}; EXECUTE x('c', 'x', NULL, NULL, '{wake}')"));
    assert_eq!(hear(&mut listener, 1).await, [""]);
    let turn = publish(&backend, ALL).await.turn;
    fixture.sql(&format!("PREPARE x AS {statement}; EXECUTE x('c', 'x', NULL, NULL, '{wake}')"));
    // The rest of the turn is too short.
    publish(&backend, OutboxBatch { turn, take_turn: Some(Duration::from_millis(400)), ..ALL }).await;
    fixture.sql(&format!("PREPARE x AS {statement}; EXECUTE x('c', 'y', 'z', 'body', '{wake}')"));
    backend.publish(TABLE, None, &[inline(&wake, "last")]).await.unwrap();
    assert_eq!(hear(&mut listener, 2).await, ["", "last"]);
}
