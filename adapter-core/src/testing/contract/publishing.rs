//! Tests of publishing batches: in order, all or nothing.

use std::{future::poll_fn, pin::pin, task::Poll};

use futures_util::future::{Either, select};

use super::*;

pub async fn batches_arrive_in_order<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["c"]).await;
    let mut sent: Vec<String> = Vec::new();
    for size in [1, 300, 2, 1, 1000, 7] {
        let payloads: Vec<String> = (0..size).map(|index| format!("{size}/{index}")).collect();
        let batch: Vec<Outgoing> = payloads.iter().map(|payload| inline("c", payload)).collect();
        backend.publish(TABLE, None, &batch).await.unwrap();
        sent.extend(payloads);
    }
    assert_eq!(hear(&mut listener, sent.len()).await, sent);
}

pub async fn channels_of_one_batch_keep_their_order<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["a", "b", "c"]).await;
    let sent: Vec<(String, String)> =
        (0..300).map(|index| (["a", "b", "c"][index * 7 % 3].to_owned(), index.to_string())).collect();
    let batch: Vec<Outgoing> = sent.iter().map(|(channel, payload)| inline(channel, payload)).collect();
    backend.publish(TABLE, None, &batch).await.unwrap();

    for expected in sent {
        assert_eq!(pair(soon(listener.next()).await.unwrap()), expected);
    }
}

pub async fn equal_payloads_of_different_batches_all_arrive<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["c"]).await;
    for _ in 0..20 {
        backend.publish(TABLE, None, &[inline("c", "same")]).await.unwrap();
    }
    backend.publish(TABLE, None, &[inline("c", "end")]).await.unwrap();

    let mut expected = vec!["same"; 20];
    expected.push("end");
    assert_eq!(hear(&mut listener, 21).await, expected);
}

pub async fn an_empty_batch_is_no_error<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    backend.publish(TABLE, None, &[]).await.unwrap();
}

pub async fn a_payload_of_7999_bytes_arrives<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["c"]).await;
    // Bytes count, not characters.
    let payload = format!("{}x", "é".repeat(3999));
    assert_eq!(payload.len(), 7999);
    backend.publish(TABLE, None, &[inline("c", &payload)]).await.unwrap();
    assert_eq!(hear(&mut listener, 1).await, [payload]);
}

pub async fn a_refused_payload_fails_its_batch_and_nothing_else<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["c"]).await;
    let too_long = "x".repeat(8000);
    for refused in [&too_long, "a\0b"] {
        backend.publish(TABLE, None, &[inline("c", "before")]).await.unwrap();
        let batch = [inline("c", "first"), inline("c", refused), inline("c", "last")];
        assert_kind(backend.publish(TABLE, None, &batch).await, ErrorKind::Other);
        backend.publish(TABLE, None, &[inline("c", "after")]).await.unwrap();
        assert_eq!(hear(&mut listener, 2).await, ["before", "after"]);
    }
}

pub async fn a_batch_that_is_given_up_arrives_whole_or_not_at_all<F: Fixture>(fixture: &F) {
    const ROUNDS: usize = 60;
    const SIZE: usize = 40;
    let backend = prepared(fixture).await;
    let mut listener = listening(&backend, &["c"]).await;
    let mut given_up = 0;
    for round in 0..ROUNDS {
        let batch: Vec<Outgoing> = (0..SIZE)
            .map(|index| match index % 2 {
                // Different from the id of any row, as PostgreSQL sends equal payloads once.
                0 => inline("c", format!("{round}:-{index}!")),
                _ => attachment("c", &round.to_string(), vec![index as u8; 50_000]),
            })
            .collect();
        let publish = backend.publish(TABLE, None, &batch);
        // Dropped wherever it waits: while connecting, before anything is sent, halfway, or nearly
        // done.
        let finished = match round % 3 {
            0 => poll_at_most(1 + round / 20, publish).await.is_some(),
            step => tokio::time::timeout(Duration::from_millis((step * round / 10) as u64), publish).await.is_ok(),
        };
        given_up += usize::from(!finished);
        backend.publish(TABLE, None, &[inline("c", format!("{round} is over"))]).await.unwrap();
    }
    assert!(given_up >= 5, "only {given_up} were given up: the test tests nothing");

    // A cancelled statement may still run in its session.
    eventually("all sessions have finished", || {
        fixture.sql(&format!("SELECT count(*) {OTHER_SESSIONS} AND state = 'active'")).as_deref() == Some("0")
    })
    .await;
    backend.publish(TABLE, None, &[inline("c", "end")]).await.unwrap();
    let mut counts = [0; ROUNDS];
    let mut overs = 0;
    loop {
        let payload = soon(listener.next()).await.unwrap().payload;
        match announced(&payload) {
            Some((round, _)) => counts[round.parse::<usize>().unwrap()] += 1,
            None if payload == "end" => break,
            None => overs += 1,
        }
    }
    assert_eq!(overs, ROUNDS);
    assert!(counts.iter().all(|&count| count == 0 || count == SIZE), "half a batch: {counts:?}");
    let arrived = counts.iter().filter(|&&count| count == SIZE).count();
    let rows = fixture.sql(&format!("SELECT count(*) FROM {TABLE}")).unwrap();
    assert_eq!(rows, (arrived * SIZE / 2).to_string(), "rows and notifications must go together");
}

/// The future's output, or `None` when it was not ready after this many polls.
async fn poll_at_most<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 1 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

pub async fn a_batch_that_is_stuck_and_given_up_does_not_hold_up_the_next<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    let mut listener = listening(&backend, &["c"]).await;
    fixture.sql(&format!(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3600); RETURN NEW; END';
         CREATE TRIGGER wait BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION wait()"
    ));
    let batch = [attachment("c", "x", "stuck")];
    let stuck = Box::pin(backend.publish(TABLE, None, &batch));
    let server_is_at_it = Box::pin(eventually("the server is at it", || is_asleep(fixture)));
    match select(stuck, server_is_at_it).await {
        Either::Left(_) => panic!("it was to be stuck"),
        Either::Right((_, stuck)) => drop(stuck),
    }

    soon(backend.publish(TABLE, None, &[inline("c", "next")])).await.unwrap();
    assert_eq!(hear(&mut listener, 1).await, ["next"]);
}

pub async fn fetches_that_are_stuck_do_not_hold_up_a_batch<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    let mut listener = listening(&backend, &["c"]).await;
    // A view in place of the table can take a long time.
    fixture.sql("CREATE VIEW slow AS SELECT 1::bigint AS id, pg_sleep(3600)::text::bytea AS payload");
    let fetches = pin!(futures_util::future::join_all((0..10).map(|_| backend.fetch("slow", &[1], FetchLimits::NONE))));
    let publish = pin!(async {
        eventually("the server is at it", || is_asleep(fixture)).await;
        soon(backend.publish(TABLE, None, &[inline("c", "not held up")])).await.unwrap();
        hear(&mut listener, 1).await
    });
    match select(fetches, publish).await {
        Either::Left(_) => panic!("they were to be stuck"),
        Either::Right((heard, _)) => assert_eq!(heard, ["not held up"]),
    }
}

fn is_asleep<F: Fixture>(fixture: &F) -> bool {
    fixture.sql(&format!("SELECT count(*) > 0 {OTHER_SESSIONS} AND wait_event = 'PgSleep'")).as_deref() == Some("t")
}
