//! What can go wrong between a test and a test node.

use std::{fmt, io, process::ExitStatus};

/// Why a test node did not do what it was asked. `Debug` is the same text, so that `unwrap` prints something to read.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The node answered with an error: its text.
    #[error("{text}")]
    Refused {
        /// What the node said.
        text: String,
    },

    /// The process has ended.
    #[error("{node} has ended ({}) before {awaited}{stderr}", status.map_or("it is not known how".into(), |s| s.to_string()))]
    Ended {
        /// Which process.
        node: String,
        /// What was waited for.
        awaited: String,
        /// How it ended.
        status: Option<ExitStatus>,
        /// What it wrote.
        stderr: Stderr,
    },

    /// What was waited for did not come in time.
    #[error("{node}: no {awaited} within {} s{came}{stderr}", crate::DEADLINE.as_secs())]
    NotSeen {
        /// Which process.
        node: String,
        /// What was waited for.
        awaited: String,
        /// What came instead.
        came: Came,
        /// What it wrote.
        stderr: Stderr,
    },

    /// The process cannot be started or written to.
    #[error("{node}: {source}")]
    Io {
        /// Which process.
        node: String,
        /// Why.
        source: io::Error,
    },

    /// The packages of the Node test nodes cannot be installed.
    #[error("`npm ci` in {directory} failed: {reason}\ninstall Node.js with npm, or run it there by hand to see more")]
    Install {
        /// Where the packages belong.
        directory: String,
        /// What npm said.
        reason: String,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The events that came while another was waited for.
pub struct Came(pub(crate) Vec<String>);

impl fmt::Display for Came {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => write!(formatter, "; nothing came"),
            events => write!(formatter, "; what came instead:\n  {}", events.join("\n  ")),
        }
    }
}

/// The last lines that a process wrote to stderr.
pub struct Stderr(pub(crate) Vec<String>);

impl fmt::Display for Stderr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => Ok(()),
            lines => write!(formatter, "\nits stderr:\n  {}", lines.join("\n  ")),
        }
    }
}
