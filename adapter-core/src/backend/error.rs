//! Errors of a backend: their kinds, and what the adapter does about them.

use std::{any::Any, cell::Cell, error::Error as StdError, fmt, panic::AssertUnwindSafe, pin::pin, time::Duration};

use futures_util::FutureExt;

/// The kinds of backend errors between which the adapter distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server cannot be reached, or the connection broke: worth trying again.
    Connection,
    /// The server accepts no writes: a standby, or a server that is set so. Worth trying again on a
    /// new connection, as the name may lead to another server by then: this connection is not to be
    /// used any more. Nothing took effect.
    ReadOnly,
    /// The server gave the statement up: it took longer than `statement_timeout`, waited longer
    /// than `lock_timeout`, or was cancelled. Nothing took effect.
    Timeout,
    /// The database URL cannot be read: trying again will not help.
    Url,
    /// The server refused the user, the password or the name of the database: trying again will not
    /// help.
    Login,
    /// The connection cannot be encrypted as the settings ask, or the server requires encryption:
    /// trying again will not help.
    Tls,
    /// Another setting is wrong, such as the name of a table or a schema: trying again will not
    /// help.
    Configuration,
    /// The role lacks a right.
    Permission,
    /// The attachments table, or the table of the log, does not exist.
    MissingTable,
    /// The attachments table, or the table of the log, lacks columns that it needs.
    UnsuitableTable,
    /// Anything else the server or the driver reports.
    Other,
}

impl ErrorKind {
    /// Whether the failure may be the fault of what was sent, so that a part of it may succeed
    /// where the whole did not. Every other failure concerns all parts alike.
    pub fn is_about_content(self) -> bool {
        let is_of_all = matches!(
            self,
            Self::Connection
                | Self::ReadOnly
                | Self::Timeout
                | Self::Url
                | Self::Login
                | Self::Tls
                | Self::Configuration
        );
        !is_of_all
    }
}

/// An error of a backend: its kind, and the driver's own error. Its text includes the texts of all
/// the driver's sources.
pub struct BackendError {
    kind: ErrorKind,
    is_unsent: bool,
    source: Box<dyn StdError + Send + Sync>,
    remedy: Option<&'static str>,
}

impl BackendError {
    /// Wraps a driver's error.
    pub fn new(kind: ErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, is_unsent: false, source: source.into(), remedy: None }
    }

    /// Adds what to do about it, after the driver's own text.
    pub fn with_remedy(mut self, remedy: &'static str) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// Marks that nothing was sent, because no connection could be had.
    pub fn unsent(mut self) -> Self {
        self.is_unsent = true;
        self
    }

    /// Whether it is certain that PostgreSQL received nothing. False for an error of
    /// [`ErrorKind::Connection`] means that a statement may still have taken effect.
    pub fn is_unsent(&self) -> bool {
        self.is_unsent
    }

    /// Whether a statement may have taken effect although it failed, because its result did not
    /// come.
    pub fn is_unconfirmed(&self) -> bool {
        self.kind == ErrorKind::Connection && !self.is_unsent
    }

    /// Why a table cannot be used, if the error says that.
    pub(crate) fn into_preparation(self) -> Result<PrepareError, Self> {
        let Self { kind, is_unsent, source, remedy } = self;
        source.downcast().map(|error| *error).map_err(|source| Self { kind, is_unsent, source, remedy })
    }

    /// The driver's own error.
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for BackendError {
    /// The whole chain of sources, in one line: drivers often keep the reason in the second one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        // PostgreSQL's details and hints stand in lines of their own.
        f.write_str(&text.trim_end().replace('\n', "; "))?;
        match self.remedy {
            Some(remedy) => write!(f, ": {remedy}"),
            None => Ok(()),
        }
    }
}

/// The text: what a program prints whose `main` returns the error.
impl fmt::Debug for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Without a source: the text already includes the texts of the sources.
impl StdError for BackendError {}

tokio::task_local! {
    /// Whether the work of [`in_time`] has sent nothing yet.
    static IS_UNSENT: Cell<bool>;
}

/// Waits for a connection. When the time of a publication runs out meanwhile, nothing was sent, and
/// its sender gets [`Error::Publish`](crate::Error::Publish). Without this, it would get
/// [`Error::Unconfirmed`](crate::Error::Unconfirmed).
pub async fn before_sending<T>(work: impl Future<Output = T>) -> T {
    let set = |is_unsent| {
        // Outside of this scope, no code reads it.
        let _ = IS_UNSENT.try_with(|cell| cell.set(is_unsent));
    };
    set(true);
    let done = work.await;
    set(false);
    done
}

/// Limits the time of a backend's work, and drops the work when the time runs out. A panic in it is
/// an error.
pub(crate) async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, BackendError> {
    let mut work = pin!(IS_UNSENT.scope(Cell::new(false), guarded(work)));
    if let Ok(done) = tokio::time::timeout(limit, work.as_mut()).await {
        return done;
    }
    let is_unsent = work.as_mut().take_value().is_some_and(|is_unsent| is_unsent.get());
    let error = BackendError::new(ErrorKind::Connection, OutOfTime(limit));
    Err(if is_unsent { error.unsent() } else { error })
}

/// A panic in a driver is an error, and so is one in code of the application that it calls when it
/// opens a connection. The task that waits goes on.
pub(crate) async fn guarded<T>(work: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// The error that a panic is. A connection that it leaves behind is not to be used again.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> BackendError {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let reason = text.unwrap_or("for no known reason");
    BackendError::new(ErrorKind::Connection, format!("the driver, or code that it calls, panicked: {reason}"))
}

/// Whether [`in_time`] gave up, or the server's own time-out was shorter.
pub(crate) fn has_timed_out(error: &BackendError) -> bool {
    error.kind == ErrorKind::Timeout || error.source.is::<OutOfTime>()
}

#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL took longer than {0:?}: see Options::query_timeout")]
struct OutOfTime(Duration);

/// A list that is displayed with commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List(pub(super) Vec<String>);

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Why a table cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error("the encoding of the database is {encoding}, and not UTF8")]
    Encoding { encoding: String },
    #[error("the table is missing: let the node create it, or run this as its owner: {statement}")]
    Missing { statement: String },
    #[error("the table is missing and was not created: {error}{}", remedy(error, grant))]
    NotCreated { role: String, grant: String, error: BackendError },
    #[error("the role {role} lacks {missing}: run this as the owner, {owner}: {statement}")]
    Rights { role: String, missing: List, owner: String, statement: String },
    #[error("{problems}: give another table, or run this as the owner, {owner}: {statement}")]
    Unsuitable { problems: List, owner: String, statement: String },
}

/// A grant helps only where a right is missing.
fn remedy(error: &BackendError, grant: &str) -> String {
    match error.kind {
        ErrorKind::Permission => format!(": run this as the owner of the schema: {grant}"),
        _ => String::new(),
    }
}

impl PrepareError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Encoding { .. } => ErrorKind::Configuration,
            Self::Missing { .. } => ErrorKind::MissingTable,
            Self::NotCreated { error, .. } => error.kind(),
            Self::Rights { .. } => ErrorKind::Permission,
            Self::Unsuitable { .. } => ErrorKind::UnsuitableTable,
        }
    }
}

impl From<PrepareError> for BackendError {
    fn from(error: PrepareError) -> Self {
        Self::new(error.kind(), error)
    }
}
