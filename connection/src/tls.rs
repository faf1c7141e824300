//! TLS as a URL asks for it.

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
    /// As the driver has it.
    mode: SslMode,
    roots: Roots,
    /// As it is written.
    name: &'static str,
}

/// How much of the server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verification {
    /// Nothing: who sits between can read along.
    None,
    /// Who has signed it.
    Issuer,
    /// The same, and that it is for the host that was asked for.
    IssuerAndName,
}

/// Who may have signed the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Roots {
    /// Whom the machine trusts.
    System,
    /// Those of a file.
    File(PathBuf),
}

impl TlsSettings {
    /// Takes out of a URL what the driver does not understand. It has been checked.
    pub(crate) fn take(url: &mut Url<'_>) -> Self {
        use Verification::{Issuer, IssuerAndName, None};
        let roots = match url.get("sslrootcert") {
            Option::None | Some("system" | "") => Roots::System,
            Some(file) => Roots::File(file.into()),
        };
        let has_roots = url.get("sslrootcert").is_some_and(|given| !given.is_empty());
        let (mode, verification, name) = match url.get("sslmode") {
            Some("disable") => (SslMode::Disable, None, "disable"),
            // As libpq: who gives roots wants them used, and whom the machine trusts are too many without a name.
            Some("require") if has_roots && roots == Roots::System => (SslMode::Require, IssuerAndName, "require"),
            Some("require") if has_roots => (SslMode::Require, Issuer, "require"),
            Some("require") => (SslMode::Require, None, "require"),
            Some("verify-ca") => (SslMode::Require, Issuer, "verify-ca"),
            Some("verify-full") => (SslMode::Require, IssuerAndName, "verify-full"),
            _ => (SslMode::Prefer, None, "prefer"),
        };
        url.remove("sslrootcert");
        if url.get("sslmode").is_some() {
            url.remove("sslmode");
        }
        Self { verification, mode, roots, name }
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

/// A connector for what a URL says of TLS: without the feature `rustls` there is none.
#[cfg(not(feature = "rustls"))]
pub type Tls = tokio_postgres::NoTls;

#[cfg(not(feature = "rustls"))]
impl TlsSettings {
    pub(crate) fn connector(&self) -> Result<Tls, String> {
        match self.mode {
            SslMode::Disable | SslMode::Prefer => Ok(tokio_postgres::NoTls),
            _ => Err(format!(
                "the database URL asks for TLS (`sslmode={}`): enable the feature `rustls` of the backend crate, or give the backend a TLS \
                 connector of your own",
                self.name
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
        for (parameters, is_refused) in
            [("", false), ("sslmode=prefer", false), ("sslmode=require", true), ("sslmode=verify-full", true)]
        {
            let text = format!("postgres://host/db?{parameters}");
            let connector = TlsSettings::take(&mut Url::parse(&text).unwrap()).connector();
            assert_eq!(connector.is_err(), is_refused, "{parameters}");
            if let Err(problem) = connector {
                assert!(problem.contains("feature `rustls`") && problem.contains(parameters), "{problem}");
            }
        }
    }
}
