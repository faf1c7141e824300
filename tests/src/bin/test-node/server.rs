//! The role `server`: the kit's server, with what only the tests of this project need.

use socketio_pg_core::{Cluster, PostgresAdapter, backend::Backend};
use socketio_pg_kit::{
    harness,
    partner::{self, Extension, ServerSettings, commands::Answer},
};
use socketioxide::{
    SocketIo,
    adapter::{Adapter, Emitter},
    extract::SocketRef,
};

use crate::{
    borrowed_pool, crowd,
    options::{Options, Parser},
};

#[derive(Clone)]
struct Additions {
    admin: Option<socketio_pg_admin_ui::AdminOptions>,
}

impl Extension for Additions {
    fn on_socket<A: Adapter>(&self, socket: &SocketRef<A>) {
        crowd::serve(socket);
    }

    async fn on_server<B: Backend>(
        &self,
        io: &SocketIo<PostgresAdapter<Emitter, B>>,
        cluster: &Cluster<B>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        if let Some(options) = self.admin.clone() {
            socketio_pg_admin_ui::instrument(io, cluster, options).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, op: &str) -> Option<Answer> {
        match op {
            "exhaustPool" => Some(borrowed_pool::exhaust().await),
            "releasePool" => Some(borrowed_pool::release()),
            _ => None,
        }
    }
}

/// Serves until the end of input, then leaves the cluster.
pub(crate) async fn serve<B: Backend>(
    cluster: Cluster<B>,
    options: &Options,
) -> Result<(), Box<dyn std::error::Error>> {
    let parser = match options.parser {
        Parser::Common => harness::Parser::Common,
        Parser::Msgpack => harness::Parser::MsgPack,
    };
    let settings = ServerSettings {
        namespaces: options.namespaces.clone(),
        dynamic_namespaces: options.dynamic_namespaces.clone(),
        parser,
    };
    partner::run(cluster, &settings, Additions { admin: options.admin()? }).await
}
