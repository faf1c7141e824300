//! Tests of the catch-up log: what is written there, and that a position in it is exact.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::*;
use crate::backend::{Backend, CatchUp, LogQuery, Position};

const LOG: &str = "socket_io_log";

fn log() -> CatchUp {
    CatchUp::last(Duration::from_secs(120)).table(LOG)
}

fn logged(outgoing: Outgoing) -> Outgoing {
    Outgoing { is_logged: true, ..outgoing }
}

/// A backend on the fixture's database, with both tables created.
async fn prepared_to_log<F: Fixture>(fixture: &F) -> F::Backend {
    let backend = prepared(fixture).await;
    backend.prepare_log(LOG, true).await.unwrap();
    backend
}

async fn mark<B: Backend>(backend: &B) -> Position {
    backend.mark(LOG, "marks", "mark").await.unwrap()
}

/// All that was sent on the channels between two positions, read in parts of this many rows.
async fn read<B: Backend>(
    backend: &B,
    channels: &[&str],
    since: &Position,
    until: &Position,
    limit: i64,
) -> Vec<(String, String)> {
    let channels: Vec<String> = channels.iter().map(|&channel| channel.to_owned()).collect();
    let mut query = LogQuery { table: LOG, channels: &channels, since, until, after: 0, limit };
    let mut read = Vec::new();
    loop {
        let rows = backend.read_log(&query).await.unwrap();
        assert!(rows.len() as i64 <= limit);
        let Some(last) = rows.last() else { return read };
        query.after = last.id;
        read.extend(rows.into_iter().map(|row| pair(row.incoming)));
    }
}

pub async fn what_is_logged_is_read_as_it_was_notified<F: Fixture>(fixture: &F) {
    let backend = prepared_to_log(fixture).await;
    let mut listener = listening(&backend, &["a", "b"]).await;
    backend.publish(TABLE, Some(&log()), &[logged(inline("a", "before"))]).await.unwrap();
    let since = mark(&backend).await;
    let outgoing = |index: usize| {
        let outgoing = match index % 3 {
            0 => attachment(["a", "b"][index % 2], &index.to_string(), format!("body of {index}")),
            _ => inline(["a", "b"][index % 2], format!("'{index}' é")),
        };
        Outgoing { is_logged: !index.is_multiple_of(5), ..outgoing }
    };
    let mut count = 0;
    // Often enough for a prepared statement to get its generic plan.
    for size in [1, 2, 50, 300, 1, 7, 30, 20] {
        let batch: Vec<Outgoing> = (count..count + size).map(outgoing).collect();
        backend.publish(TABLE, Some(&log()), &batch).await.unwrap();
        count += size;
    }
    let until = mark(&backend).await;
    backend.publish(TABLE, Some(&log()), &[logged(inline("a", "after"))]).await.unwrap();

    let mut heard = Vec::new();
    for _ in 0..count + 2 {
        heard.push(pair(soon(listener.next()).await.unwrap()));
    }
    let heard: Vec<_> = heard[1..=count].to_vec();
    for (index, (channel, payload)) in heard.iter().enumerate() {
        assert_eq!(channel, ["a", "b"][index % 2]);
        match announced(payload) {
            Some((label, id)) => {
                assert_eq!(label, index.to_string());
                let body = format!("body of {index}").into_bytes();
                assert_eq!(fetch(&backend, &[id]).await.unwrap(), [Some(body)]);
            }
            None => assert_eq!(*payload, format!("'{index}' é")),
        }
    }
    let expected = |channels: &[&str]| -> Vec<(String, String)> {
        let logged =
            heard.iter().enumerate().filter(|(index, _)| !index.is_multiple_of(5)).map(|(_, pair)| pair.clone());
        logged.filter(|(channel, _)| channels.contains(&channel.as_str())).collect()
    };
    assert_eq!(read(&backend, &["a", "b"], &since, &until, 7).await, expected(&["a", "b"]));
    assert_eq!(read(&backend, &["b", "c"], &since, &until, 1000).await, expected(&["b"]));
    assert_eq!(read(&backend, &[], &since, &until, 1000).await, []);
    assert_eq!(read(&backend, &["a"], &until, &until, 1000).await, []);
}

pub async fn a_position_is_exact_beside_many_writers_and_long_transactions<F: Fixture>(fixture: &F) {
    const ROUNDS: usize = 30;
    let backend = prepared_to_log(fixture).await;
    let is_over = AtomicBool::new(false);
    let rounds = AtomicUsize::new(0);
    // What is sent before the reader first listens need not be heard.
    let is_listening = AtomicBool::new(false);
    let must_wait = || !is_listening.load(Ordering::SeqCst) && !is_over.load(Ordering::Relaxed);
    let writers = [prepared(fixture).await, prepared(fixture).await, prepared(fixture).await];
    let write = async |name: usize, writer: &F::Backend| {
        let mut sent = Vec::new();
        while must_wait() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        while !is_over.load(Ordering::Relaxed) {
            let payloads: Vec<String> = (0..5).map(|index| format!("{name}-{}", sent.len() + index)).collect();
            let batch: Vec<Outgoing> = payloads.iter().map(|payload| logged(inline("c", payload))).collect();
            writer.publish(TABLE, Some(&log()), &batch).await.unwrap();
            sent.extend(payloads);
            // Otherwise the reader never gets to the end.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        sent
    };
    // As an application that emits early in a transaction, and commits late: after more than one
    // mark of the reader.
    let write_slowly = |name: usize| {
        let mut sent = Vec::new();
        while must_wait() {
            std::thread::sleep(Duration::from_millis(2));
        }
        while !is_over.load(Ordering::Relaxed) {
            let payload = format!("slow {name}-{}", sent.len());
            let begun = rounds.load(Ordering::Relaxed);
            fixture.sql(&format!(
                "BEGIN; INSERT INTO {LOG} (channel, payload) VALUES ('c', '{payload}'); SELECT pg_notify('c', '{payload}');
                 SELECT pg_sleep({}); COMMIT",
                0.01 * (1 + (begun + name) % 7) as f64
            ));
            sent.push(payload);
        }
        sent
    };
    let listen = async || {
        // Also when the test fails, as the threads would otherwise run for ever.
        let _end = End(&is_over);
        let mut heard: Vec<String> = Vec::new();
        let mut position: Option<Position> = None;
        for round in 0..=ROUNDS {
            rounds.store(round, Ordering::Relaxed);
            let mut listener = listening(&backend, &["c", "marks"]).await;
            is_listening.store(true, Ordering::SeqCst);
            let token = round.to_string();
            let until = backend.mark(LOG, "marks", &token).await.unwrap();
            if let Some(since) = &position {
                let missed = read(&backend, &["c"], since, &until, 1000).await;
                heard.extend(missed.into_iter().map(|(_, payload)| payload));
            }
            loop {
                let incoming = soon(listener.next()).await.unwrap();
                match incoming.channel.as_str() {
                    "marks" if incoming.payload == token => break,
                    "marks" => {}
                    _ => heard.push(incoming.payload),
                }
            }
            position = Some(until);
            if round == ROUNDS {
                break;
            }
            heard.extend(hear(&mut listener, round % 20).await);
            // Stop listening until the next round.
            drop(listener);
            tokio::time::sleep(Duration::from_millis(20)).await;
            if round + 1 == ROUNDS {
                is_over.store(true, Ordering::Relaxed);
            }
        }
        (heard, position.expect("it was marked"))
    };
    let handle = tokio::runtime::Handle::current();
    let (sent, (heard, position)) = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let slow: Vec<_> = (0..3).map(|name| scope.spawn(move || write_slowly(name))).collect();
            let writing = futures_util::future::join_all(writers.iter().enumerate().map(|(name, it)| write(name, it)));
            let (mut sent, heard) = handle.block_on(futures_util::future::join(writing, listen()));
            sent.extend(slow.into_iter().map(|thread| thread.join().unwrap()));
            (sent.concat(), heard)
        })
    });
    // What was committed after the last round.
    let rest = read(&backend, &["c"], &position, &mark(&backend).await, 1000).await;
    let heard: BTreeSet<String> = heard.into_iter().chain(rest.into_iter().map(|(_, payload)| payload)).collect();
    let first = heard.iter().filter(|payload| payload.starts_with("slow")).count();
    assert!(sent.len() > 500 && first > ROUNDS, "{} and {first}: the test tests nothing", sent.len());
    let rows = fixture.sql(&format!("SELECT count(*) FROM {LOG} WHERE channel = 'c'"));
    assert_eq!(rows, Some(sent.len().to_string()));
    let all: BTreeSet<String> = sent.into_iter().collect();
    let missed: Vec<_> = all.difference(&heard).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

pub async fn a_read_begins_at_the_position_and_finds_what_was_open_across_it<F: Fixture>(fixture: &F) {
    const OLD: i64 = 200_000;
    let backend = prepared_to_log(fixture).await;
    fixture.sql(&format!(
        "INSERT INTO {LOG} (channel, payload) SELECT 'old', 'old' FROM generate_series(1, {OLD});
         CREATE TABLE gate (is_open bool)"
    ));
    let (since, until) = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            // Each row is in its own transaction, and its number is lower than the mark's.
            let open = scope.spawn(|| {
                fixture.sql(&format!(
                    "DO $$ BEGIN
                        INSERT INTO {LOG} (channel, payload) VALUES ('c', 'open');
                        WHILE NOT EXISTS (SELECT FROM gate) LOOP PERFORM pg_sleep(0.01); END LOOP;
                     END $$"
                ))
            });
            let locks =
                format!("SELECT count(*) FROM pg_locks WHERE relation = '{LOG}'::regclass AND mode LIKE 'Row%'");
            let handle = tokio::runtime::Handle::current();
            handle.block_on(async {
                eventually("the transaction is open", || fixture.sql(&locks).as_deref() == Some("1")).await;
                backend.publish(TABLE, Some(&log()), &[logged(inline("c", "before"))]).await.unwrap();
                let since = mark(&backend).await;
                backend.publish(TABLE, Some(&log()), &[logged(inline("c", "after"))]).await.unwrap();
                fixture.sql("INSERT INTO gate VALUES (true)");
                tokio::task::block_in_place(|| open.join().unwrap());
                (since, mark(&backend).await)
            })
        })
    });
    let pairs =
        |payloads: &[&str]| -> Vec<_> { payloads.iter().map(|it| ("c".to_owned(), (*it).to_owned())).collect() };
    // The server counts what a session reads when it has ended. Sessions of a borrowed pool are
    // ended by force.
    let end = format!("SELECT count(pg_terminate_backend(pid)) {OTHER_SESSIONS}");
    eventually("the sessions have ended", || fixture.sql(&end).as_deref() == Some("0")).await;
    let count = format!("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = '{LOG}'");
    let count = || fixture.sql(&count).unwrap().parse::<i64>().unwrap();
    let before = count();
    let reader = fixture.backend(&fixture.url()).await.unwrap();
    // In pages of each size, and often enough for a prepared statement to get its generic plan.
    for limit in [1, 1000].repeat(8) {
        assert_eq!(read(&reader, &["c"], &since, &until, limit).await, pairs(&["open", "after"]));
    }
    eventually("the sessions have ended", || fixture.sql(&end).as_deref() == Some("0")).await;
    eventually("the reads are counted", || count() > before).await;
    let rows = count() - before;
    assert!(rows < OLD / 100, "{rows} rows were read for 32");
}

/// Sets the flag when it is dropped.
pub(super) struct End<'a>(pub(super) &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub async fn a_refused_batch_leaves_no_row_in_the_log<F: Fixture>(fixture: &F) {
    let backend = prepared_to_log(fixture).await;
    let batch = [logged(attachment("c", "x", "body")), logged(inline("c", "x".repeat(8000)))];
    assert_kind(backend.publish(TABLE, Some(&log()), &batch).await, ErrorKind::Other);
    for table in [TABLE, LOG] {
        assert_eq!(fixture.sql(&format!("SELECT count(*) FROM {table}")).as_deref(), Some("0"));
    }
}

pub async fn attachments_outlive_their_row_of_the_log<F: Fixture>(fixture: &F) {
    let backend = prepared_to_log(fixture).await;
    backend.publish(TABLE, Some(&log()), &[logged(attachment("c", "x", "body"))]).await.unwrap();
    let ahead = fixture.sql(&format!("SELECT created_at - now() BETWEEN '100 s' AND '120 s' FROM {TABLE}"));
    assert_eq!(ahead.as_deref(), Some("t"));
    assert_eq!(backend.sweep(TABLE, Duration::ZERO).await.unwrap(), 0);
    assert_eq!(backend.sweep(LOG, Duration::from_secs(60)).await.unwrap(), 0);
    assert_eq!(backend.sweep(LOG, Duration::ZERO).await.unwrap(), 1);
    // The longest retention possible.
    let forever = CatchUp::last(Duration::MAX);
    backend.publish(TABLE, Some(&forever), &[logged(attachment("c", "x", "body"))]).await.unwrap();
}

pub async fn a_mark_is_heard_and_tells_another_log<F: Fixture>(fixture: &F) {
    let backend = prepared_to_log(fixture).await;
    let mut listener = listening(&backend, &["marks"]).await;
    let before = mark(&backend).await;
    assert_eq!(hear(&mut listener, 1).await, ["mark"]);
    let after = mark(&backend).await;
    assert_eq!((&before.history, &before.crashes), (&after.history, &after.crashes));
    assert!(before.taken <= after.taken && before.taken.as_secs() > 1_700_000_000, "{before:?}");
    assert_ne!(before.snapshot, after.snapshot);
    fixture.sql(&format!("TRUNCATE {LOG}"));
    assert_ne!(mark(&backend).await.history, before.history);
}

pub async fn statistics_that_are_reset_are_not_taken_for_a_crash<F: Fixture>(fixture: &F) {
    let backend = prepared_to_log(fixture).await;
    let before = mark(&backend).await;
    fixture.sql("SELECT pg_stat_reset_shared('bgwriter'); SELECT pg_stat_reset()");
    assert_eq!(mark(&backend).await.crashes, before.crashes);
}

pub async fn a_log_may_have_any_name<F: Fixture>(fixture: &F) {
    fixture.sql(r#"CREATE SCHEMA "Odd.Schema""#);
    let backend = prepared(fixture).await;
    for name in [r#""Odd.Schema"."Odd ""Table""""#, r#"x'; DROP TABLE y; --"#, "order", "cost$1", "batch", "logged"] {
        backend.prepare_log(name, true).await.unwrap();
        backend.prepare_log(name, false).await.unwrap();
        let log = log().table(name);
        let since = backend.mark(name, "marks", "mark").await.unwrap();
        let batch = [logged(attachment("c", "x", name)), logged(inline("c", name))];
        backend.publish(TABLE, Some(&log), &batch).await.unwrap();
        let until = backend.mark(name, "marks", "mark").await.unwrap();
        let channels = ["c".to_owned()];
        let query =
            LogQuery { table: name, channels: &channels, since: &since, until: &until, after: 0, limit: i64::MAX };
        assert_eq!(backend.read_log(&query).await.unwrap().len(), 2, "{name}");
        assert_eq!(backend.sweep(name, Duration::ZERO).await.unwrap(), 4, "{name}");
    }
    assert_kind(backend.prepare_log("a.b.c", true).await, ErrorKind::Configuration);
}

pub async fn a_log_that_is_missing_or_may_not_be_used_is_told<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    let error = backend.prepare_log(LOG, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingTable, "{error}");
    assert!(error.to_string().contains("xid8"), "it must say what to do: {error}");
    let batch = [logged(inline("c", "x"))];
    assert_kind(backend.publish(TABLE, Some(&log()), &batch).await, ErrorKind::MissingTable);
    assert_kind(backend.mark(LOG, "marks", "mark").await, ErrorKind::MissingTable);

    let guest = Role::create(fixture);
    let stranger = fixture.backend(&guest.url("right")).await.unwrap();
    assert_kind(stranger.prepare_log(LOG, true).await, ErrorKind::Permission);
    backend.prepare_log(LOG, true).await.unwrap();
    assert_kind(stranger.prepare_log(LOG, true).await, ErrorKind::Permission);
    fixture.sql(&format!(
        "GRANT SELECT, INSERT, DELETE ON {TABLE} TO {0}; GRANT USAGE ON {TABLE}_id_seq TO {0}",
        guest.name
    ));
    assert_kind(stranger.publish(TABLE, Some(&log()), &batch).await, ErrorKind::Permission);
    assert_kind(stranger.mark(LOG, "marks", "mark").await, ErrorKind::Permission);
    fixture
        .sql(&format!("GRANT SELECT, INSERT, DELETE ON {LOG} TO {0}; GRANT USAGE ON {LOG}_id_seq TO {0}", guest.name));
    let since = mark(&stranger).await;
    stranger.publish(TABLE, Some(&log()), &batch).await.unwrap();
    let until = mark(&stranger).await;
    assert_eq!(read(&stranger, &["c"], &since, &until, 1000).await, [("c".to_owned(), "x".to_owned())]);
    assert_eq!(stranger.sweep(LOG, Duration::ZERO).await.unwrap(), 3);
}

pub async fn many_nodes_prepare_the_log_at_once<F: Fixture>(fixture: &F) {
    let mut nodes = Vec::new();
    for _ in 0..10 {
        nodes.push(prepared(fixture).await);
    }
    for _ in 0..10 {
        let all = futures_util::future::join_all(nodes.iter().map(|node| node.prepare_log(LOG, true)));
        soon(all).await.into_iter().for_each(|result| result.unwrap());
        fixture.sql(&format!("DROP TABLE {LOG}"));
    }
}
