//! The settings of a connection, with what they leave unsaid filled in.

use socketio_pg_core::backend::{BackendError, ErrorKind};
use std::time::Duration;
use tokio_postgres::Config;

/// How long a connection may take to be made, greeting and password included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// tokio-postgres' own default, which tells whether somebody chose another: with it, a dead link is found after two hours.
const DRIVER_KEEPALIVES_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// A connection string, and what tokio-postgres reads in it.
pub(crate) struct Settings {
    text: String,
    config: Config,
}

impl Settings {
    /// Reads a URL or `key=value` pairs, and fills in so much that a dead link is found within ten seconds, as long as a silent
    /// node is waited for.
    ///
    /// It is filled in as text, since that is what a caller's own set-up of connections takes.
    pub(crate) fn parse(text: &str) -> Result<Self, BackendError> {
        let given = read(text)?;
        let mut text = text.to_owned();
        for (key, value) in unsaid(&given) {
            add(&mut text, key, value);
        }
        let config = read(&text)?;
        Ok(Self { text, config })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// How long making a connection may take in all. The driver's own timeout ends when the socket is connected, though nobody
    /// may answer there.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT)
    }
}

fn read(text: &str) -> Result<Config, BackendError> {
    text.parse().map_err(|error: tokio_postgres::Error| BackendError::new(ErrorKind::Configuration, error))
}

/// Times are in seconds, `tcp_user_timeout` too. It finds a dead link while data is under way, keepalives while the link is
/// idle: both are needed.
fn unsaid(given: &Config) -> Vec<(&'static str, &'static str)> {
    let settings = [
        (given.get_connect_timeout().is_none(), "connect_timeout", "10"),
        (given.get_tcp_user_timeout().is_none(), "tcp_user_timeout", "10"),
        (given.get_keepalives_idle() == DRIVER_KEEPALIVES_IDLE, "keepalives_idle", "4"),
        (given.get_keepalives_interval().is_none(), "keepalives_interval", "2"),
        (given.get_keepalives_retries().is_none(), "keepalives_retries", "3"),
        (given.get_application_name().is_none(), "application_name", "socketio-pg"),
    ];
    settings.into_iter().filter_map(|(is_unsaid, key, value)| is_unsaid.then_some((key, value))).collect()
}

fn add(text: &mut String, key: &str, value: &str) {
    let url = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let separator = match url {
        None => " ",
        // tokio-postgres takes the first `@` for the end of the password, which may contain a `?`.
        Some(url) => match url.split_once('@').map_or(url, |(_, rest)| rest).split_once('?') {
            None => "?",
            Some((_, parameters)) if parameters.is_empty() || parameters.ends_with('&') => "",
            Some(_) => "&",
        },
    };
    text.push_str(&format!("{separator}{key}={value}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_link_is_found_within_ten_seconds_by_default() {
        let settings = Settings::parse("postgres://host/db").unwrap();
        let config = settings.config();
        let interval = config.get_keepalives_interval().unwrap();
        let idle_link = config.get_keepalives_idle() + interval * config.get_keepalives_retries().unwrap();
        assert_eq!(idle_link, Duration::from_secs(10));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(10)));
        assert_eq!(settings.connect_timeout(), Duration::from_secs(10));
    }

    #[test]
    fn what_was_chosen_is_kept() {
        let chosen = "postgres://host?keepalives_idle=60&keepalives_interval=7&keepalives_retries=9\
                      &tcp_user_timeout=11&connect_timeout=3&application_name=mine";
        assert_eq!(Settings::parse(chosen).unwrap().text(), chosen);
    }

    #[test]
    fn nothing_else_changes_in_any_way_of_writing_it() {
        for text in [
            "postgres://host/db",
            "postgresql://user:pass?wo/rd@host1:1,host2:2/db",
            "postgres://user:a%40b@%2Fvar%2Frun/db?sslmode=require",
            "postgres://host?",
            "postgres://host/db?options=-c%20search_path%3Dchat&",
            r"host=localhost user='odd user' password='with \' and ?' dbname=db",
        ] {
            let settings = Settings::parse(text).unwrap();
            let mut expected: Config = text.parse().unwrap();
            expected
                .connect_timeout(Duration::from_secs(10))
                .tcp_user_timeout(Duration::from_secs(10))
                .keepalives_idle(Duration::from_secs(4))
                .keepalives_interval(Duration::from_secs(2))
                .keepalives_retries(3)
                .application_name("socketio-pg");
            assert_eq!(settings.config(), &expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_matter_of_configuration() {
        for text in ["localhost", "postgres://host?connect_timeout", "postgres://host:port/db"] {
            assert_eq!(Settings::parse(text).map(|_| ()).unwrap_err().kind(), ErrorKind::Configuration, "{text}");
        }
    }
}
