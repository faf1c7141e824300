//! Certificates for servers with TLS.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority that signs certificates of servers.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    root: PathBuf,
    _directory: TempDir,
}

impl Authority {
    /// An authority with a name of its own.
    ///
    /// # Panics
    /// When its files cannot be written.
    #[allow(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("rcgen signs, and files can be written");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of one name would look like one with an invalid signature.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("rcgen signs, and files can be written"))
                .expect("rcgen signs, and files can be written");
        let directory = tempfile::tempdir().expect("rcgen signs, and files can be written");
        let root = directory.path().join("root.crt");
        fs::write(&root, issuer.pem()).expect("rcgen signs, and files can be written");
        Self { issuer, root, _directory: directory }
    }

    /// The file with the authority's certificate, as a provider offers it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A certificate for a host, and its key, both PEM.
    ///
    /// # Panics
    /// When rcgen does not take the parameters.
    pub fn sign(&self, host: &str, adapt: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new([host.to_owned()]).expect("rcgen signs, and files can be written");
        adapt(&mut params);
        let key = KeyPair::generate().expect("rcgen signs, and files can be written");
        (
            params.signed_by(&key, &self.issuer).expect("rcgen signs, and files can be written").pem(),
            key.serialize_pem(),
        )
    }
}
