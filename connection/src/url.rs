//! Takes a database URL, or `key=value` pairs, apart: which parameters it has, and what is wrong
//! with it, in words that help.
//!
//! The driver reads it too. But the driver's errors do not name an unknown parameter or the values
//! that a parameter may have, and it does not know the parameters that ask for a certificate to be
//! checked.

use std::{borrow::Cow, fmt};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The parameters of a URL, and the values of those that have only a few. tokio-postgres reads all
/// but `sslrootcert`.
const PARAMETERS: [(&str, &[&str]); 20] = [
    ("application_name", &[]),
    ("channel_binding", &["disable", "prefer", "require"]),
    ("connect_timeout", &[]),
    ("dbname", &[]),
    ("host", &[]),
    ("hostaddr", &[]),
    ("keepalives", &["0", "1"]),
    ("keepalives_idle", &[]),
    ("keepalives_interval", &[]),
    ("keepalives_retries", &[]),
    ("load_balance_hosts", &["disable", "random"]),
    ("options", &[]),
    ("password", &[]),
    ("port", &[]),
    ("sslmode", &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]),
    ("sslnegotiation", &["postgres", "direct"]),
    ("sslrootcert", &[]),
    ("target_session_attrs", &["any", "read-write", "read-only"]),
    ("tcp_user_timeout", &[]),
    ("user", &[]),
];

const NUMBERS: [&str; 5] =
    ["connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_retries", "tcp_user_timeout"];

/// What to do about parameters that other drivers and tools understand.
const ADVICE: [(&[&str], &str); 5] = [
    (
        &["pgbouncer", "connection_limit", "pool_timeout", "statement_cache_size", "prepareThreshold"],
        "leave it out; behind a pooler in transaction mode give the node a direct URL to listen on as well",
    ),
    (&["schema", "currentSchema", "search_path"], "write `options=-c%20search_path%3Dname` instead"),
    (&["sslcert", "sslkey", "sslpassword", "sslidentity", "sslcrl"], "give a TLS connector of your own to the backend"),
    (
        &["service", "servicefile", "passfile"],
        "files and environment variables of libpq are not read: write host, user, password and database into the URL",
    ),
    (&["ssl", "tls", "sslaccept", "ssl_mode"], "write `sslmode=require` or `sslmode=verify-full` instead"),
];

/// Why a text is not a database URL. It never repeats the text, which contains a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("it is empty")]
    Empty,
    #[error("it is for another database: its scheme is `{0}`")]
    Scheme(String),
    #[error("its scheme is `{0}`: write `postgres://`")]
    Case(String),
    #[error("an IPv6 address stands in brackets: `postgres://user:password@[::1]:5432/database`")]
    Ipv6,
    #[error(
        "a port is a number up to 65535, behind the host: `host:5432`; a `:`, `/` or `@` of a password is written as `%3A`, `%2F` or `%40`"
    )]
    Port,
    #[error("`{0}` is not a whole number")]
    Number(String),
    #[error("it begins with neither `postgres://` nor `name=`: are there quotes or other characters around it?")]
    NoUrl,
    #[error("there is more than one `@`, or one behind the host: write all but that before the host as `%40`")]
    At,
    #[error("the parameter `{name}` is not understood: {advice}")]
    Unknown { name: String, advice: Advice },
    #[error("`{name}` is {value:?}: it can be {}", among(allowed))]
    Value { name: String, value: String, allowed: &'static [&'static str] },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advice(Option<&'static str>);

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(advice) => f.write_str(advice),
            None => {
                let names: Vec<_> = PARAMETERS.iter().map(|(name, _)| *name).collect();
                write!(f, "correct it, or leave it out. Understood are {}", names.join(", "))
            }
        }
    }
}

fn among(allowed: &[&str]) -> String {
    allowed.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
}

/// A connection string, taken apart.
#[derive(Debug)]
pub(crate) struct Url<'a> {
    /// The part of a URL before the parameters.
    base: Option<&'a str>,
    parameters: Vec<Parameter<'a>>,
}

#[derive(Debug)]
struct Parameter<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
    /// Name and value, as written.
    raw: &'a str,
}

impl<'a> Url<'a> {
    /// Takes a text apart. The driver reports other mistakes.
    pub(crate) fn parse(text: &'a str) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(UrlError::Empty);
        }
        let scheme = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme));
        let url = match scheme {
            Some(("postgres" | "postgresql", rest)) => Self::of_url(text, rest)?,
            // `postgresql+asyncpg` is SQLAlchemy's.
            Some((other, _)) if other.to_ascii_lowercase().split('+').next().is_some_and(is_ours) => {
                return Err(UrlError::Case(other.to_owned()));
            }
            Some((other, _)) => return Err(UrlError::Scheme(other.to_owned())),
            None if !text.contains('=') => return Err(UrlError::NoUrl),
            None => Self { base: None, parameters: pairs(text) },
        };
        url.check()?;
        Ok(url)
    }

    fn of_url(text: &'a str, rest: &'a str) -> Result<Self, UrlError> {
        // tokio-postgres takes the first `@` for the end of the password, which may contain a `?`.
        let after = rest.split_once('@').map_or(rest, |(_, after)| after);
        // Before that `@`, a `/` or `?` can only be in the password, after a `:`.
        let is_of_parameter = rest.split_once('@').is_some_and(|(before, _)| {
            // Or a `:` before a port.
            let has_parameter = |query: &str| PARAMETERS.iter().any(|(name, _)| query.contains(&format!("{name}=")));
            before.find(['/', '?']).is_some_and(|end| !before[..end].contains(':'))
                || before.split_once('?').is_some_and(|(_, query)| has_parameter(query))
        });
        if is_of_parameter || after.split('?').next().is_some_and(|address| address.contains('@')) {
            return Err(UrlError::At);
        }
        if hosts(after).split(',').any(|host| !host.starts_with(['[', '%']) && host.matches(':').count() > 1) {
            return Err(UrlError::Ipv6);
        }
        let port = |host: &str| {
            host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map(|(_, port)| port.to_owned())
        };
        if hosts(after).split(',').filter_map(port).any(|port| !is_port(&port)) {
            return Err(UrlError::Port);
        }
        let parameters = after.split_once('?').map_or("", |(_, parameters)| parameters);
        let base = text[..text.len() - parameters.len()].trim_end_matches('?');
        let parameters = parameters.split('&').filter(|raw| !raw.is_empty()).map(|raw| {
            let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
            let decoded = |text: &'a str| percent_decode_str(text).decode_utf8_lossy();
            Parameter { name: decoded(name), value: decoded(value), raw }
        });
        Ok(Self { base: Some(base), parameters: parameters.collect() })
    }

    fn check(&self) -> Result<(), UrlError> {
        for Parameter { name, value, .. } in &self.parameters {
            let Some((_, allowed)) = PARAMETERS.iter().find(|(known, _)| known == name) else {
                // Any other text may be part of a password.
                if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
                    return Err(UrlError::NoUrl);
                }
                // So may it be behind a password that has a blank and no quotes.
                if self.base.is_none() && self.parameters.iter().any(|parameter| parameter.name == "password") {
                    return Err(UrlError::NoUrl);
                }
                let advice = ADVICE.iter().find(|(names, _)| names.contains(&&**name)).map(|(_, advice)| *advice);
                return Err(UrlError::Unknown { name: name.clone().into_owned(), advice: Advice(advice) });
            };
            if NUMBERS.contains(&&**name) && value.parse::<i64>().is_err() {
                return Err(UrlError::Number(name.clone().into_owned()));
            }
            if name == "port" && !value.split(',').all(is_port) {
                return Err(UrlError::Port);
            }
            if !allowed.is_empty() && !allowed.contains(&&**value) {
                let (name, value) = (name.clone().into_owned(), value.clone().into_owned());
                return Err(UrlError::Value { name, value, allowed });
            }
        }
        Ok(())
    }

    /// The value of a parameter; the last one when it is given more than once.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rfind(|parameter| parameter.name == name).map(|parameter| &*parameter.value)
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.parameters.retain(|parameter| parameter.name != name);
    }

    /// A value as it is written in this text.
    pub(crate) fn escape(&self, value: &str) -> String {
        match self.base {
            Some(_) => utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
            None => format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
        }
    }

    /// Writes the text again, with more parameters, whose values are [escaped](Self::escape) where they
    /// need it.
    pub(crate) fn with(&self, more: &[(&str, String)]) -> String {
        let raw = self.parameters.iter().map(|parameter| parameter.raw.to_owned());
        // In front: after an empty value the driver would read them as that value.
        let all: Vec<_> = more.iter().map(|(name, value)| format!("{name}={value}")).chain(raw).collect();
        match self.base {
            Some(base) if all.is_empty() => base.to_owned(),
            Some(base) => format!("{base}?{}", all.join("&")),
            None => all.join(" "),
        }
    }
}

/// Empty is the default port.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.parse::<u16>().is_ok()
}

/// The hosts at the start of a URL without scheme, user and password.
fn hosts(address: &str) -> &str {
    address.split(['/', '?']).next().unwrap_or(address)
}

fn is_ours(scheme: &str) -> bool {
    ["postgres", "postgresql"].contains(&scheme)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
}

/// `key=value` pairs, up to the first text that is not a pair.
fn pairs(text: &str) -> Vec<Parameter<'_>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while let Some((pair, after)) = pair(rest) {
        pairs.push(pair);
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        // The driver reports what is wrong with it.
        pairs.push(Parameter { name: "options".into(), value: "".into(), raw: rest.trim_end() });
    }
    pairs
}

/// The pair at the start of a text, and the text after it.
fn pair(text: &str) -> Option<(Parameter<'_>, &str)> {
    let (name, after) = text.split_once('=')?;
    let name = name.trim_end();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    let written = after.trim_start();
    let mut value = String::new();
    let is_quoted = written.starts_with('\'');
    let mut chars = written.char_indices().skip(usize::from(is_quoted));
    let end = loop {
        match chars.next() {
            Some((_, '\\')) => value.extend(chars.next().map(|(_, char)| char)),
            Some((at, '\'')) if is_quoted => break at + 1,
            Some((at, char)) if !is_quoted && char.is_whitespace() => break at,
            Some((_, char)) => value.push(char),
            None if is_quoted => return None,
            None => break written.len(),
        }
    };
    let rest = &written[end..];
    let raw = &text[..text.len() - rest.len()];
    Some((Parameter { name: name.into(), value: value.into(), raw }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Url::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn what_is_wrong_is_named_with_the_remedy() {
        for (text, phrases) in [
            ("", &["empty"][..]),
            ("mysql://user@host/db", &["`mysql`", "another database"]),
            ("http://host/db", &["`http`"]),
            ("POSTGRES://host/db", &["`POSTGRES`", "write `postgres://`"]),
            ("postgresql+asyncpg://host/db", &["`postgresql+asyncpg`", "write `postgres://`"]),
            ("postgres://host:99999/db", &["port", "65535"]),
            ("postgres://host:port/db", &["port", "`%3A`"]),
            ("host=one port=abc", &["port", "65535"]),
            ("postgres://host/db?connect_timeout=abc", &["`connect_timeout`", "number"]),
            ("'postgres://host/db'", &["neither", "quotes"]),
            ("localhost", &["neither", "quotes"]),
            ("postgres://user@::1/db", &["IPv6", "brackets", "[::1]"]),
            ("postgres://one,fe80::1:5432?sslmode=disable", &["IPv6", "brackets"]),
            ("service=chat", &["`service`", "not read", "into the URL"]),
            ("postgres://user:p@ss@host/db", &["more than one `@`", "`%40`"]),
            ("postgres://user:p@s/s@host/db", &["more than one `@`", "`%40`"]),
            ("postgres://db:5432/app?user=bob@corp&password=secret", &["more than one `@`", "`%40`"]),
            ("postgres://db/app?sslmode=verify-full&user=bob@corp", &["more than one `@`", "`%40`"]),
            ("'postgres://host/db?sslmode=require'", &["neither", "quotes"]),
            ("postgres://host/db?pgbouncer=true", &["`pgbouncer`", "leave it out", "direct URL"]),
            ("postgres://host/db?schema=chat", &["`schema`", "search_path"]),
            ("postgres://host/db?sslcert=a.crt", &["`sslcert`", "connector of your own"]),
            ("postgres://host/db?colour=red", &["`colour`", "leave it out", "connect_timeout", "sslrootcert"]),
            ("postgres://host/db?sslmode=verify", &["`sslmode`", "\"verify\"", "`verify-full`"]),
            ("postgres://host/db?channel_binding=", &["`channel_binding`", "`prefer`"]),
            ("postgres://host/db?channel_binding", &["`channel_binding`", "`prefer`"]),
            ("host=one ssl=true", &["`ssl`", "sslmode=require"]),
            ("host=one sslmode='require it'", &["\"require it\"", "`require`"]),
        ] {
            let problem = problem(text);
            for phrase in phrases {
                assert!(problem.contains(phrase), "{text}: not {phrase:?} in: {problem}");
            }
        }
    }

    #[test]
    fn nothing_of_a_password_is_told() {
        for text in [
            "postgres://user:secret@x@host/db",
            "host=h password='secret",
            "host=h password=my s3cr3t=secret",
            "host=h password=my secretpw=1 dbname=chat",
            "mysql://user:secret@host",
            "\"postgres://user:secret@host/db?sslmode=require\"",
            "postgres:/user:secret@host/db?x=1",
            "postgres://user:p@ss?secret0@host/db",
        ] {
            let told = Url::parse(text).map_or_else(|error| error.to_string(), |_| String::new());
            assert!(!told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn parameters_are_found_and_taken_out_and_nothing_else_changes() {
        for (text, value, without) in [
            (
                "postgres://user:a?b/c#d@host/db?sslmode=require&connect_timeout=3",
                "require",
                "postgres://user:a?b/c#d@host/db?connect_timeout=3",
            ),
            ("postgres://[::1]:5432,[fe80::1]/db?sslmode=allow", "allow", "postgres://[::1]:5432,[fe80::1]/db"),
            ("postgresql://host?sslmode=verify%2Dca", "verify-ca", "postgresql://host"),
            ("postgres://host/db?sslmode=disable&&sslmode=prefer&", "prefer", "postgres://host/db"),
            (
                r"host=h password='with \' and = ' sslmode = require user=me",
                "require",
                r"host=h password='with \' and = ' user=me",
            ),
            ("sslmode='verify-full' host=h", "verify-full", "host=h"),
        ] {
            let mut url = Url::parse(text).unwrap();
            assert_eq!(url.get("sslmode"), Some(value), "{text}");
            url.remove("sslmode");
            assert_eq!(url.with(&[]), without);
        }
    }

    #[test]
    fn what_is_no_list_of_pairs_is_left_to_the_driver() {
        for text in ["host=h nonsense", "password='open", "=x"] {
            assert_eq!(Url::parse(text).unwrap().with(&[]), text);
        }
    }
}
