//! What is filled in where a connection's settings say nothing.

use std::time::Duration;
use tokio_postgres::Config;

/// How long a connection may take to be made, greeting and password included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// tokio-postgres' own default, which tells whether somebody chose another: with it, a dead link is found after two hours.
const DRIVER_KEEPALIVES_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

const APPLICATION_NAME: &str = "socketio-pg";

/// Fills in so much that a dead link is found within ten seconds, as long as a silent node is waited for.
///
/// `tcp_user_timeout` finds it while data is under way, keepalives while the link is idle: both are needed.
pub(crate) fn with_defaults(mut config: Config) -> Config {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(10));
    }
    if config.get_keepalives_idle() == DRIVER_KEEPALIVES_IDLE {
        config.keepalives_idle(Duration::from_secs(4));
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(Duration::from_secs(2));
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(3);
    }
    if config.get_application_name().is_none() {
        config.application_name(APPLICATION_NAME);
    }
    config
}

/// How long making a connection may take, from its settings.
pub(crate) fn total_connect_timeout(config: &Config) -> Duration {
    config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_link_is_found_within_ten_seconds_by_default() {
        let config = with_defaults(Config::new());
        let interval = config.get_keepalives_interval().unwrap();
        let idle_link = config.get_keepalives_idle() + interval * config.get_keepalives_retries().unwrap();
        assert_eq!(idle_link, Duration::from_secs(10));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(10)));
    }

    #[test]
    fn what_was_chosen_is_kept() {
        let chosen: Config = "postgres://host?keepalives_idle=60&keepalives_interval=7&keepalives_retries=9\
                              &tcp_user_timeout=11&connect_timeout=3&application_name=mine"
            .parse()
            .unwrap();
        assert_eq!(with_defaults(chosen.clone()), chosen);
    }
}
