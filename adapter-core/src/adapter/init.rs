//! The future that `io.ns(…)` returns: it resolves when the namespace has joined the cluster.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use socketioxide_core::adapter::Spawnable;
use tokio::task::JoinHandle;

use crate::error::Error;

/// Resolves once the namespace has joined the cluster. What `io.ns(…)` returns.
///
/// The namespace joins in the background, also when this is not awaited, and accepts clients
/// meanwhile. When it cannot join, the error says why.
#[must_use = "it tells when the namespace has joined the cluster, or why it cannot"]
pub struct Init(InitState);

enum InitState {
    Joining(JoinHandle<Result<(), Error>>),
    Failed(Option<Error>),
}

impl Init {
    pub(super) fn joining(task: JoinHandle<Result<(), Error>>) -> Self {
        Self(InitState::Joining(task))
    }

    pub(super) fn failed(error: Error) -> Self {
        Self(InitState::Failed(Some(error)))
    }
}

impl Future for Init {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            // The task ends early only when its runtime ends.
            InitState::Joining(joining) => {
                Pin::new(joining).poll(context).map(|joined| joined.unwrap_or(Err(Error::Closed)))
            }
            InitState::Failed(error) => Poll::Ready(Err(error.take().unwrap_or(Error::Closed))),
        }
    }
}

impl Spawnable for Init {
    fn spawn(self) {
        tokio::spawn(async move {
            match self.await {
                // The namespace was deleted, or the node left, before the namespace had joined.
                Ok(()) | Err(Error::Closed) => {}
                Err(error) => tracing::error!(%error, "a namespace could not join the cluster"),
            }
        });
    }
}
