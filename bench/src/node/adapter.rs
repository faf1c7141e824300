//! All contenders that are adapters for socketioxide, driven as socketioxide drives them.
//!
//! `SocketIo::emit` encodes the data, makes a packet of it and calls `CoreAdapter::broadcast`: so
//! does [`Adapter::emit`]. On the receiving side the adapter hands the encoded packet to the
//! `SocketEmitter`, where socketioxide would write it to its clients' queues: there [`Sockets`]
//! counts it.

use std::{fmt::Display, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt};
use socketioxide_core::{
    Str, Uid,
    adapter::{BroadcastFlags, BroadcastOptions, CoreAdapter, CoreLocalAdapter},
    packet::Packet,
};
use tokio_postgres::NoTls;

use super::{Node, Setup, path, sockets::Sockets, tally::Tally};
use crate::{
    clock,
    event::{Header, Load},
};

/// How long an acknowledged event waits: longer than the run, so that a missing acknowledgement
/// shows.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A node of any adapter.
pub(crate) struct Adapter<A> {
    adapters: Vec<(Str, Arc<A>)>,
}

/// This project's adapter on tokio-postgres, as its documentation starts it.
pub(crate) async fn tokio_postgres(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<impl Node, String> {
    use socketio_pg_tokio_postgres::{Cluster, Options, PostgresAdapter};
    let cluster = Cluster::connect(&setup.url, Options::default()).await.map_err(text)?;
    Adapter::<PostgresAdapter<Sockets>>::start(&cluster, setup, tallies).await
}

/// The same with a catch-up log that goes back for five minutes.
pub(crate) async fn logged(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<impl Node, String> {
    use socketio_pg_tokio_postgres::{CatchUp, Cluster, Options, PostgresAdapter};
    let options = Options::default().catch_up(CatchUp::last(Duration::from_secs(300)));
    let cluster = Cluster::connect(&setup.url, options).await.map_err(text)?;
    Adapter::<PostgresAdapter<Sockets>>::start(&cluster, setup, tallies).await
}

/// This project's adapter on diesel-async, as its documentation starts it.
pub(crate) async fn diesel(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<impl Node, String> {
    use socketio_pg_diesel::{Cluster, Options, PostgresAdapter};
    let cluster = Cluster::connect(&setup.url, Options::default()).await.map_err(text)?;
    Adapter::<PostgresAdapter<Sockets>>::start(&cluster, setup, tallies).await
}

/// With binary in notifications, as no server is on Node.js. It is ready once it does so: a server
/// that has just joined does not know yet who else is there.
pub(crate) async fn tokio_postgres_inline(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<impl Node, String> {
    use socketio_pg_tokio_postgres::{Cluster, Options, PostgresAdapter};
    let cluster = Cluster::connect(&setup.url, Options::default().inline_binary(true)).await.map_err(text)?;
    let adapter = Adapter::<PostgresAdapter<Sockets>>::start(&cluster, setup, tallies).await?;
    until_inline(|| cluster.health()).await;
    Ok(adapter)
}

/// The same on diesel-async.
pub(crate) async fn diesel_inline(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<impl Node, String> {
    use socketio_pg_diesel::{Cluster, Options, PostgresAdapter};
    let cluster = Cluster::connect(&setup.url, Options::default().inline_binary(true)).await.map_err(text)?;
    let adapter = Adapter::<PostgresAdapter<Sockets>>::start(&cluster, setup, tallies).await?;
    until_inline(|| cluster.health()).await;
    Ok(adapter)
}

/// Without heartbeats: the servers watch each other's sessions.
pub(crate) async fn tokio_postgres_watching(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<impl Node, String> {
    use socketio_pg_tokio_postgres::{Cluster, Options, PostgresAdapter};
    let cluster = Cluster::connect(&setup.url, Options::default().watch_sessions(true)).await.map_err(text)?;
    Adapter::<PostgresAdapter<Sockets>>::start(&cluster, setup, tallies).await
}

/// The same on diesel-async.
pub(crate) async fn diesel_watching(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<impl Node, String> {
    use socketio_pg_diesel::{Cluster, Options, PostgresAdapter};
    let cluster = Cluster::connect(&setup.url, Options::default().watch_sessions(true)).await.map_err(text)?;
    Adapter::<PostgresAdapter<Sockets>>::start(&cluster, setup, tallies).await
}

async fn until_inline(health: impl Fn() -> socketio_pg_tokio_postgres::Health) {
    while !health().namespaces.iter().all(|namespace| namespace.inline_binary) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// socketioxide-postgres on tokio-postgres: one connection for all it does.
pub(crate) async fn peer_tokio_postgres(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<impl Node, String> {
    use socketioxide_postgres::{PostgresAdapterCtr, TokioPostgresAdapter};
    let config = setup.url.parse().map_err(text::<tokio_postgres::Error>)?;
    let state = PostgresAdapterCtr::new_with_tokio_postgres(config, NoTls).await.map_err(text)?;
    Adapter::<TokioPostgresAdapter<Sockets>>::start(&state, setup, tallies).await
}

/// socketioxide-postgres on sqlx, with sqlx' default pool of 10. Each namespace keeps one of its
/// connections, so it gets one more for each further namespace.
pub(crate) async fn peer_sqlx(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<impl Node, String> {
    use socketioxide_postgres::{PostgresAdapterCtr, SqlxAdapter, drivers::sqlx::sqlx_client::postgres::PgPoolOptions};
    const DEFAULT: u32 = 10;
    let listeners = if setup.namespaces > 1 { u32::try_from(setup.namespaces).unwrap_or(u32::MAX) } else { 0 };
    let pool = PgPoolOptions::new().max_connections(DEFAULT.saturating_add(listeners));
    let pool = pool.connect(&setup.url).await.map_err(text)?;
    let state = PostgresAdapterCtr::new_with_sqlx(pool);
    Adapter::<SqlxAdapter<Sockets>>::start(&state, setup, tallies).await
}

/// socketioxide-redis on the redis crate.
pub(crate) async fn redis(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<impl Node, String> {
    use socketioxide_redis::{RedisAdapter, RedisAdapterCtr, drivers::redis::redis_client::Client};
    let client = Client::open(setup.url.as_str()).map_err(text)?;
    let state = RedisAdapterCtr::new_with_redis(&client).await.map_err(text)?;
    Adapter::<RedisAdapter<Sockets>>::start(&state, setup, tallies).await
}

impl<A: CoreAdapter<Sockets>> Adapter<A> {
    async fn start<E>(state: &A::State, setup: &Setup, tallies: &[Arc<Tally>]) -> Result<Self, String>
    where
        A::InitRes: Future<Output = Result<(), E>>,
        E: Display,
    {
        let server = Uid::new();
        let mut adapters = Vec::new();
        for (namespace, tally) in tallies.iter().enumerate() {
            let path = Str::from(path(namespace));
            let sockets = Sockets::new(path.clone(), server, setup.sockets, tally.clone());
            let adapter = Arc::new(A::new(state, CoreLocalAdapter::new(sockets)));
            adapter.clone().init(|| ()).await.map_err(text)?;
            adapters.push((path, adapter));
        }
        Ok(Self { adapters })
    }
}

impl<A: CoreAdapter<Sockets>> Node for Adapter<A> {
    async fn emit(&self, namespace: usize, run: u64, sequence: u64, load: Load) -> Result<(), String> {
        let (path, adapter) = &self.adapters[namespace];
        let data = load.encode(Header { run, sequence, stamp: clock::now() })?;
        adapter.broadcast(Packet::event(path.clone(), data), everyone()).await.map_err(text)
    }

    async fn nodes(&self, namespace: usize) -> Result<usize, String> {
        self.adapters[namespace].1.server_count().map(|count| count.map(usize::from).map_err(text)).await
    }

    async fn fetch_sockets(&self) -> Result<usize, String> {
        Ok(self.adapters[0].1.fetch_sockets(everyone()).await.map_err(text)?.len())
    }

    async fn broadcast_with_ack(&self) -> Result<usize, String> {
        let (path, adapter) = &self.adapters[0];
        let data = Load::Small.encode(Header { run: 0, sequence: 0, stamp: clock::now() })?;
        let packet = Packet::event(path.clone(), data);
        let acks = adapter.broadcast_with_ack(packet, everyone(), Some(ACK_TIMEOUT)).await.map_err(text)?;
        Ok(acks.filter(|(_, ack)| std::future::ready(ack.is_ok())).count().await)
    }
}

/// The options that `SocketIo::emit` uses.
fn everyone() -> BroadcastOptions {
    let mut options = BroadcastOptions::default();
    options.add_flag(BroadcastFlags::Broadcast);
    options
}

fn text<E: Display>(error: E) -> String {
    error.to_string()
}
