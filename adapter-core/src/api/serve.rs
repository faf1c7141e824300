//! Serves HTTP until the process is told to end, then leaves the cluster in the right order.

use std::{
    future::{Future, IntoFuture, pending},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Instant,
};

use socketioxide::{SocketIo, adapter::Adapter};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::{sync::oneshot, time::timeout};

use crate::{api::cluster::Cluster, backend::Backend};

/// Resolves when an HTTP server must end: what `with_graceful_shutdown` of axum takes.
#[derive(Debug)]
#[must_use = "it does nothing unless it is awaited"]
pub struct Shutdown(oneshot::Receiver<()>);

impl Future for Shutdown {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // A sender that is dropped means the same.
        Pin::new(&mut self.0).poll(context).map(drop)
    }
}

impl<B: Backend> Cluster<B> {
    /// Runs an HTTP server until the process gets SIGTERM or Ctrl-C, then leaves: the HTTP server
    /// accepts no more clients, connected clients are disconnected, and the node tells the other
    /// nodes that it leaves, so that their requests do not wait for it.
    ///
    /// That takes [`Options::leave_timeout`](crate::Options::leave_timeout) at most, 8 seconds by
    /// default: below the 10 that Docker gives a container. A second signal ends it at once.
    ///
    /// ```no_run
    /// # use socketio_pg_core::{Cluster, backend::Backend};
    /// # async fn example<B: Backend>(
    /// #     cluster: Cluster<B>,
    /// #     io: socketioxide::SocketIo,
    /// #     app: axum::Router,
    /// # ) -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// cluster
    ///     .serve(&io, |shutdown| axum::serve(listener, app).with_graceful_shutdown(shutdown))
    ///     .await
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of the HTTP server.
    pub async fn serve<A, S, E>(&self, server: &SocketIo<A>, http: impl FnOnce(Shutdown) -> S) -> Result<(), E>
    where
        A: Adapter,
        S: IntoFuture<Output = Result<(), E>>,
    {
        let (mut first, mut second) = (Signals::new(), Signals::new());
        let leave = async {
            let signal = first.next().await;
            tracing::info!(signal, "leaving the cluster");
        };
        let again = async {
            second.next().await;
            second.next().await
        };
        tokio::select! {
            ended = self.serve_until(leave, server, http) => ended,
            signal = again => {
                tracing::warn!(signal, "the second signal: not waiting for what is still open");
                // Still tells the other nodes, as far as that is possible without waiting.
                let _ = futures_util::poll!(pin!(self.close()));
                Ok(())
            }
        }
    }

    /// As [`Self::serve`], until `leave` ends instead of a signal.
    ///
    /// # Errors
    /// The errors of the HTTP server.
    pub async fn serve_until<A, S, E>(
        &self,
        leave: impl Future<Output = ()>,
        server: &SocketIo<A>,
        http: impl FnOnce(Shutdown) -> S,
    ) -> Result<(), E>
    where
        A: Adapter,
        S: IntoFuture<Output = Result<(), E>>,
    {
        let (shut_down, told) = oneshot::channel();
        let mut serving = pin!(http(Shutdown(told)).into_future());
        let ended = tokio::select! {
            ended = &mut serving => Some(ended),
            () = leave => None,
        };
        // All at once: long polls end only when their clients are disconnected, and the HTTP server
        // waits for long polls.
        drop(shut_down);
        let limit = self.options().leave_timeout;
        let begun = Instant::now();
        // Where clients or PostgreSQL hang, this still tells the other nodes in time.
        let leaving = async {
            if timeout(limit / 2, server.close()).await.is_err() {
                tracing::warn!("clients were not disconnected within half of the time to leave");
            }
            self.close().await;
        };
        let (ended, left) = tokio::join!(
            async {
                match ended {
                    Some(ended) => Ok(ended),
                    None => timeout(limit, serving).await,
                }
            },
            timeout(limit, leaving)
        );
        if left.is_err() {
            tracing::warn!(?limit, "the node did not leave the cluster in time: what it sent last may be lost");
        } else {
            let took = format_args!("{:.1}s", begun.elapsed().as_secs_f64());
            tracing::info!(%took, "left the cluster");
        }
        ended.unwrap_or_else(|_| {
            tracing::warn!(?limit, "requests were still open when the time to leave ran out");
            Ok(())
        })
    }
}

/// The signals that tell a process to end. A signal between two calls of [`next`](Self::next) is
/// not missed.
struct Signals {
    #[cfg(unix)]
    terminate: Option<Signal>,
    #[cfg(unix)]
    interrupt: Option<Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        let of = |kind| {
            let listening = signal(kind);
            listening.inspect_err(|error| tracing::error!(%error, ?kind, "cannot wait for this signal: it will not make the node leave the cluster")).ok()
        };
        Self { terminate: of(SignalKind::terminate()), interrupt: of(SignalKind::interrupt()) }
    }

    async fn next(&mut self) -> &'static str {
        async fn of(signal: &mut Option<Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => pending().await,
            }
        }
        tokio::select! {
            () = of(&mut self.terminate) => "SIGTERM",
            () = of(&mut self.interrupt) => "Ctrl-C",
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self {}
    }

    async fn next(&mut self) -> &'static str {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "cannot wait for Ctrl-C: it will not make the node leave the cluster");
            pending::<()>().await;
        }
        "Ctrl-C"
    }
}
