//! The notifications of a session.

use std::task::{Context, Poll, ready};

use socketio_pg_core::backend::{
    BackendError, ErrorKind,
    drain::{Drained, Source},
};
use tokio_postgres::{AsyncMessage, Connection, Error, Notification, Socket, tls::TlsStream};

/// The notifications of a session, which is drained at all times. Dropping it ends the session at
/// once: the connection does not first say goodbye, over a link that may be dead.
pub type Notifications = Drained<Session>;

/// Takes a connection, of which statements use the client. `in_session` is what an error of the
/// driver means.
pub fn notifications<S>(connection: Connection<Socket, S>, in_session: fn(Error) -> BackendError) -> Notifications
where
    S: TlsStream + Unpin + Send + 'static,
{
    let (notifications, draining) = Drained::new(Session { connection: Box::new(connection), in_session });
    tokio::spawn(draining);
    notifications
}

/// What the end of a session means that the server ended without an error.
pub fn closed() -> BackendError {
    BackendError::new(ErrorKind::Connection, "the server closed the listening connection")
}

/// A session, however it is encrypted.
pub struct Session {
    connection: Box<dyn PollMessage>,
    in_session: fn(Error) -> BackendError,
}

trait PollMessage: Send {
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>>;
}

impl<S: TlsStream + Unpin + Send> PollMessage for Connection<Socket, S> {
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> {
        Connection::poll_message(self, context)
    }
}

impl Source for Session {
    type Item = Notification;

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Notification, BackendError>> {
        loop {
            return Poll::Ready(match ready!(self.connection.poll_message(context)) {
                Some(Ok(AsyncMessage::Notification(notification))) => Ok(notification),
                Some(Ok(_)) => continue,
                Some(Err(error)) => Err((self.in_session)(error)),
                None => Err(closed()),
            });
        }
    }
}
