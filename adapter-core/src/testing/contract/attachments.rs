//! Tests of attachments: rows are inserted with their announcement, fetched, and swept.

use super::*;
use crate::backend::{Backend, SweepBatch};

pub async fn attachments_of_all_sizes_come_back_as_they_were<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    let mut listener = listening(&backend, &["c"]).await;
    for size in [0, 1, 7999, 8000, 1 << 16, 1 << 20, 16 << 20] {
        let body: Vec<u8> = (0..size).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        backend.publish(TABLE, None, &[attachment("c", "x", body.clone())]).await.unwrap();
        let payload = hear(&mut listener, 1).await.remove(0);
        let (_, id) = announced(&payload).unwrap();
        let fetched = fetch(&backend, &[id]).await.unwrap();
        assert!(fetched == [Some(body)], "{size} bytes came back as something else");
    }
}

pub async fn a_mixed_batch_keeps_its_order_and_its_ids<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    let mut listener = listening(&backend, &["c"]).await;
    // Often enough for a prepared statement to get its generic plan, in always different mixtures.
    for round in 0..8 {
        let is_inline = |index: usize| (index * index + index / 7 + round).is_multiple_of(2 + round);
        let batch: Vec<Outgoing> = (0..2000)
            .map(|index| match is_inline(index) {
                true => inline("c", index.to_string()),
                false => attachment("c", &index.to_string(), format!("body of {index}")),
            })
            .collect();
        backend.publish(TABLE, None, &batch).await.unwrap();
        let payloads = hear(&mut listener, batch.len()).await;

        let attached: Vec<(&str, i64)> = payloads.iter().filter_map(|payload| announced(payload)).collect();
        let ids: Vec<i64> = attached.iter().map(|(_, id)| *id).collect();
        let bodies = fetch(&backend, &ids).await.unwrap();
        for ((label, id), body) in attached.iter().zip(bodies) {
            assert_eq!(String::from_utf8(body.unwrap()).unwrap(), format!("body of {label}"), "id {id}");
        }
        for (index, payload) in payloads.iter().enumerate() {
            let (label, _) = announced(payload).unwrap_or((payload, 0));
            assert_eq!(label, index.to_string(), "round {round}");
            assert_eq!(announced(payload).is_none(), is_inline(index), "round {round}, {index}");
        }
    }
}

pub async fn two_nodes_never_mix_up_their_ids<F: Fixture>(fixture: &F) {
    let (one, two) = (prepared(fixture).await, prepared(fixture).await);
    let mut listener = listening(&one, &["c"]).await;
    let publish = async |backend: &F::Backend, name: &str| {
        for round in 0..40 {
            let label = |index| format!("{name} {round} {index}");
            let batch: Vec<Outgoing> = (0..25).map(|index| attachment("c", &label(index), label(index))).collect();
            backend.publish(TABLE, None, &batch).await.unwrap();
        }
    };
    futures_util::future::join(publish(&one, "one"), publish(&two, "two")).await;

    for payload in hear(&mut listener, 2000).await {
        let (label, id) = announced(&payload).unwrap();
        assert_eq!(fetch(&two, &[id]).await.unwrap(), [Some(label.as_bytes().to_vec())]);
    }
}

pub async fn a_refused_batch_leaves_no_row<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    let batch = [attachment("c", "x", "body"), inline("c", "x".repeat(8000)), attachment("c", "y", "body")];
    assert_kind(backend.publish(TABLE, None, &batch).await, ErrorKind::Other);
    assert_eq!(fixture.sql(&format!("SELECT count(*) FROM {TABLE}")).as_deref(), Some("0"));
}

pub async fn a_fetch_tells_which_rows_are_gone<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    fixture.sql(&format!("INSERT INTO {TABLE} (id, payload) VALUES (1, 'one'), (2, 'two'), (3, NULL), (4, 'four')"));
    fixture.sql(&format!("DELETE FROM {TABLE} WHERE id = 2"));
    let body = |text: &str| Some(text.as_bytes().to_vec());
    // In the order asked for; a row that was asked for twice is returned twice; a row without a
    // payload counts as gone.
    let fetched = fetch(&backend, &[4, 2, 1, 3, 99, 4, i64::MAX, -1]).await.unwrap();
    assert_eq!(fetched, [body("four"), None, body("one"), None, None, body("four"), None, None]);
    assert_eq!(fetch(&backend, &[]).await.unwrap(), Vec::<Option<Vec<u8>>>::new());
}

pub async fn a_fetch_brings_no_more_than_fits<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    // A body that PostgreSQL compresses and stores separately: its size is the uncompressed size.
    fixture.sql(&format!(
        "INSERT INTO {TABLE} (id, payload)
         SELECT id, convert_to(repeat('x', size), 'UTF8')
         FROM unnest('{{1, 2, 3, 4, 5, 6}}'::int[], '{{100, 1000000, 200, 0, 100, 1}}'::int[]) AS of(id, size)"
    ));
    let body = |size| Row::Body(vec![b'x'; size]);
    let too_large = |bytes| Row::TooLarge { bytes };
    let fetch =
        async |ids: &[i64], each, together| backend.fetch(TABLE, ids, FetchLimits { each, together }).await.unwrap();
    // A row that alone is too large does not count against the others.
    assert_eq!(fetch(&[1, 2, 3], 200, 300).await, [body(100), too_large(1_000_000), body(200)]);
    // In the order of the ids: after a row that does not fit, the next ones do not fit either.
    assert_eq!(fetch(&[3, 1, 5, 6], 200, 350).await, [body(200), body(100), too_large(100), too_large(1)]);
    assert_eq!(fetch(&[4, 1, 4, 9], 0, 0).await, [body(0), too_large(100), body(0), Row::Gone]);
    assert_eq!(fetch(&[1, 2], 999_999, usize::MAX).await, [body(100), too_large(1_000_000)]);
    assert_eq!(fetch(&[2, 2], 1_000_000, 1_000_000).await, [body(1_000_000), body(1_000_000)]);
}

pub async fn a_sweep_deletes_what_is_older<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    fixture.sql(&format!(
        "INSERT INTO {TABLE} (created_at, payload) SELECT now() - age, 'x'
         FROM unnest('{{0, 59 s, 61 s, 2 days}}'::interval[]) AS age"
    ));
    assert_eq!(backend.sweep(TABLE, Duration::from_secs(60)).await.unwrap(), 2);
    assert_eq!(backend.sweep(TABLE, Duration::from_secs(60)).await.unwrap(), 0);
    assert_eq!(backend.sweep(TABLE, Duration::from_millis(58_500)).await.unwrap(), 1);
    assert_eq!(fixture.sql(&format!("SELECT count(*) FROM {TABLE}")).as_deref(), Some("1"));
    assert_eq!(backend.sweep(TABLE, Duration::MAX).await.unwrap(), 0);
}

pub async fn a_batch_of_a_sweep_deletes_no_more_than_it_may<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    let ages = || fixture.sql(&format!("SELECT string_agg(payload::text, ' ' ORDER BY id) FROM {TABLE}"));
    fixture.sql(&format!(
        "INSERT INTO {TABLE} (created_at, payload) SELECT now() - age * '1 hour'::interval, decode(lpad(age::text, 2, '0'), 'hex')
         FROM unnest('{{3, 1, 4, 0, 5, 2}}'::int[]) AS age"
    ));
    let batch = SweepBatch { age: Duration::from_secs(60), limit: 2, oldest_first: true };
    assert_eq!(backend.sweep_batch(TABLE, batch).await.unwrap(), 2);
    assert_eq!(ages().as_deref(), Some(r"\x03 \x01 \x00 \x02"));
    let batch = SweepBatch { oldest_first: false, ..batch };
    assert_eq!(backend.sweep_batch(TABLE, batch).await.unwrap(), 2);
    assert_eq!(backend.sweep_batch(TABLE, batch).await.unwrap(), 1);
    assert_eq!(ages().as_deref(), Some(r"\x00"));
    // More rows than fit into one batch.
    fixture.sql(&format!(
        "INSERT INTO {TABLE} (created_at, payload) SELECT now() - '1 hour'::interval, '' FROM generate_series(1, 25000)"
    ));
    assert_eq!(backend.sweep(TABLE, Duration::from_secs(60)).await.unwrap(), 25_000);
}
