//! TLS as the database URL asks for it, on both backends, against servers with all kinds of
//! certificates.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    fs,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, IsCa, date_time_ymd};
use socketio_pg_core::{Cluster, ConnectError, Options, backend::Backend};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tests::{Authority, time_limit};
use socketio_pg_throwaway::{Database, Server};
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use tokio::time::sleep;

/// A server with a certificate, and a database on it.
struct TlsServer {
    database: Database,
    server: Server,
}

impl TlsServer {
    fn start((certificate, key): (String, String)) -> Self {
        let server = Server::builder().start().unwrap();
        server.use_certificate(&certificate, &key).unwrap();
        Self { database: server.create_database().unwrap(), server }
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        format!("{}?{parameters}", self.database.url().replace("127.0.0.1", host))
    }

    /// Which of the sessions in the database are encrypted: `all`, `none` or `some`.
    fn encrypted(&self) -> String {
        let encrypted = "SELECT CASE WHEN bool_and(ssl) THEN 'all' WHEN bool_or(ssl) THEN 'some' ELSE 'none' END
                         FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                         WHERE datname = current_database() AND pid <> pg_backend_pid()
                         HAVING count(*) > 1";
        self.database.execute(encrypted).unwrap().unwrap()
    }

    /// Sessions that have just ended may still be listed.
    async fn until_encrypted(&self, expected: &str, whose: &str) {
        let begun = Instant::now();
        while self.encrypted() != expected {
            assert!(begun.elapsed() < time_limit(), "{whose}: {}, not {expected}", self.encrypted());
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn connect<B>(url: &str) -> Result<Cluster<B>, ConnectError>
where
    B: Backend,
    String: TryInto<B>,
    <String as TryInto<B>>::Error: Into<ConnectError>,
{
    Cluster::connect(url.to_owned(), Options::default()).await
}

/// Both backends, which must agree: whether they connect, or their error.
async fn on_both(url: &str) -> Result<(), String> {
    let text = |error: ConnectError| {
        assert!(matches!(error, ConnectError::Tls(_)), "{url}: {error:?}");
        error.to_string()
    };
    let one = connect::<TokioPostgresBackend>(url).await.map_err(text).map(drop);
    let other = connect::<DieselBackend>(url).await.map_err(text).map(drop);
    assert_eq!(one, other, "{url}");
    one
}

async fn assert_refused(url: &str, phrases: &[&str]) {
    let told = on_both(url).await.expect_err(url);
    for phrase in phrases {
        assert!(told.contains(phrase), "{url}: not {phrase:?} in: {told}");
    }
}

#[tokio::test]
async fn a_certificate_is_checked_as_far_as_the_url_asks() {
    let authority = Authority::new();
    let server = TlsServer::start(authority.sign("localhost", |_| {}));
    let root = authority.root().display();
    for parameters in [
        "sslmode=require".to_owned(),
        "sslmode=prefer".to_owned(),
        String::new(),
        "sslmode=disable".to_owned(),
        format!("sslmode=require&sslrootcert={root}"),
        format!("sslmode=verify-ca&sslrootcert={root}"),
        format!("sslmode=verify-full&sslrootcert={root}"),
    ] {
        on_both(&server.url("localhost", &parameters)).await.unwrap_or_else(|error| panic!("{parameters}: {error}"));
    }
    // The certificate is for the name, and not for the address.
    on_both(&server.url("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={root}"))).await.unwrap();
    let by_address = server.url("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={root}"));
    assert_refused(&by_address, &["for another host", "`sslmode=verify-ca`"]).await;
}

#[tokio::test]
async fn every_connection_is_encrypted_where_the_server_can() {
    let authority = Authority::new();
    let server = TlsServer::start(authority.sign("localhost", |_| {}));
    for (parameters, expected) in [("sslmode=require", "all"), ("", "all"), ("sslmode=disable", "none")] {
        let url = server.url("localhost", parameters);
        let one = connect::<TokioPostgresBackend>(&url).await.unwrap();
        server.until_encrypted(expected, &format!("tokio-postgres {parameters}")).await;
        one.close().await;
        let other = connect::<DieselBackend>(&url).await.unwrap();
        server.until_encrypted(expected, &format!("diesel {parameters}")).await;
        other.close().await;
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused_with_the_remedy() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = TlsServer::start(authority.sign("localhost", |_| {}));
    let root = other.root().display();
    for mode in ["require", "verify-ca", "verify-full"] {
        let url = server.url("localhost", &format!("sslmode={mode}&sslrootcert={root}"));
        assert_refused(&url, &["an authority that is not trusted here", "`sslrootcert=/path/to/root.crt`"]).await;
    }
}

#[tokio::test]
async fn an_authoritys_own_certificate_is_refused_with_the_remedy() {
    let authority = Authority::new();
    let server = TlsServer::start(
        authority.sign("localhost", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
    );
    let root = authority.root().display();
    for mode in ["verify-ca", "verify-full"] {
        let url = server.url("localhost", &format!("sslmode={mode}&sslrootcert={root}"));
        assert_refused(&url, &["an authority's own", "`basicConstraints=CA:FALSE`"]).await;
    }
    on_both(&server.url("localhost", "sslmode=require")).await.unwrap();
}

#[tokio::test]
async fn an_expired_certificate_is_refused_where_certificates_are_checked() {
    let authority = Authority::new();
    let expired = authority.sign("localhost", |params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let server = TlsServer::start(expired);
    let root = authority.root().display();
    for mode in ["verify-ca", "verify-full"] {
        let url = server.url("localhost", &format!("sslmode={mode}&sslrootcert={root}"));
        assert_refused(&url, &["has expired", "renew it"]).await;
    }
    on_both(&server.url("localhost", "sslmode=require")).await.unwrap();
}

#[tokio::test]
async fn root_certificates_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.crt");
    fs::write(&empty, "no certificate").unwrap();
    for file in [directory.path().join("missing.crt"), empty] {
        let url = format!("postgres://localhost/db?sslmode=verify-full&sslrootcert={}", file.display());
        assert_refused(&url, &["`sslrootcert`", file.to_str().unwrap(), "PEM"]).await;
    }
}

#[tokio::test]
async fn a_server_without_tls_or_that_insists_on_it_says_what_to_do() {
    let plain = Server::shared().unwrap().create_database().unwrap();
    assert_refused(&format!("{}?sslmode=require", plain.url()), &["`ssl = on`", "`sslmode=disable`"]).await;

    let server = TlsServer::start(Authority::new().sign("localhost", |_| {}));
    let rules = server.server.directory().unwrap().join("data/pg_hba.conf");
    fs::write(rules, "hostssl all all 127.0.0.1/32 trust\n").unwrap();
    server.server.restart().unwrap();
    let with_tls = server.url("127.0.0.1", "sslmode=require");
    on_both(&with_tls).await.unwrap();
    let plain = server.url("127.0.0.1", "sslmode=disable");
    for told in [
        connect::<TokioPostgresBackend>(&plain).await.map(drop).unwrap_err(),
        connect::<DieselBackend>(&plain).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(told, ConnectError::Login(_)), "{told}");
        for phrase in ["no encryption", "a rule in the server's pg_hba.conf", "`sslmode=require`"] {
            assert!(told.to_string().contains(phrase), "{told}");
        }
    }
}
