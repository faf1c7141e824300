//! A connector of rustls that checks the server's certificate as a URL asks.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Roots, Tls, TlsSettings, Verification};

/// What `sslnegotiation=direct` asks a client to offer.
const PROTOCOL: &[u8] = b"postgresql";

impl TlsSettings {
    /// Makes the connector; the error says what is wrong with the root certificates.
    pub(crate) fn connector(&self) -> Result<Tls, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let verifier: Arc<dyn ServerCertVerifier> = match self.verification {
            Verification::None => Arc::new(AnyCertificate(provider)),
            checked => {
                let roots = Arc::new(self.roots()?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| format!("the root certificates cannot be used: {error}"))?;
                if checked == Verification::Issuer { Arc::new(AnyName(verifier)) } else { verifier }
            }
        };
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        debug_assert!(self.mode != SslMode::Disable || self.verification == Verification::None);
        Ok(MakeRustlsConnect::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        match &self.roots {
            Roots::System => system_roots(self.asked_by),
            Roots::File(file) => roots_of(file),
        }
    }
}

fn system_roots(asked_by: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!(
            "`{asked_by}` checks the server's certificate, and this machine has no root certificates{reason}: install them (the \
             package `ca-certificates`), or name a file with `sslrootcert`"
        ));
    }
    Ok(roots)
}

fn roots_of(file: &Path) -> Result<RootCertStore, String> {
    let problem =
        |reason: String| format!("`sslrootcert` names {}: {reason}: give a file of PEM certificates", file.display());
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| problem(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| problem(error.to_string()))?;
        roots.add(certificate).map_err(|error| problem(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(problem("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

/// `sslmode=require`: the connection is encrypted, and every server is trusted.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    // The signature of an unchecked certificate proves nothing. And rustls may not be able to read
    // it, such as version 1, which PostgreSQL's own documentation creates.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// `sslmode=verify-ca`: everything is checked but the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(certificate, others, name, ocsp, now) {
            // The name is checked last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// What to do when rustls rejects a certificate.
pub(crate) fn remedy(error: &Error) -> Option<&'static str> {
    let Error::InvalidCertificate(problem) = error else { return None };
    // rustls has no type of its own for all that can be wrong with a certificate.
    let is_because = |cause| format!("{problem:?}").contains(cause);
    Some(match problem {
        CertificateError::UnknownIssuer => {
            "the server's certificate is signed by an authority that is not trusted here: name the file with the provider's root certificate \
             (`sslrootcert=/path/to/root.crt`); if the URL names one, it is another authority's"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired: renew it there, or set this machine's clock right"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another host: connect to the name that is in it, or check only who has signed it \
             (`sslmode=verify-ca`)"
        }
        _ if is_because("CaUsedAsEndEntity") => {
            "the server's certificate is an authority's own, such as one that signed itself: sign a certificate for the server with it \
             (`basicConstraints=CA:FALSE`, and `subjectAltName` with the host)"
        }
        _ if is_because("UnsupportedCertVersion") => {
            "the server's certificate is of version 1: sign it again with extensions (`openssl x509 -req -extfile …`, with \
             `subjectAltName=DNS:` and the host)"
        }
        _ => "the server's certificate cannot be trusted: replace it there",
    })
}
