//! The effect of a message on its own node, once the message is committed or has failed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{error::Error, sync::Mutex};

type Work = Box<dyn FnOnce(&Result<(), Error>) + Send>;

/// Work that belongs to a message: it runs exactly once, in the order of the messages, also when
/// the sender no longer waits.
///
/// When it is dropped before its message is committed or has failed, it runs with
/// [`Error::Closed`].
#[derive(Default)]
#[must_use]
pub(crate) struct Effect(Option<Work>);

impl Effect {
    /// An effect that does nothing.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    pub(crate) fn new(work: impl FnOnce(&Result<(), Error>) + Send + 'static) -> Self {
        Self(Some(Box::new(work)))
    }

    /// An effect whose work returns something, and where to find that once it has run.
    pub(crate) fn returning<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> (Self, Returned<T>) {
        let returned = Returned(Arc::default());
        let place = returned.0.clone();
        (Self::new(move |_| *place.lock() = Some(work())), returned)
    }

    pub(crate) fn run(mut self, result: &Result<(), Error>) {
        self.run_once(result);
    }

    /// Runs the effect of a message that has failed.
    pub(crate) fn fail<T>(self, error: Error) -> Result<T, Error> {
        self.run(&Err(error.clone()));
        Err(error)
    }

    /// Drops the work without running it.
    pub(crate) fn forget(mut self) {
        self.0 = None;
    }

    fn run_once(&mut self, result: &Result<(), Error>) {
        let Some(work) = self.0.take() else { return };
        // It may call code of the application, and a panic there must not end the publisher.
        if catch_unwind(AssertUnwindSafe(|| work(result))).is_err() {
            tracing::error!("a handler of the application panicked while a message took effect on its own node");
        }
    }
}

/// What an effect returned.
pub(crate) struct Returned<T>(Arc<Mutex<Option<T>>>);

impl<T> Returned<T> {
    /// `None` when it has not run.
    pub(crate) fn take(&self) -> Option<T> {
        self.0.lock().take()
    }
}

impl Drop for Effect {
    fn drop(&mut self) {
        self.run_once(&Err(Error::Closed));
    }
}

impl std::fmt::Debug for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Effect").field(&self.0.is_some()).finish()
    }
}
