//! The operations that are swept, and the effect of each on clients.

use futures_util::{StreamExt, future::BoxFuture};
use socketio_pg_core::backend::Backend;

use crate::clients::Server;

/// The effect of an operation, once it was polled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Does {
    /// Every client gets the event `swept` with the number of the round.
    Event,
    /// Every client joins the room `swept`.
    Join,
    /// Every client leaves the room `swept`.
    Leave,
    /// Every client leaves the namespace.
    Disconnect,
    /// The other server gets the event `swept` with the number of the round.
    ServerSide,
    Nothing,
}

/// An operation of a server; the number identifies the round.
pub struct Operation<B: Backend> {
    pub name: &'static str,
    pub does: Does,
    pub run: for<'a> fn(&'a Server<B>, usize) -> BoxFuture<'a, ()>,
}

/// More than fits into a notification.
pub fn large() -> String {
    "x".repeat(9_000)
}

/// All operations of a server and of a handle, on one client at each of two servers.
pub fn all<B: Backend>() -> Vec<Operation<B>> {
    let mut all = of_servers();
    all.extend(of_handles());
    all
}

fn of_servers<B: Backend>() -> Vec<Operation<B>> {
    vec![
        Operation {
            name: "io.emit",
            does: Does::Event,
            run: |server, number| {
                Box::pin(async move { server.io.of("/").unwrap().emit("swept", &number).await.unwrap() })
            },
        },
        Operation {
            name: "io.emit, large",
            does: Does::Event,
            run: |server, number| {
                Box::pin(async move { server.io.of("/").unwrap().emit("swept", &(number, large())).await.unwrap() })
            },
        },
        Operation {
            name: "io.emit_with_ack",
            does: Does::Event,
            run: |server, number| {
                Box::pin(async move {
                    let acks = server.io.of("/").unwrap().emit_with_ack::<_, String>("swept", &number).await.unwrap();
                    let acks: Vec<_> = acks.map(|(_, ack)| ack.unwrap()).collect().await;
                    assert_eq!(acks, ["yes", "yes"]);
                })
            },
        },
        Operation {
            name: "io.join",
            does: Does::Join,
            run: |server, _| Box::pin(async move { server.io.of("/").unwrap().join("swept").await.unwrap() }),
        },
        Operation {
            name: "io.leave",
            does: Does::Leave,
            run: |server, _| Box::pin(async move { server.io.of("/").unwrap().leave("swept").await.unwrap() }),
        },
        Operation {
            name: "io.disconnect",
            does: Does::Disconnect,
            run: |server, _| Box::pin(async move { server.io.of("/").unwrap().disconnect().await.unwrap() }),
        },
        Operation {
            name: "io.fetch_sockets",
            does: Does::Nothing,
            run: |server, _| {
                Box::pin(async move {
                    assert_eq!(server.io.of("/").unwrap().fetch_sockets().await.unwrap().len(), 2);
                })
            },
        },
        Operation {
            name: "io.rooms",
            does: Does::Nothing,
            run: |server, _| Box::pin(async move { drop(server.io.of("/").unwrap().rooms().await.unwrap()) }),
        },
    ]
}

fn of_handles<B: Backend>() -> Vec<Operation<B>> {
    vec![
        Operation {
            name: "cluster.emit",
            does: Does::Event,
            run: |server, number| Box::pin(async move { server.cluster.of("/").emit("swept", &number).await.unwrap() }),
        },
        Operation {
            name: "cluster.emit_with_ack",
            does: Does::Event,
            run: |server, number| {
                Box::pin(async move {
                    let acks = server.cluster.of("/").emit_with_ack::<_, String>("swept", &number).await.unwrap();
                    let (acks, outcome) = acks.all().await;
                    outcome.unwrap();
                    assert_eq!(acks, ["yes", "yes"]);
                })
            },
        },
        Operation {
            name: "cluster.sockets_join",
            does: Does::Join,
            run: |server, _| Box::pin(async move { server.cluster.of("/").sockets_join(["swept"]).await.unwrap() }),
        },
        Operation {
            name: "cluster.sockets_leave",
            does: Does::Leave,
            run: |server, _| Box::pin(async move { server.cluster.of("/").sockets_leave(["swept"]).await.unwrap() }),
        },
        Operation {
            name: "cluster.disconnect_sockets",
            does: Does::Disconnect,
            run: |server, _| Box::pin(async move { server.cluster.of("/").disconnect_sockets(false).await.unwrap() }),
        },
        Operation {
            name: "cluster.fetch_sockets",
            does: Does::Nothing,
            run: |server, _| {
                Box::pin(async move { assert_eq!(server.cluster.of("/").fetch_sockets().await.unwrap().len(), 2) })
            },
        },
        Operation {
            name: "cluster.count",
            does: Does::Nothing,
            run: |server, _| {
                Box::pin(async move { assert_eq!(server.cluster.of("/").socket_count().await.unwrap(), 2) })
            },
        },
        Operation {
            name: "cluster.socket_ids",
            does: Does::Nothing,
            run: |server, _| {
                Box::pin(async move { assert_eq!(server.cluster.of("/").socket_ids().await.unwrap().len(), 2) })
            },
        },
        Operation {
            name: "cluster.server_side_emit",
            does: Does::ServerSide,
            run: |server, number| {
                Box::pin(async move { server.cluster.of("/").server_side_emit("swept", &number).await.unwrap() })
            },
        },
        Operation {
            name: "cluster.server_side_emit_with_ack",
            does: Does::ServerSide,
            run: |server, number| {
                Box::pin(async move {
                    let asked = server.cluster.of("/").server_side_emit_with_ack::<_, usize>("swept", &number).await;
                    let (answers, outcome) = asked.unwrap().all().await;
                    outcome.unwrap();
                    assert_eq!(answers, [number]);
                })
            },
        },
    ]
}
