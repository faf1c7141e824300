//! The table "A client that connects", as the set-up of the Rust server.

use std::{
    future::{Ready, ready},
    net::SocketAddr,
    sync::Mutex,
};

use axum::{Router, extract::ConnectInfo};
use serde_json::{Value, json};
use socketio_pg_tests::{ClientHost, Connect};
use socketio_pg_tokio_postgres::{Cluster, Error, Options, PostgresAdapter, SocketData, record_handshake};
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, Event, SocketRef},
    handler::ConnectHandler,
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::cluster::{Adapter, Both, Result};

/// The ids of the sockets that have disconnected.
static DISCONNECTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

type A = Adapter;

pub(crate) async fn start(database: String) -> Result<(SocketIo<A>, Cluster, u16, JoinHandle<()>)> {
    let cluster = Cluster::connect(database, Options::default()).await?;
    let (layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster.clone()).build_layer();
    cluster.attach_with_address(&io, |request| Some(request.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
    // io.on("connection", handler)
    io.ns("/", handler.with(record_handshake)).await?;
    // io.of("/admin").on("connection", handler)
    io.ns("/admin", handler.with(record_handshake)).await?;
    // io.of(/^\/room-\d+$/)
    io.dyn_ns("/room/{id}", handler.with(record_handshake))?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let app = Router::new().layer(layer).into_make_service_with_connect_info::<SocketAddr>();
    let serving = serve(io.clone(), cluster.clone(), listener, app);
    let serving = tokio::spawn(async { serving.await.expect("it serves") });
    Ok((io, cluster, port, serving))
}

async fn serve(
    io: SocketIo<A>,
    cluster: Cluster,
    listener: TcpListener,
    app: axum::extract::connect_info::IntoMakeServiceWithConnectInfo<Router, SocketAddr>,
) -> std::io::Result<()> {
    // io.close() on SIGTERM
    cluster.serve(&io, |shutdown| axum::serve(listener, app).with_graceful_shutdown(shutdown)).await
}

/// The same by hand.
pub(crate) async fn close(io: &SocketIo<A>, cluster: &Cluster) {
    io.close().await;
    cluster.close().await;
}

// Not async: such a handler begins after the client was told that it is connected.
fn handler(socket: SocketRef<A>, auth: Data<Value>) -> Ready<()> {
    // socket.handshake.auth
    fn given<T>(Data(auth): Data<T>) -> T {
        auth
    }
    let auth = given(auth);

    // socket.handshake.headers, .query
    let (headers, query) = (&socket.req_parts().headers, socket.req_parts().uri.query());
    let tenant = headers.get("x-tenant").and_then(|tenant| tenant.to_str().ok());

    // socket.handshake.address
    let address = socket.req_parts().extensions.get::<ConnectInfo<SocketAddr>>();
    let address = address.map(|ConnectInfo(address)| address.ip().to_string());

    let json = json!({ "auth": auth, "tenant": tenant, "query": query, "address": address });
    let user = "ada";
    let store = || {
        // socket.data.user = user
        socket.extensions.insert(user);
        socket.extensions.insert(SocketData::new(&json)?);
        Ok::<_, Error>(())
    };
    store().expect("JSON can be stored");

    // socket.on("e", (data, callback) => …)
    socket.on("e", async |socket: SocketRef<A>, Data::<String>(data), ack: AckSender<A>| {
        let user = socket.extensions.get::<&str>();
        ack.send(&format!("{data} of {}", user.unwrap_or_default())).expect("the client is there");
    });
    // socket.onAny(…)
    socket.on_fallback(async |socket: SocketRef<A>, Event(name): Event| {
        socket.emit("not known", &name).expect("the client is there");
    });
    // socket.on("disconnect", …)
    socket.on_disconnect(async |socket: SocketRef<A>| DISCONNECTED.lock().unwrap().push(socket.id.to_string()));
    ready(())
}

pub(crate) async fn is_seen(both: &Both) -> Result {
    let how = Connect::default()
        .auth(json!({ "token": "t" }))
        .query(json!({ "version": "7" }))
        .headers(json!({ "x-tenant": "acme" }));
    let client = ClientHost::shared().await?.connect(both.port, &how).await?;
    let found = both.node.call("fetchSockets", json!({ "rooms": [client.id()] })).await?;
    // Node.js sees the same in the handshake that the handler saw in the request.
    let (handshake, data) = (&found[0]["handshake"], &found[0]["data"]);
    assert_eq!((&data["auth"], &data["tenant"]), (&handshake["auth"], &handshake["headers"]["x-tenant"]));
    assert_eq!(data["address"], handshake["address"]);
    let url = handshake["url"].as_str().ok_or("it has a URL")?;
    assert_eq!(data["query"].as_str(), url.split_once('?').map(|(_, query)| query));
    assert_eq!((&data["auth"]["token"], &data["address"]), (&json!("t"), &json!("127.0.0.1")));
    Ok(client.disconnect().await?)
}

pub(crate) async fn is_heard(both: &Both) -> Result {
    let (io, host) = (&both.io, ClientHost::shared().await?);
    for namespace in ["/", "/admin", "/room/7"] {
        let client = host.connect(both.port, &Connect::to(namespace)).await?;
        assert_eq!(client.ask("e", json!(["text"])).await?, Ok(vec![json!("text of ada")]));
        client.emit("another event", json!([1])).await?;
        assert_eq!(client.wait_for_packet("not known").await?, [json!("another event")]);
        let id = client.id().to_owned();
        client.disconnect().await?;
        both.until("the handler has run", || DISCONNECTED.lock().unwrap().contains(&id)).await;
    }
    assert!(io.of("/room/7").is_some());
    // cleanupEmptyChildNamespaces
    io.delete_ns("/room/7");
    assert!(io.of("/room/7").is_none());
    Ok(())
}
