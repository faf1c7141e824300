//! TLS settings of a database URL.

use std::path::PathBuf;

use tokio_postgres::config::SslMode;

use crate::url::Url;

#[cfg(feature = "rustls")]
mod certificates;

#[cfg(feature = "rustls")]
pub(crate) use certificates::remedy;

/// What a URL says of TLS: libpq's meaning of `sslmode` and `sslrootcert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    verification: Verification,
    /// The driver's mode.
    mode: SslMode,
    roots: Roots,
    /// The parameter that asks for it, as it is written in the URL.
    asked_by: &'static str,
}

/// How much of the server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verification {
    /// Nothing: a machine in between can read the traffic.
    None,
    /// Its issuer.
    Issuer,
    /// Its issuer, and that it is for the requested host.
    IssuerAndName,
}

/// The issuers of certificates that are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Roots {
    /// The issuers that the machine trusts.
    System,
    /// The certificates in a file.
    File(PathBuf),
}

impl TlsSettings {
    /// Removes from a URL what the driver does not understand. The URL has been checked.
    ///
    /// The issuers that the machine trusts sign certificates for all the world: with these, the
    /// name is checked too.
    pub(crate) fn take(url: &mut Url<'_>) -> Self {
        use Verification::{Issuer, IssuerAndName, None};
        let roots = match url.get("sslrootcert") {
            Option::None | Some("") => Option::None,
            Some("system") => Some(Roots::System),
            Some(file) => Some(Roots::File(file.into())),
        };
        let (mode, verification, asked_by) = match (url.get("sslmode"), &roots) {
            (Some("disable"), _) => (SslMode::Disable, None, "sslmode=disable"),
            (Some("verify-full"), _) => (SslMode::Require, IssuerAndName, "sslmode=verify-full"),
            (Some("verify-ca"), Some(Roots::File(_))) => (SslMode::Require, Issuer, "sslmode=verify-ca"),
            (Some("verify-ca"), _) => (SslMode::Require, IssuerAndName, "sslmode=verify-ca"),
            (Some("require"), Some(Roots::File(_))) => (SslMode::Require, Issuer, "sslmode=require"),
            (Some("require"), Option::None) => (SslMode::Require, None, "sslmode=require"),
            // A URL with root certificates asks for a check, whatever its `sslmode` says.
            (_, Some(Roots::System)) => (SslMode::Require, IssuerAndName, "sslrootcert"),
            (_, Some(Roots::File(_))) => (SslMode::Require, Issuer, "sslrootcert"),
            (_, Option::None) => (SslMode::Prefer, None, "sslmode=prefer"),
        };
        url.remove("sslrootcert");
        url.remove("sslmode");
        Self { verification, mode, roots: roots.unwrap_or(Roots::System), asked_by }
    }

    /// Turns TLS off, for a socket of the same machine.
    pub(crate) fn turn_off(&mut self) {
        (self.mode, self.verification, self.asked_by) = (SslMode::Disable, Verification::None, "sslmode=disable");
    }

    /// The `sslmode` that the driver understands.
    pub(crate) fn driver_mode(&self) -> &'static str {
        match self.mode {
            SslMode::Disable => "disable",
            SslMode::Require => "require",
            _ => "prefer",
        }
    }
}

/// A connector for what a URL says of TLS.
#[cfg(feature = "rustls")]
pub type Tls = tokio_postgres_rustls::MakeRustlsConnect;

/// A connector for what a URL says of TLS. Without the feature `rustls` it cannot encrypt.
#[cfg(not(feature = "rustls"))]
pub type Tls = tokio_postgres::NoTls;

#[cfg(not(feature = "rustls"))]
impl TlsSettings {
    pub(crate) fn connector(&self) -> Result<Tls, String> {
        match self.mode {
            SslMode::Disable | SslMode::Prefer => Ok(tokio_postgres::NoTls),
            _ => Err(format!(
                "the database URL asks for TLS (`{}`): enable the feature `rustls` of the backend crate, or give the backend a TLS \
                 connector of your own",
                self.asked_by
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_mean_what_they_mean_to_libpq() {
        use Verification::{Issuer, IssuerAndName, None};
        let file = || Roots::File("/a/root.crt".into());
        for (parameters, mode, verification, roots) in [
            ("", "prefer", None, Roots::System),
            ("sslmode=disable", "disable", None, Roots::System),
            ("sslmode=allow", "prefer", None, Roots::System),
            ("sslmode=prefer", "prefer", None, Roots::System),
            ("sslmode=require", "require", None, Roots::System),
            ("sslmode=require&sslrootcert=/a/root.crt", "require", Issuer, file()),
            ("sslmode=require&sslrootcert=system", "require", IssuerAndName, Roots::System),
            ("sslmode=verify-ca&sslrootcert=%2Fa%2Froot.crt", "require", Issuer, file()),
            ("sslmode=verify-full", "require", IssuerAndName, Roots::System),
            ("sslmode=verify-ca", "require", IssuerAndName, Roots::System),
            ("sslmode=verify-ca&sslrootcert=system", "require", IssuerAndName, Roots::System),
            ("sslrootcert=system", "require", IssuerAndName, Roots::System),
            ("sslmode=prefer&sslrootcert=/a/root.crt", "require", Issuer, file()),
            ("sslmode=verify-full&sslrootcert=/a/root.crt", "require", IssuerAndName, file()),
        ] {
            let text = format!("postgres://host/db?{parameters}");
            let mut url = Url::parse(&text).unwrap();
            let tls = TlsSettings::take(&mut url);
            assert_eq!((tls.driver_mode(), tls.verification, tls.roots), (mode, verification, roots), "{parameters}");
            assert_eq!(url.with(&[]), "postgres://host/db");
        }
    }

    #[cfg(not(feature = "rustls"))]
    #[test]
    fn without_the_feature_tls_is_refused_where_it_is_required() {
        for (parameters, is_refused) in [
            ("", false),
            ("sslmode=prefer", false),
            ("sslmode=require", true),
            ("sslmode=verify-full", true),
            ("sslrootcert", true),
        ] {
            let value = if parameters == "sslrootcert" { "=system" } else { "" };
            let text = format!("postgres://host/db?{parameters}{value}");
            let connector = TlsSettings::take(&mut Url::parse(&text).unwrap()).connector();
            assert_eq!(connector.is_err(), is_refused, "{parameters}");
            if let Err(problem) = connector {
                assert!(problem.contains("feature `rustls`") && problem.contains(parameters), "{problem}");
            }
        }
    }
}
