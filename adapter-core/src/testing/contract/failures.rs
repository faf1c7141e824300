//! Tests of the error kinds of failing servers, networks and settings.

use super::*;

pub async fn an_unreachable_server_is_a_matter_of_connection<F: Fixture>(fixture: &F) {
    // Nothing listens on port 1.
    assert_all_fail(fixture, "postgres://postgres@127.0.0.1:1/postgres", ErrorKind::Connection).await;
}

pub async fn a_wrong_address_or_password_is_a_matter_of_the_login<F: Fixture>(fixture: &F) {
    let guest = Role::create(fixture);
    let database = url_with(&fixture.url(), None, Some("no_such_database"));
    let role = url_with(&fixture.url(), Some("no_such_role:password"), None);
    for url in [database, role, guest.url("wrong")] {
        assert_all_fail(fixture, &url, ErrorKind::Login).await;
    }
    fixture.backend(&guest.url("right")).await.unwrap().publish(TABLE, None, &[inline("c", "x")]).await.unwrap();
}

async fn assert_all_fail<F: Fixture>(fixture: &F, url: &str, kind: ErrorKind) {
    match fixture.backend(url).await {
        Ok(backend) => {
            assert_kind(soon(backend.publish(TABLE, None, &[inline("c", "x")])).await, kind);
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
        backend.publish(TABLE, None, &[inline("c", "x")]).await.unwrap();
        fetch(&backend, &[1]).await.unwrap();
        fixture.sql(&format!("SELECT count(pg_terminate_backend(pid)) {OTHER_SESSIONS}"));
        let gone = format!("SELECT count(*) {OTHER_SESSIONS}");
        eventually("they are gone", || fixture.sql(&gone).as_deref() == Some("0")).await;

        let mut listener = listening(&backend, &["c"]).await;
        backend.publish(TABLE, None, &[inline("c", "after")]).await.unwrap();
        fetch(&backend, &[1]).await.unwrap();
        assert_eq!(hear(&mut listener, 1).await, ["after"]);
    }
}

pub async fn a_closed_backend_fails_and_its_listeners_go_on<F: Fixture>(fixture: &F) {
    let (backend, other) = (prepared(fixture).await, prepared(fixture).await);
    let mut listener = listening(&backend, &["c"]).await;
    backend.close();
    assert!(backend.publish(TABLE, None, &[inline("c", "too late")]).await.is_err());
    assert!(fetch(&backend, &[1]).await.is_err());
    backend.close();

    other.publish(TABLE, None, &[inline("c", "still heard")]).await.unwrap();
    assert_eq!(hear(&mut listener, 1).await, ["still heard"]);
}

pub async fn a_server_that_takes_no_writes_is_left<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    let database = fixture.sql("SELECT current_database()").unwrap();
    let set = |value| fixture.sql(&format!("ALTER DATABASE {database} SET default_transaction_read_only = {value}"));
    set("on");
    fixture.sql(&format!("SELECT count(pg_terminate_backend(pid)) {OTHER_SESSIONS}"));
    let gone = format!("SELECT count(*) {OTHER_SESSIONS}");
    eventually("they are gone", || fixture.sql(&gone).as_deref() == Some("0")).await;
    assert_kind(soon(backend.publish(TABLE, None, &[attachment("c", "a", "x")])).await, ErrorKind::ReadOnly);
    fixture.sql(&format!("BEGIN READ WRITE; ALTER DATABASE {database} RESET ALL; COMMIT"));
    // A session from before would fail again.
    soon(backend.publish(TABLE, None, &[attachment("c", "a", "x")])).await.unwrap();
}

pub async fn a_statement_that_the_server_gives_up_is_a_matter_of_time<F: Fixture>(fixture: &F) {
    let database = fixture.sql("SELECT current_database()").unwrap();
    prepared(fixture).await;
    fixture.sql(&format!(
        "CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END';
         CREATE TRIGGER stall BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION stall();
         ALTER DATABASE {database} SET statement_timeout = '500ms'"
    ));
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    assert_kind(soon(backend.publish(TABLE, None, &[attachment("c", "a", "x")])).await, ErrorKind::Timeout);
    backend.publish(TABLE, None, &[inline("c", "small")]).await.unwrap();
}

pub async fn a_silent_host_is_passed_over<F: Fixture>(fixture: &F) {
    // The operating system accepts connections, but no server replies.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = fixture.url();
    let (role, address) = url.split_once('@').unwrap();
    let separator = if address.contains('?') { '&' } else { '?' };
    let url = format!("{role}@{},{address}{separator}connect_timeout=1", silent.local_addr().unwrap());
    let backend = fixture.backend(&url).await.unwrap();
    // A pool of the application connects in its own way: only the listening session is always ours.
    soon(listening(&backend, &["c"])).await;
}
