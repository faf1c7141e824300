//! TLS by the caller's connector: for statements and for listening, and what is wrong when it does
//! not work.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use socketio_pg_core::backend::{Backend, ErrorKind, FetchLimits, Listener, Prepare};
use socketio_pg_throwaway::{Database, Server};
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    sync::Arc,
};
use tokio_postgres::{Config, NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A server that has a certificate for `localhost`.
struct TlsServer {
    database: Database,
    certificate: CertificateDer<'static>,
    _server: Server,
}

impl TlsServer {
    fn start() -> Self {
        let server = Server::builder().start().unwrap();
        let directory = server.directory().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        for (name, text) in [("server.crt", cert.pem()), ("server.key", signing_key.serialize_pem())] {
            let file = directory.join(name);
            fs::write(&file, text).unwrap();
            // PostgreSQL reads its key only from a file that is its own, and nobody else's.
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            let owner = fs::metadata(directory).unwrap();
            chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
            let setting = if name == "server.crt" { "ssl_cert_file" } else { "ssl_key_file" };
            let database = server.create_database().unwrap();
            database.execute(&format!("ALTER SYSTEM SET {setting} = '{}'", file.display())).unwrap();
        }
        let database = server.create_database().unwrap();
        database.execute("ALTER SYSTEM SET ssl = on").unwrap();
        server.restart().unwrap();
        Self { database, certificate: cert.der().clone(), _server: server }
    }

    /// Certificates are made out to names, not to addresses.
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

async fn assert_misconfigured(backend: TokioPostgresBackend, reason: &str) {
    for error in [
        backend.fetch("attachments", &[1], FetchLimits::NONE).await.unwrap_err(),
        backend.connect_listener().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
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
async fn an_unknown_certificate_is_a_matter_of_configuration() {
    let server = TlsServer::start();
    assert_misconfigured(TokioPostgresBackend::new(server.config(), connector([])), "UnknownIssuer").await;
}

#[tokio::test]
async fn required_tls_without_a_connector_or_a_server_for_it_is_a_matter_of_configuration() {
    let server = TlsServer::start();
    assert_misconfigured(TokioPostgresBackend::new(server.config(), NoTls), "TLS").await;

    let database = Server::shared().unwrap().create_database().unwrap();
    let mut config: Config = database.url().parse().unwrap();
    config.ssl_mode(SslMode::Require);
    assert_misconfigured(TokioPostgresBackend::new(config, connector([server.certificate.clone()])), "TLS").await;
}
