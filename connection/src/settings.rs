//! The settings of a connection, with defaults filled in.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::Duration,
};

use socketio_pg_core::backend::{BackendError, ErrorKind};
use tokio_postgres::{
    Config,
    config::{Host, LoadBalanceHosts, TargetSessionAttrs},
};

use crate::{
    tls::{Tls, TlsSettings},
    url::Url,
};

/// How long opening a connection may take, with TLS and password.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The same for each of several hosts, to leave time for the others.
const CONNECT_TIMEOUT_OF_SEVERAL: Duration = Duration::from_secs(3);

/// For how many addresses of one name there is time.
const ADDRESSES_OF_NAME: u32 = 2;

/// tokio-postgres' own default, which shows whether the application chose another: with it, a dead
/// link is found after two hours.
const DRIVER_KEEPALIVES_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

const DEFAULT_PORT: u16 = 5432;

const APPLICATION_NAME: &str = "socketio-pg";

/// PostgreSQL cuts a longer name.
const MAX_APPLICATION_NAME: usize = 63;

/// How long a dead link may go unnoticed while data is in flight.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// While a link is idle, these three settings do the same.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(4);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVES_RETRIES: u32 = 3;

/// What a URL, or `key=value` pairs, say of a connection.
#[derive(Clone)]
pub struct Settings {
    text: String,
    config: Config,
    tls: TlsSettings,
    has_application_name: bool,
}

impl Settings {
    /// Reads a text, and fills in defaults with which a dead link is found within ten seconds, the
    /// time-out of a silent node.
    ///
    /// # Errors
    /// When the text cannot be read, or has a parameter that is not understood. The error does not
    /// repeat a password.
    pub fn parse(text: &str) -> Result<Self, BackendError> {
        let mut url = Url::parse(text).map_err(|error| BackendError::new(ErrorKind::Url, error))?;
        let mut tls = TlsSettings::take(&mut url);
        let given = read(&url.with(&[("sslmode", tls.driver_mode().to_owned())]))?;
        if !given.get_hosts().is_empty() && !given.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_))) {
            tls.turn_off();
        }
        let mut more = vec![("sslmode", tls.driver_mode().to_owned())];
        if given.get_hosts().is_empty() && !given.get_hostaddrs().is_empty() {
            // Without a host name, the driver has no name for TLS.
            let addresses: Vec<_> = given.get_hostaddrs().iter().map(ToString::to_string).collect();
            more.push(("host", addresses.join(",")));
        }
        more.extend(unsaid(&given));
        let text = url.with(&more);
        let has_application_name = given.get_application_name().is_some();
        Ok(Self { config: read(&text)?, text, tls, has_application_name })
    }

    /// The same for the sessions of a node: with its name in `application_name`, unless the text
    /// gave one.
    #[must_use]
    pub fn of_node(&self, node_name: &str) -> Self {
        let mut of_node = self.clone();
        if let (false, Ok(mut url)) = (self.has_application_name, Url::parse(&self.text)) {
            let name = application_name(node_name);
            url.remove("application_name");
            of_node.text = url.with(&[("application_name", url.escape(&name))]);
            of_node.config.application_name(name);
        }
        of_node
    }

    /// Whether the text gives an `application_name`.
    pub fn has_application_name(&self) -> bool {
        self.has_application_name
    }

    /// As text that the driver understands: for an application's own function that makes
    /// connections.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As the driver's type.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A connector that encrypts, and checks the server's certificate, as the text says.
    ///
    /// # Errors
    /// When TLS is required and the feature `rustls` is not enabled, or when the root certificates
    /// are not where they should be.
    pub fn connector(&self) -> Result<Tls, BackendError> {
        self.tls.connector().map_err(|problem| BackendError::new(ErrorKind::Tls, problem))
    }
}

/// Without the text, which contains a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("config", &self.config).field("tls", &self.tls).finish_non_exhaustive()
    }
}

fn read(text: &str) -> Result<Config, BackendError> {
    text.parse().map_err(|error: tokio_postgres::Error| BackendError::new(ErrorKind::Url, error))
}

/// The defaults to fill in, as text; times in seconds.
fn unsaid(given: &Config) -> Vec<(&'static str, String)> {
    let filled = with_defaults(given.clone());
    let seconds = |time: Option<&Duration>| time.map(|time| time.as_secs().to_string());
    let settings = [
        ("connect_timeout", given.get_connect_timeout().is_none(), seconds(filled.get_connect_timeout())),
        ("tcp_user_timeout", given.get_tcp_user_timeout().is_none(), seconds(filled.get_tcp_user_timeout())),
        (
            "keepalives_idle",
            given.get_keepalives_idle() == DRIVER_KEEPALIVES_IDLE,
            seconds(Some(&filled.get_keepalives_idle())),
        ),
        (
            "keepalives_interval",
            given.get_keepalives_interval().is_none(),
            seconds(filled.get_keepalives_interval().as_ref()),
        ),
        (
            "keepalives_retries",
            given.get_keepalives_retries().is_none(),
            filled.get_keepalives_retries().map(|retries| retries.to_string()),
        ),
        ("target_session_attrs", needs_primary(given), Some("read-write".to_owned())),
        ("application_name", given.get_application_name().is_none(), filled.get_application_name().map(str::to_owned)),
    ];
    settings.into_iter().filter_map(|(key, is_unsaid, value)| Some((key, value.filter(|_| is_unsaid)?))).collect()
}

/// Fills in defaults with which a dead link is found within ten seconds, the time-out of a silent
/// node.
///
/// `tcp_user_timeout` finds it while data is in flight, keepalives while the link is idle: both are
/// needed. Of several hosts, one that accepts writes is taken.
pub fn with_defaults(mut config: Config) -> Config {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(default_connect_timeout(&config));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if config.get_keepalives_idle() == DRIVER_KEEPALIVES_IDLE {
        config.keepalives_idle(KEEPALIVES_IDLE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(KEEPALIVES_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVES_RETRIES);
    }
    if config.get_application_name().is_none() {
        config.application_name(APPLICATION_NAME);
    }
    if needs_primary(&config) {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    config
}

/// Whether one of several hosts may be a standby, which takes neither LISTEN nor what a node publishes.
/// Connected to it, a node would never come to the primary.
fn needs_primary(config: &Config) -> bool {
    config.get_hosts().len().max(config.get_hostaddrs().len()) > 1
        && config.get_target_session_attrs() == TargetSessionAttrs::Any
}

/// What the sessions of a node are called in PostgreSQL: `socketio-pg` and the node's name, 63 bytes
/// at most. Characters that PostgreSQL does not take there become `?`.
pub fn application_name(node_name: &str) -> String {
    let printable = |char: char| if char == ' ' || char.is_ascii_graphic() { char } else { '?' };
    let name = APPLICATION_NAME.chars().chain([' ']).chain(node_name.chars().map(printable));
    name.take(MAX_APPLICATION_NAME).collect::<String>().trim_end().to_owned()
}

/// How long connecting to one address may take unless the settings say otherwise.
fn default_connect_timeout(config: &Config) -> Duration {
    let is_one = per_host(config).is_empty();
    if is_one { CONNECT_TIMEOUT } else { CONNECT_TIMEOUT_OF_SEVERAL }
}

/// How long making a connection may take in all: the time for one address, times the addresses that
/// the settings may lead to.
pub fn total_connect_timeout(config: &Config) -> Duration {
    let each = config.get_connect_timeout().copied().unwrap_or_else(|| default_connect_timeout(config));
    each.saturating_mul(addresses(config))
}

/// The part of [`total_connect_timeout`] that silent hosts may take before one that replies.
pub fn time_for_other_hosts(config: &Config) -> Duration {
    let times: Vec<_> = per_host(config).iter().map(total_connect_timeout).collect();
    let least = times.iter().min().copied().unwrap_or_default();
    times.into_iter().fold(Duration::ZERO, Duration::saturating_add).saturating_sub(least)
}

/// How many addresses there are to try. A name may have several, commonly one of each family.
fn addresses(config: &Config) -> u32 {
    let given = config.get_hostaddrs().len();
    let of_host = |host: &Host| match host {
        Host::Tcp(name) if name.parse::<IpAddr>().is_err() => ADDRESSES_OF_NAME,
        _ => 1,
    };
    let named: u32 = config.get_hosts().iter().map(of_host).sum();
    let given = u32::try_from(given).unwrap_or(u32::MAX);
    if given > 0 { given } else { named.max(1) }
}

/// The settings of each host alone, in the order in which they are to be tried. Empty when there is
/// one host, or a mismatch that the driver will report.
pub(crate) fn per_host(config: &Config) -> Vec<Config> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    let fits = |length: usize| length == 0 || length == count;
    if count < 2 || !fits(hosts.len()) || !fits(addresses.len()) || !(fits(ports.len()) || ports.len() == 1) {
        return Vec::new();
    }
    let alone = |index: usize| {
        let mut alone = without_hosts(config);
        match hosts.get(index) {
            Some(Host::Tcp(name)) => drop(alone.host(name)),
            #[cfg(unix)]
            Some(Host::Unix(path)) => drop(alone.host_path(path)),
            None => {}
        }
        if let Some(address) = addresses.get(index) {
            alone.hostaddr(*address);
        }
        if let Some(port) = ports.get(index).or_else(|| ports.first()) {
            alone.port(*port);
        }
        alone
    };
    let mut all: Vec<_> = (0..count).map(alone).collect();
    if config.get_load_balance_hosts() == LoadBalanceHosts::Random {
        // Seeded at random, which is enough here.
        let random = RandomState::new().hash_one(count);
        all.rotate_left(usize::try_from(random % count as u64).unwrap_or(0));
    }
    all
}

/// All settings but the hosts: the driver cannot remove those.
fn without_hosts(config: &Config) -> Config {
    let mut other = Config::new();
    other
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    if let Some(user) = config.get_user() {
        other.user(user);
    }
    if let Some(password) = config.get_password() {
        other.password(password);
    }
    if let Some(database) = config.get_dbname() {
        other.dbname(database);
    }
    if let Some(options) = config.get_options() {
        other.options(options);
    }
    if let Some(name) = config.get_application_name() {
        other.application_name(name);
    }
    if let Some(time) = config.get_connect_timeout() {
        other.connect_timeout(*time);
    }
    if let Some(time) = config.get_tcp_user_timeout() {
        other.tcp_user_timeout(*time);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        other.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        other.keepalives_retries(retries);
    }
    other
}

/// A name that tells a host from the others, where the settings lead to one host: as in a URL.
pub(crate) fn host_name(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
    let address = config.get_hostaddrs().first();
    match (config.get_hosts().first(), address) {
        (Some(Host::Tcp(name)), Some(address)) if *name != address.to_string() => format!("{name} ({address}):{port}"),
        (Some(Host::Tcp(name)), _) if name.contains(':') => format!("[{name}]:{port}"),
        (Some(Host::Tcp(name)), _) => format!("{name}:{port}"),
        #[cfg(unix)]
        (Some(Host::Unix(path)), _) => format!("{}:{port}", path.display()),
        (None, Some(address)) => format!("{address}:{port}"),
        (None, None) => format!(":{port}"),
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

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
    fn there_is_time_for_every_address() {
        for (url, seconds) in [
            ("postgres://127.0.0.1/db?connect_timeout=3", 3),
            ("postgres://127.0.0.1,127.0.0.2,127.0.0.3/db?connect_timeout=3", 9),
            ("postgres://one,127.0.0.2/db?connect_timeout=3", 9),
            ("postgres://127.0.0.1/db", 10),
            ("postgres://%2Fvar%2Frun,127.0.0.2/db", 6),
            ("host=one,two hostaddr=127.0.0.1,127.0.0.2 connect_timeout=3", 6),
        ] {
            let config = with_defaults(url.parse().unwrap());
            assert_eq!(total_connect_timeout(&config), Duration::from_secs(seconds), "{url}");
        }
    }

    #[test]
    fn the_time_for_other_hosts_is_that_of_all_but_one() {
        for (url, seconds) in [
            ("postgres://one/db", 0),
            ("postgres://127.0.0.1,127.0.0.2,127.0.0.3/db", 6),
            ("postgres://one,127.0.0.2/db?connect_timeout=1", 2),
        ] {
            let config = with_defaults(url.parse().unwrap());
            assert_eq!(time_for_other_hosts(&config), Duration::from_secs(seconds), "{url}");
        }
    }

    #[test]
    fn nothing_but_the_hosts_is_lost_when_each_is_tried_alone() {
        let of = |address: &str| {
            let text = format!(
                "postgres://user:password@{address}/db?options=-c%20a%3Db&application_name=mine&sslmode=require\
                 &sslnegotiation=direct&connect_timeout=3&tcp_user_timeout=4&keepalives=0&keepalives_idle=5\
                 &keepalives_interval=6&keepalives_retries=7&target_session_attrs=read-write&channel_binding=require"
            );
            text.parse::<Config>().unwrap()
        };
        assert_eq!(per_host(&of("one:1,%2Fvar%2Frun:2")), [of("one:1"), of("%2Fvar%2Frun:2")]);
        assert_eq!(per_host(&of("one,two")), [of("one"), of("two")]);
        assert_eq!(per_host(&of("one")), []);
    }

    #[test]
    fn what_was_chosen_is_kept() {
        let chosen: Config = "postgres://host?keepalives_idle=60&keepalives_interval=7&keepalives_retries=9\
                              &tcp_user_timeout=11&connect_timeout=3&application_name=mine"
            .parse()
            .unwrap();
        assert_eq!(with_defaults(chosen.clone()), chosen);
    }

    #[test]
    fn nothing_else_changes_in_any_way_of_writing_it() {
        for text in [
            "postgres://host/db",
            "postgresql://user:pass?wo/rd@host1:1,host2:2/db",
            "postgres://user:a%40b@%2Fvar%2Frun/db?sslmode=disable",
            "postgres://host?",
            "postgres://host/db?options=-c%20search_path%3Dchat&",
            r"host=localhost user='odd user' password='with \' and ?' dbname=db",
        ] {
            let settings = Settings::parse(text).unwrap();
            let mut expected: Config = text.parse().unwrap();
            expected
                .connect_timeout(Duration::from_secs(if text.contains("host2") { 3 } else { 10 }))
                .tcp_user_timeout(Duration::from_secs(10))
                .keepalives_idle(Duration::from_secs(4))
                .keepalives_interval(Duration::from_secs(2))
                .keepalives_retries(3)
                .application_name("socketio-pg");
            if text.contains("host2") {
                expected.target_session_attrs(TargetSessionAttrs::ReadWrite);
            }
            assert_eq!(settings.config(), &expected, "{text}");
        }
    }

    #[test]
    fn sessions_are_named_after_their_node_in_63_printable_bytes() {
        for (node_name, name) in [
            ("web-1:4711", "socketio-pg web-1:4711"),
            ("", "socketio-pg"),
            ("münchen\n\u{1f980}", "socketio-pg m?nchen??"),
            (&"ä".repeat(100), &format!("socketio-pg {}", "?".repeat(51))),
            (&"x".repeat(51), &format!("socketio-pg {}", "x".repeat(51))),
        ] {
            assert_eq!(application_name(node_name), name);
        }
    }

    #[test]
    fn a_name_that_the_settings_give_is_kept_and_nothing_else_changes() {
        let node_name = r"o'brien\1 & co=%";
        for (text, name) in [
            ("postgres://user:pass@host1,host2/db", None),
            ("postgres://host/db?options=-c%20search_path%3Dchat&sslmode=require", None),
            (r"host=localhost user='odd user' password='with \' and ?' dbname=db", None),
            ("postgres://host/db?application_name=mine", Some("mine")),
            ("host=localhost application_name=socketio-pg", Some("socketio-pg")),
        ] {
            let settings = Settings::parse(text).unwrap();
            let of_node = settings.of_node(node_name);
            let mut expected = settings.config().clone();
            expected.application_name(name.unwrap_or(r"socketio-pg o'brien\1 & co=%"));
            assert_eq!(of_node.config(), &expected, "{text}");
            assert_eq!(&of_node.text().parse::<Config>().unwrap(), &expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_matter_of_the_url() {
        for text in ["localhost", "postgres://host?connect_timeout=x", "postgres://host:port/db", "postgres://h?a=b"] {
            assert_eq!(Settings::parse(text).map(|_| ()).unwrap_err().kind(), ErrorKind::Url, "{text}");
        }
    }

    #[test]
    fn the_driver_is_told_of_tls_what_it_understands() {
        for (parameters, mode) in [
            ("sslmode=verify-full&sslrootcert=system", SslMode::Require),
            ("sslmode=verify-ca", SslMode::Require),
            ("sslmode=disable", SslMode::Disable),
            ("host=%2Fvar%2Frun&sslmode=disable", SslMode::Disable),
            ("sslmode=allow", SslMode::Prefer),
            ("", SslMode::Prefer),
        ] {
            let settings = Settings::parse(&format!("postgres://host/db?{parameters}")).unwrap();
            assert_eq!(settings.config().get_ssl_mode(), mode, "{parameters}");
            assert_eq!(&settings.text().parse::<Config>().unwrap(), settings.config());
        }
        for (text, mode) in [
            ("host=db user=app sslmode=verify-full password=", None),
            (r"host=db sslmode=require password=x\", Some(SslMode::Require)),
            ("host=/var/run user=app sslmode=require", Some(SslMode::Disable)),
            ("hostaddr=127.0.0.1 sslmode=require", Some(SslMode::Require)),
        ] {
            let settings = Settings::parse(text);
            assert_eq!(settings.ok().map(|settings| settings.config().get_ssl_mode()), mode, "{text}");
        }
    }
}
