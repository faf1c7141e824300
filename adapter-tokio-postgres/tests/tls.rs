//! TLS with the application's connector, for statements and for listening, and its error texts.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use socketio_pg_core::backend::{Backend, ErrorKind, FetchLimits, Listener, Prepare};
use socketio_pg_throwaway::{Database, Server};
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use tokio_postgres::{Config, NoTls, config::SslMode};
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
    fn config(&self) -> Config {
        let mut config: Config = self.database.url().replace("127.0.0.1", "localhost").parse().unwrap();
        config.ssl_mode(SslMode::Require);
        config
    }
}

fn connector(trusted: impl IntoIterator<Item = CertificateDer<'static>>) -> MakeRustlsConnect {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

async fn assert_of_tls(backend: TokioPostgresBackend, reason: &str) {
    for error in [
        backend.fetch("attachments", &[1], FetchLimits::NONE).await.unwrap_err(),
        backend.connect_listener().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn all_connections_are_encrypted() {
    let server = TlsServer::start();
    let backend = TokioPostgresBackend::new(server.config(), connector([server.certificate.clone()]));
    backend.prepare("attachments", true).await.unwrap();
    let mut listener = backend.connect_listener().await.unwrap();
    listener.listen(&["c".to_owned()]).await.unwrap();

    let encrypted = "SELECT string_agg(ssl::text, ' ') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert_eq!(server.database.execute(encrypted).unwrap().as_deref(), Some("true true"));
}

#[tokio::test]
async fn an_unknown_certificate_is_a_matter_of_tls() {
    let server = TlsServer::start();
    assert_of_tls(TokioPostgresBackend::new(server.config(), connector([])), "UnknownIssuer").await;
}

#[tokio::test]
async fn required_tls_without_a_connector_or_a_server_for_it_is_a_matter_of_tls() {
    let server = TlsServer::start();
    assert_of_tls(TokioPostgresBackend::new(server.config(), NoTls), "TLS").await;

    let database = Server::shared().unwrap().create_database().unwrap();
    let mut config: Config = database.url().parse().unwrap();
    config.ssl_mode(SslMode::Require);
    assert_of_tls(TokioPostgresBackend::new(config, connector([server.certificate.clone()])), "TLS").await;
}
