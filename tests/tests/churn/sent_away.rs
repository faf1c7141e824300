//! Clients that are sent away are told apart from clients that are lost. In a round this race is
//! rare.

use socketio_pg_core::{
    Cluster, Options, PostgresAdapter,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketio_pg_tests::{ClientHost, Connect, NODE, require};
use socketioxide::SocketIo;
use tokio::net::TcpListener;

use crate::{Result, crowd::is_sent_away};

#[tokio::test]
async fn a_client_of_a_replaced_namespace_is_sent_away_and_one_that_the_server_disconnects_is_not() -> Result {
    if !require(&NODE) {
        return Ok(());
    }
    let cluster = Cluster::<MemoryBackend>::connect(MemoryDatabase::default().backend(), Options::default()).await?;
    let (layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_, _>>(cluster).build_layer();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().layer(layer)).await });
    let host = ClientHost::start().await?;

    for namespace in ["/replaced", "/ended"] {
        io.ns(namespace, async || {}).await?;
    }
    let replaced = host.connect(port, &Connect::to("/replaced")).await?;
    let ended = host.connect(port, &Connect::to("/ended")).await?;
    assert!(!is_sent_away(&replaced).await);
    io.ns("/replaced", async || {}).await?;
    io.of("/ended").ok_or("it is there")?.disconnect().await.map_err(|error| error.to_string())?;
    for client in [&replaced, &ended] {
        client.wait_for_disconnect().await?;
    }
    assert!(is_sent_away(&replaced).await);
    assert!(!is_sent_away(&ended).await);
    Ok(())
}
