//! Tries the hosts of a connection's settings one after the other.
//!
//! The driver does so too, but its `connect_timeout` ends when the socket is connected: it never
//! gets past a host that accepts connections and does not reply. Its error is the last host's alone.

use socketio_pg_core::backend::{BackendError, ErrorKind};
use tokio::time::timeout;
use tokio_postgres::{Client, Config, Connection, Error, Socket, tls::MakeTlsConnect};

use crate::{
    error::{connecting, describe},
    known_hosts::KnownHosts,
    settings::{per_host, total_connect_timeout},
};

/// Connects to the first host that replies. Each host has its time, and hosts that were slow before
/// come last.
///
/// # Errors
/// When no host can be used: why, for each of them.
pub async fn connect<T>(
    config: &Config,
    tls: T,
    known_hosts: &KnownHosts,
) -> Result<(Client, Connection<Socket, T::Stream>), BackendError>
where
    T: MakeTlsConnect<Socket> + Clone,
{
    let limit = total_connect_timeout(config);
    let error = match timeout(limit, connect_in_order(config, tls, known_hosts)).await {
        Ok(Ok(connected)) => return Ok(connected),
        Ok(Err(error)) => connecting(error),
        Err(_) => BackendError::new(ErrorKind::Connection, format!("it did not answer within {limit:?}")),
    };
    Err(known_hosts.explain(config, error))
}

/// As [`connect`], with the driver's error of the last host, for code that takes only those. The last
/// host has the time that the caller gives it.
pub async fn connect_in_order<T>(
    config: &Config,
    tls: T,
    known_hosts: &KnownHosts,
) -> Result<(Client, Connection<Socket, T::Stream>), Error>
where
    T: MakeTlsConnect<Socket> + Clone,
{
    let mut hosts = per_host(config);
    known_hosts.move_to_end(&mut hosts);
    let Some(last) = hosts.pop() else { return config.connect(tls).await };
    for host in hosts {
        let attempt = attempt(&host, tls.clone(), known_hosts);
        if let Ok(Ok(connected)) = timeout(total_connect_timeout(&host), attempt).await {
            known_hosts.uses(config, &host);
            return Ok(connected);
        }
    }
    let connected = attempt(&last, tls, known_hosts).await?;
    known_hosts.uses(config, &last);
    Ok(connected)
}

async fn attempt<T>(
    host: &Config,
    tls: T,
    known_hosts: &KnownHosts,
) -> Result<(Client, Connection<Socket, T::Stream>), Error>
where
    T: MakeTlsConnect<Socket>,
{
    let attempt = known_hosts.attempt(host);
    let connected = host.connect(tls).await;
    match &connected {
        Ok(_) => attempt.connected(),
        Err(error) => {
            let (kind, text) = describe(error);
            attempt.failed(kind, text);
        }
    }
    connected
}
