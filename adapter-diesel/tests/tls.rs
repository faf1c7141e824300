//! TLS with the application's own set-up of connections, for statements and for listening.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::sync::Arc;

use diesel::ConnectionResult;
use diesel_async::AsyncPgConnection;
use futures_util::{FutureExt, future::BoxFuture};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use socketio_pg_core::backend::{Backend, ErrorKind, FetchLimits, Listener, Prepare};
use socketio_pg_diesel::{DieselBackend, connection_error};
use socketio_pg_throwaway::{Database, Server};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A server with a certificate for `localhost`.
struct TlsServer {
    database: Database,
    certificate: CertificateDer<'static>,
    _server: Server,
}

impl TlsServer {
    fn start() -> Self {
        let server = Server::builder().start().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        server.use_certificate(&cert.pem(), &signing_key.serialize_pem()).unwrap();
        Self { database: server.create_database().unwrap(), certificate: cert.der().clone(), _server: server }
    }

    /// Certificates are issued for names, not for addresses.
    fn url(&self) -> String {
        format!("{}?sslmode=require", self.database.url().replace("127.0.0.1", "localhost"))
    }
}

/// What an application gives to `ManagerConfig::custom_setup` of its own pool.
fn establish<'a>(
    url: &'a str,
    trusted: Option<&CertificateDer<'static>>,
) -> BoxFuture<'a, ConnectionResult<AsyncPgConnection>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.cloned());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    async move {
        let (client, connection) =
            tokio_postgres::connect(url, MakeRustlsConnect::new(config)).await.map_err(connection_error)?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await
    }
    .boxed()
}

#[tokio::test]
async fn all_connections_are_made_by_the_callers_set_up() {
    let server = TlsServer::start();
    let trusted = server.certificate.clone();
    let backend = DieselBackend::new(&server.url()).unwrap().custom_setup(move |url| establish(url, Some(&trusted)));
    backend.prepare("attachments", true).await.unwrap();
    let mut listener = backend.connect_listener().await.unwrap();
    listener.listen(&["c".to_owned()]).await.unwrap();

    let encrypted = "SELECT string_agg(ssl::text || ' ' || application_name, ', ')
                     FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
    // The connection string includes the defaults.
    let expected = Some("true socketio-pg, true socketio-pg");
    assert_eq!(server.database.execute(encrypted).unwrap().as_deref(), expected);
}

#[tokio::test]
async fn what_the_callers_set_up_fails_with_is_told() {
    let server = TlsServer::start();
    let backend = DieselBackend::new(&server.url()).unwrap().custom_setup(|url| establish(url, None));
    assert_of_tls(&backend, "UnknownIssuer").await;
}

async fn assert_of_tls(backend: &DieselBackend, reason: &str) {
    for error in [
        backend.fetch("attachments", &[1], FetchLimits::NONE).await.unwrap_err(),
        backend.connect_listener().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}
