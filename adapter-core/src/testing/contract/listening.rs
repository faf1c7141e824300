//! Tests of listening sessions: names of channels, lost connections, ended sessions.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use socketio_pg_protocol::{SessionId, cluster::Sighting};

use super::*;

pub async fn a_channel_may_have_any_name<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    let longest = "n".repeat(63);
    let longest_in_characters = "é".repeat(31);
    let names = [
        "socket.io#/",
        "UPPER",
        "upper",
        "with space",
        r#"with " quote"#,
        r#""quoted""#,
        "with 'apostrophe'",
        "a;b",
        r#"x"; DROP TABLE socket_io_attachments; --"#,
        r"back\slash",
        "dollar$1",
        "new\nline",
        "emoji 😀",
        "select",
        "*",
        &longest,
        &longest_in_characters,
    ];
    let mut listener = listening(&backend, &names).await;
    let batch: Vec<Outgoing> = names.iter().map(|name| inline(name, *name)).collect();
    backend.publish(TABLE, None, &batch).await.unwrap();

    for name in names {
        let heard = pair(soon(listener.next()).await.unwrap());
        assert_eq!(heard, (name.to_owned(), name.to_owned()));
    }
    backend.prepare(TABLE, false).await.expect("the table is still there");
}

pub async fn an_abandoned_channel_is_silent<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let odd = r#"odd "name""#;
    let mut listener = listening(&backend, &["a", odd, "b"]).await;
    listener.unlisten(&["a".to_owned(), odd.to_owned()]).await.unwrap();
    let all = [inline("a", "not heard"), inline(odd, "not heard"), inline("b", "heard")];
    backend.publish(TABLE, None, &all).await.unwrap();
    assert_eq!(hear(&mut listener, 1).await, ["heard"]);

    // Listening can be started again, and starting it twice does no harm.
    listener.listen(&["a".to_owned(), "b".to_owned()]).await.unwrap();
    backend.publish(TABLE, None, &all).await.unwrap();
    assert_eq!(hear(&mut listener, 2).await, ["not heard", "heard"]);
}

pub async fn nothing_is_lost_when_waiting_is_given_up<F: Fixture>(fixture: &F) {
    const COUNT: usize = 300;
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["c"]).await;
    let publish = async {
        for index in 0..COUNT {
            backend.publish(TABLE, None, &[inline("c", index.to_string())]).await.unwrap();
        }
    };
    let listen = async {
        let mut heard = Vec::new();
        while heard.len() < COUNT {
            // Polled once and dropped, whatever it returned.
            let polled = pin!(listener.next()).poll(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(incoming) = polled else {
                tokio::task::yield_now().await;
                continue;
            };
            heard.push(incoming.unwrap().payload);
            if heard.len() % 50 == 0 {
                // Other commands of the session come in between.
                listener.listen(&[heard.len().to_string()]).await.unwrap();
                listener.check().await.unwrap();
            }
        }
        heard
    };
    let (_, heard) = soon(futures_util::future::join(publish, listen)).await;
    assert_eq!(heard, (0..COUNT).map(|index| index.to_string()).collect::<Vec<_>>());
}

pub async fn a_session_is_drained_while_no_task_waits<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["c"]).await;
    // Much more than the buffers of the sockets hold: the server blocks after the first few when it
    // writes to a session that does not read.
    let payload = "x".repeat(7900);
    for round in 0..40 {
        let batch: Vec<Outgoing> = (0..100).map(|index| inline("c", format!("{round} {index} {payload}"))).collect();
        backend.publish(TABLE, None, &batch).await.unwrap();
    }
    let idle = format!("SELECT count(*) {LISTENING_SESSIONS} AND wait_event = 'ClientRead'");
    eventually("the listening session has sent everything", || fixture.sql(&idle).as_deref() == Some("1")).await;
    assert_eq!(hear(&mut listener, 4000).await.len(), 4000);
}

pub async fn a_killed_session_fails_and_another_hears_again<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["c"]).await;
    backend.publish(TABLE, None, &[inline("c", "sent before it was killed")]).await.unwrap();
    // A round trip, after which the notification is here; it also leaves the session's last
    // statement a LISTEN.
    listener.listen(&["c".to_owned()]).await.unwrap();
    let killed = fixture.sql(&format!("SELECT count(pg_terminate_backend(pid)) {LISTENING_SESSIONS}"));
    assert_eq!(killed.as_deref(), Some("1"));

    assert_eq!(hear(&mut listener, 1).await, ["sent before it was killed"]);
    assert!(!listener.take_next(&mut |_, payload| panic!("{payload} after the end")));
    assert_kind(soon(listener.next()).await, ErrorKind::Connection);
    assert_kind(soon(listener.check()).await, ErrorKind::Connection);
    assert_kind(soon(listener.listen(&["d".to_owned()])).await, ErrorKind::Connection);

    let mut listener = listening(&backend, &["c"]).await;
    backend.publish(TABLE, None, &[inline("c", "again")]).await.unwrap();
    assert_eq!(hear(&mut listener, 1).await, ["again"]);
}

pub async fn a_dropped_session_is_gone_from_the_server<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let listener = listening(&backend, &["c"]).await;
    let count = format!("SELECT count(*) {LISTENING_SESSIONS}");
    assert_eq!(fixture.sql(&count).as_deref(), Some("1"));
    drop(listener);
    eventually("the session is gone", || fixture.sql(&count).as_deref() == Some("0")).await;
}

/// What a look shows, by name, in the order of names.
async fn look(listener: &mut impl Listener, name: Option<SessionId>) -> Vec<Sighting> {
    let mut seen = soon(listener.look(name, &mut |_, _| {})).await.unwrap();
    seen.sort_by_key(|sighting| sighting.session);
    seen
}

fn names(seen: &[Sighting]) -> Vec<SessionId> {
    seen.iter().map(|sighting| sighting.session).collect()
}

pub async fn sessions_see_each_other<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let (mut one, mut other) = (listening(&backend, &["c"]).await, listening(&backend, &["c"]).await);
    let (first, second) = (SessionId::new(0xa), SessionId::new(u64::MAX));
    assert_eq!(names(&look(&mut one, Some(first)).await), [first]);
    let seen = look(&mut other, Some(second)).await;
    assert_eq!(names(&seen), [first, second]);
    assert!(seen.iter().all(|sighting| sighting.age < DEADLINE), "{seen:?}");

    // What a session did not do does not change its time, and what it did does. The server may still
    // be ending its last statement when the first look comes.
    let unchanged = async {
        let mut seen = seen;
        loop {
            let again = look(&mut other, Some(second)).await;
            assert!(again[1].changed > seen[1].changed, "it has looked");
            if again[0].changed == seen[0].changed {
                return again;
            }
            seen = again;
        }
    };
    let seen = soon(unchanged).await;
    look(&mut one, Some(first)).await;
    let again = look(&mut other, Some(second)).await;
    assert!(again[0].changed > seen[0].changed, "it has looked");

    // Without a name it is not seen, and sees all the same.
    assert_eq!(names(&look(&mut one, None).await), [second]);
    assert_eq!(names(&look(&mut other, Some(second)).await), [second]);
    look(&mut one, Some(first)).await;

    // Looking takes nothing from listening.
    backend.publish(TABLE, None, &[inline("c", "heard")]).await.unwrap();
    assert_eq!((hear(&mut one, 1).await, hear(&mut other, 1).await), (vec!["heard".into()], vec!["heard".into()]));

    drop(one);
    loop {
        if names(&look(&mut other, Some(second)).await) == [second] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fixture.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '/* socketio-pg %' AND datname = current_database()");
    assert_kind(soon(other.look(Some(second), &mut |_, _| {})).await, ErrorKind::Connection);
}

pub async fn a_session_of_another_role_is_not_seen<F: Fixture>(fixture: &F) {
    let role = Role::create(fixture);
    let superuser = fixture.backend(&fixture.url()).await.unwrap();
    let guest = fixture.backend(&role.url("right")).await.unwrap();
    let (first, second) = (SessionId::new(1), SessionId::new(2));
    let (mut one, mut other) = (listening(&superuser, &["c"]).await, listening(&guest, &["c"]).await);
    look(&mut one, Some(first)).await;
    assert_eq!(names(&look(&mut other, Some(second)).await), [second], "it sees its own session alone");
    assert_eq!(names(&look(&mut one, Some(first)).await), [first, second], "a superuser sees all");
    fixture.sql(&format!("GRANT pg_read_all_stats TO {}", role.name));
    assert_eq!(names(&look(&mut other, Some(second)).await), [first, second]);
}

pub async fn a_look_that_fails_leaves_the_session_sound<F: Fixture>(fixture: &F) {
    let role = Role::create(fixture);
    // A statement of a session that records nothing of what it does.
    fixture.sql(&format!("ALTER ROLE {} SET track_activities = off", role.name));
    let guest = fixture.backend(&role.url("right")).await.unwrap();
    let mut listener = listening(&guest, &["c"]).await;
    assert_eq!(look(&mut listener, Some(SessionId::new(1))).await, [], "not even itself");
    fixture.sql("REVOKE SELECT ON pg_catalog.pg_stat_activity FROM PUBLIC");
    let refused = soon(listener.look(Some(SessionId::new(1)), &mut |_, _| {})).await.unwrap_err();
    assert!(!matches!(refused.kind(), ErrorKind::Connection | ErrorKind::ReadOnly), "{refused}");
    fixture.sql("GRANT SELECT ON pg_catalog.pg_stat_activity TO PUBLIC");
    guest.publish(TABLE, None, &[inline("c", "heard")]).await.unwrap();
    assert_eq!(hear(&mut listener, 1).await, ["heard"]);
}

pub async fn what_comes_during_looks_is_heard_once_and_in_order<F: Fixture>(fixture: &F) {
    const COUNT: usize = 300;
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["c"]).await;
    let publish = async {
        for index in 0..COUNT {
            backend.publish(TABLE, None, &[inline("c", index.to_string())]).await.unwrap();
        }
    };
    let listen = async {
        let mut heard: Vec<String> = Vec::new();
        while heard.len() < COUNT {
            let mut take = |_: &str, payload: &str| heard.push(payload.to_owned());
            listener.look(Some(SessionId::new(1)), &mut take).await.unwrap();
            while listener.take_next(&mut take) {}
        }
        heard
    };
    let (_, heard) = soon(futures_util::future::join(publish, listen)).await;
    assert_eq!(heard, (0..COUNT).map(|index| index.to_string()).collect::<Vec<_>>());
}

/// After an answer all is there that was sent before the question, however much it is.
pub async fn what_was_sent_before_an_answer_is_there_with_it<F: Fixture>(fixture: &F) {
    const COUNT: usize = 1000;
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["c"]).await;
    let batch: Vec<_> = (0..COUNT).map(|index| inline("c", index.to_string())).collect();
    for part in batch.chunks(100) {
        backend.publish(TABLE, None, part).await.unwrap();
    }
    soon(listener.check()).await.unwrap();
    let mut heard = 0;
    while listener.take_next(&mut |_, _| heard += 1) {}
    assert_eq!(heard, COUNT);
}

pub async fn a_look_that_is_given_up_leaves_the_session_sound<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["c"]).await;
    let name = SessionId::new(1);
    for polls in 1..=20_u32 {
        {
            let mut take = |_: &str, _: &str| {};
            let mut given_up = pin!(listener.look(Some(name), &mut take));
            for _ in 0..polls {
                if given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
        assert_eq!(names(&look(&mut listener, Some(name)).await), [name], "after {polls} polls");
        listener.listen(&[polls.to_string()]).await.unwrap();
        backend.publish(TABLE, None, &[inline(&polls.to_string(), "heard")]).await.unwrap();
        assert_eq!(hear(&mut listener, 1).await, ["heard"], "after {polls} polls");
    }
}
