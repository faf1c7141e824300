//! A Rust node: socketioxide under axum, with the adapter.

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr},
};

use axum::{Router, extract::ConnectInfo, serve::ListenerExt};
use socketio_pg_admin_ui::{AdminOptions, instrument};
use socketio_pg_tokio_postgres::{Cluster, Options, PostgresAdapter, record_handshake};
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler, layer::SocketIoLayer};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    page::{Kind, ServerInfo},
    visitor::{self, Here},
};

/// The largest message that a client may send, in bytes. The page sends files of up to 4 MB.
const MAX_PAYLOAD: u64 = 8 * 1024 * 1024;

/// The adapter, as socketioxide uses it.
pub(crate) type PgAdapter = PostgresAdapter<socketioxide::adapter::Emitter>;

/// A node of the cluster. It ends when this is dropped; [`stop`](Self::stop) lets it leave the
/// cluster first.
pub(crate) struct RustNode {
    info: ServerInfo,
    cluster: Cluster,
    layer: SocketIoLayer<PgAdapter>,
    listener: Option<TcpListener>,
    server: Option<JoinHandle<()>>,
}

impl RustNode {
    /// Takes a port (0: a free one) and joins the cluster. Clients are served from
    /// [`serve`](Self::serve) on.
    pub(crate) async fn join(name: &str, database_url: &str, port: u16) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|error| format!("port {port} cannot be used ({error}): give another one as --port"))?;
        let info = ServerInfo {
            name: name.to_owned(),
            kind: Kind::Rust,
            software: "socketioxide".to_owned(),
            port: listener.local_addr()?.port(),
        };

        let cluster = Cluster::connect(database_url, Options::default().node_name(name)).await?;
        let (layer, io) = SocketIo::builder()
            .max_buffer_size(10_000)
            .max_payload(MAX_PAYLOAD)
            .with_adapter::<PgAdapter>(cluster.clone())
            .build_layer();
        cluster.attach_with_address(&io, |request| Some(request.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
        let here = Here { node: info.name.clone(), cluster: cluster.clone(), io: io.clone() };
        let welcome = async move |socket: SocketRef<PgAdapter>, auth| visitor::welcome(here, socket, auth).await;
        io.ns("/", welcome.with(record_handshake)).await?;
        // Without a password: the demo listens on loopback only.
        instrument(&io, &cluster, AdminOptions::default().no_auth()).await?;
        Ok(Self { info, cluster, layer, listener: Some(listener), server: None })
    }

    /// The node's entry in the page's list.
    pub(crate) fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// Serves Socket.IO clients, and the page to browsers.
    pub(crate) fn serve(&mut self, page: Router) {
        let Some(listener) = self.listener.take() else { return };
        // Without TCP_NODELAY an event may wait 40 ms for the client's acknowledgement of the event
        // before.
        let listener = listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        let app = page.layer(self.layer.clone()).into_make_service_with_connect_info::<SocketAddr>();
        self.server = Some(tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                eprintln!("the web server ended: {error}");
            }
        }));
    }

    /// Leaves the cluster and ends.
    pub(crate) async fn stop(mut self) {
        self.cluster.close().await;
        if let Some(server) = self.server.take() {
            server.abort();
        }
    }
}
