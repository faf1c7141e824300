//! Trying the hosts of a connection's settings one after the other.
//!
//! The driver does so too, but its `connect_timeout` ends when the socket is connected: behind a host that takes connections and says
//! nothing it never comes to the next one.

use crate::settings::{per_host, total_connect_timeout};
use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{
    Client, Config, Connection, Error, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

/// Connects to the first host that answers, each in its time. The last one has what the caller gives it.
pub(crate) async fn connect<T>(config: &Config, tls: T) -> Result<(Client, Connection<Socket, T::Stream>), Error>
where
    T: MakeTlsConnect<Socket> + Clone,
{
    let mut hosts = per_host(config);
    let Some(last) = hosts.pop() else { return config.connect(tls).await };
    for host in hosts {
        if let Ok(Ok(connected)) = timeout(total_connect_timeout(&host), host.connect(tls.clone())).await {
            return Ok(connected);
        }
    }
    last.connect(tls).await
}

/// How the pool makes its connections.
pub(crate) struct FirstThatAnswers<T>(pub(crate) T);

impl<T> Connect for FirstThatAnswers<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + Sync,
    T::TlsConnect: Send + Sync,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let (config, tls) = (config.clone(), self.0.clone());
        Box::pin(async move {
            let (client, connection) = connect(&config, tls).await?;
            // Why it ended, whoever uses the client is told.
            Ok((client, tokio::spawn(async move { drop(connection.await) })))
        })
    }
}
