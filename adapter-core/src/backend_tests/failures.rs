//! What a server, a network or a setting that fails is reported as.

use super::*;
use crate::backend::Backend;

pub async fn an_unreachable_server_is_a_matter_of_connection<F: Fixture>(fixture: &F) {
    // Nobody listens on port 1.
    assert_all_fail(fixture, "postgres://postgres@127.0.0.1:1/postgres", ErrorKind::Connection).await;
}

pub async fn a_wrong_address_or_password_is_a_matter_of_configuration<F: Fixture>(fixture: &F) {
    let guest = Role::create(fixture);
    let database = url_with(&fixture.url(), None, Some("no_such_database"));
    let role = url_with(&fixture.url(), Some("no_such_role:password"), None);
    for url in [database, role, guest.url("wrong")] {
        assert_all_fail(fixture, &url, ErrorKind::Configuration).await;
    }
    fixture.backend(&guest.url("right")).await.unwrap().publish(TABLE, &[inline("c", "x")]).await.unwrap();
}

async fn assert_all_fail<F: Fixture>(fixture: &F, url: &str, kind: ErrorKind) {
    match fixture.backend(url).await {
        Ok(backend) => {
            assert_kind(soon(backend.publish(TABLE, &[inline("c", "x")])).await, kind);
            assert_kind(soon(backend.prepare(TABLE, true)).await, kind);
            assert_kind(soon(fetch(&backend, &[1])).await, kind);
            assert_kind(soon(backend.sweep(TABLE, Duration::ZERO)).await, kind);
            assert_kind(soon(backend.connect_listener()).await.map(drop), kind);
        }
        Err(error) => assert_kind(Err::<(), _>(error), kind),
    }
}

pub async fn connections_that_died_idle_are_replaced<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    for _ in 0..3 {
        backend.publish(TABLE, &[inline("c", "x")]).await.unwrap();
        fetch(&backend, &[1]).await.unwrap();
        fixture.sql(&format!("SELECT count(pg_terminate_backend(pid)) {OTHER_SESSIONS}"));
        let gone = format!("SELECT count(*) {OTHER_SESSIONS}");
        eventually("they are gone", || fixture.sql(&gone).as_deref() == Some("0")).await;

        let mut listener = listening(&backend, &["c"]).await;
        backend.publish(TABLE, &[inline("c", "after")]).await.unwrap();
        fetch(&backend, &[1]).await.unwrap();
        assert_eq!(hear(&mut listener, 1).await, ["after"]);
    }
}

pub async fn a_closed_backend_fails_and_its_listeners_go_on<F: Fixture>(fixture: &F) {
    let (backend, other) = (prepared(fixture).await, prepared(fixture).await);
    let mut listener = listening(&backend, &["c"]).await;
    backend.close();
    assert!(backend.publish(TABLE, &[inline("c", "too late")]).await.is_err());
    assert!(fetch(&backend, &[1]).await.is_err());
    backend.close();

    other.publish(TABLE, &[inline("c", "still heard")]).await.unwrap();
    assert_eq!(hear(&mut listener, 1).await, ["still heard"]);
}
