//! Cancels statements whose result is not needed any more.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio_postgres::{
    CancelToken, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

/// How long cancelling may take: it opens a separate connection.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// Cancels statements. Without it, a statement that waits for a lock stays in the server though its
/// connection was closed here, and takes effect once it has the lock.
#[derive(Clone)]
pub(crate) struct Canceller(Arc<dyn Fn(CancelToken) -> BoxFuture<'static, ()> + Send + Sync>);

impl Canceller {
    pub(crate) fn new<T>(tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self(Arc::new(move |token| {
            let tls = tls.clone();
            Box::pin(async move {
                // A server that cannot be reached ends the session by itself.
                let _ = tokio::time::timeout(CANCEL_TIMEOUT, token.cancel_query(tls)).await;
            })
        }))
    }

    /// Cancels in the background.
    pub(crate) fn cancel(&self, token: CancelToken) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn((self.0)(token));
        }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}
