//! Why a command failed, and with which code it then ends.

use std::process::ExitCode;

use socketio_pg_core::{ConnectError, Error, backend::BackendError};

use crate::output;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the command was to do was not done.
    Failed(String),
    /// Something is missing in what was written.
    Incomplete(String),
}

impl Failure {
    pub(crate) fn failed(text: impl ToString) -> Self {
        Self::Failed(text.to_string())
    }

    /// What is missing in what was written; nothing, when nothing is.
    pub(crate) fn unless_complete(missing: &[String]) -> Result<(), Self> {
        if missing.is_empty() { Ok(()) } else { Err(Self::Incomplete(missing.join("\n"))) }
    }

    /// Why it failed.
    pub(crate) fn into_text(self) -> String {
        let (Self::Failed(text) | Self::Incomplete(text)) = self;
        text
    }

    pub(crate) fn print(&self) {
        match self {
            Self::Failed(text) => output::error(text),
            Self::Incomplete(text) => output::warning(text),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::Incomplete(_) => ExitCode::from(3),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::failed(error)
    }
}

/// The texts of a node that connects.
impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        ConnectError::from(error).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::failed(error)
    }
}
