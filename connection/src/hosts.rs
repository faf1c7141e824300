//! Tries the hosts of a connection's settings one after the other.
//!
//! The driver does so too, but its `connect_timeout` ends when the socket is connected: it never
//! gets past a host that accepts connections and does not reply.

use tokio::time::timeout;
use tokio_postgres::{Client, Config, Connection, Error, Socket, tls::MakeTlsConnect};

use crate::{
    settings::{host_name, per_host, total_connect_timeout},
    slow_hosts::SlowHosts,
};

/// Connects to the first host that replies. Each host has its time, and hosts that were slow before
/// come last. The last one has the time that the caller gives it.
pub async fn connect<T>(
    config: &Config,
    tls: T,
    slow_hosts: &SlowHosts,
) -> Result<(Client, Connection<Socket, T::Stream>), Error>
where
    T: MakeTlsConnect<Socket> + Clone,
{
    let mut hosts = per_host(config);
    slow_hosts.move_to_end(&mut hosts, host_name);
    let Some(last) = hosts.pop() else { return config.connect(tls).await };
    for host in hosts {
        let attempt = slow_hosts.attempt(host_name(&host));
        if let Ok(Ok(connected)) = timeout(total_connect_timeout(&host), host.connect(tls.clone())).await {
            attempt.connected();
            return Ok(connected);
        }
    }
    let attempt = slow_hosts.attempt(host_name(&last));
    let connected = last.connect(tls).await?;
    attempt.connected();
    Ok(connected)
}
