//! Trying the hosts of a connection's settings one after the other.
//!
//! The driver does so too, but its `connect_timeout` ends when the socket is connected: behind a
//! host that takes connections and says nothing it never comes to the next one.

use crate::settings::{host_name, per_host, total_connect_timeout};
use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use socketio_pg_core::backend::slow_hosts::SlowHosts;
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{
    Client, Config, Connection, Error, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

/// Connects to the first host that answers, each in its time, those that were slow before behind
/// the others. The last one has what the caller gives it.
pub(crate) async fn connect<T>(
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

/// How the pool makes its connections.
pub(crate) struct FirstThatAnswers<T> {
    pub(crate) tls: T,
    pub(crate) slow_hosts: SlowHosts,
}

impl<T> Connect for FirstThatAnswers<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + Sync,
    T::TlsConnect: Send + Sync,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let (config, tls, slow_hosts) = (config.clone(), self.tls.clone(), self.slow_hosts.clone());
        Box::pin(async move {
            let (client, connection) = connect(&config, tls, &slow_hosts).await?;
            // The user of the client is told why it ended.
            Ok((client, tokio::spawn(async move { drop(connection.await) })))
        })
    }
}
