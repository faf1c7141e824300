//! Cancels statements whose result is not needed any more.

use std::{fmt, sync::Arc, time::Duration};

use deadpool_postgres::ClientWrapper;
use futures_util::future::BoxFuture;
use tokio_postgres::{
    Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

/// How long cancelling may take: it opens a separate connection.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// Cancels statements. Without it, a statement that waits for a lock stays in the server though its
/// connection was closed here, and takes effect once it has the lock.
#[derive(Clone)]
pub(crate) struct Canceller(Arc<dyn Fn(ClientWrapper) -> BoxFuture<'static, ()> + Send + Sync>);

impl Canceller {
    pub(crate) fn new<T>(tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self(Arc::new(move |session| {
            let tls = tls.clone();
            Box::pin(async move {
                let cancelling = async {
                    let _ = session.cancel_token().cancel_query(tls).await;
                    // A pooler passes nothing on for a client that is gone: the session stays open until
                    // the statement has ended.
                    let _ = session.simple_query("").await;
                };
                // A server that cannot be reached ends the session by itself.
                let _ = tokio::time::timeout(CANCEL_TIMEOUT, cancelling).await;
            })
        }))
    }

    /// Cancels what runs on a session, and closes the session, in the background.
    pub(crate) fn cancel(&self, session: ClientWrapper) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn((self.0)(session));
        }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}
