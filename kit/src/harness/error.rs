//! What can go wrong between a test and a test node.

use std::{fmt, io, process::ExitStatus, time::Duration};

/// Why a test node did not carry out a command. `Debug` is the same text, so that `unwrap` prints
/// something readable.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The node answered with an error.
    #[error("{text}")]
    Refused {
        /// The text of the node.
        text: String,
    },

    /// The process has ended.
    #[error("{node} has ended ({}) before {awaited}{}", ending(*status), printed(stdout, stderr))]
    Ended {
        /// The name of the process.
        node: String,
        /// What the test waited for.
        awaited: String,
        /// How the process ended.
        status: Option<ExitStatus>,
        /// What the process printed before it was ready.
        stdout: Vec<String>,
        /// The last lines that the process wrote to stderr.
        stderr: Vec<String>,
    },

    /// What a test waited for did not come in time.
    #[error("{node}: no {awaited} within {} s; {}{}", waited.as_secs(), instead(came), last_words(stderr))]
    NotSeen {
        /// The name of the process.
        node: String,
        /// What the test waited for.
        awaited: String,
        /// For how long.
        waited: Duration,
        /// The events that came instead.
        came: Vec<String>,
        /// The last lines that the process wrote to stderr.
        stderr: Vec<String>,
    },

    /// The process cannot be started or written to.
    #[error("{node}: {source}")]
    Io {
        /// The name of the process.
        node: String,
        /// The reason.
        source: io::Error,
    },

    /// A server of the kit did not start, which says nothing of the candidate.
    #[error("a server beside the node that is checked did not start: {0}")]
    Partner(Box<Self>),

    /// The packages of the Node.js test nodes cannot be installed.
    #[error("`npm ci` in {directory} failed: {reason}\ninstall Node.js with npm, or run it there by hand to see more")]
    Install {
        /// The directory of the packages.
        directory: String,
        /// The output of npm.
        reason: String,
    },
}

impl Error {
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Refused { text: text.into() }
    }

    /// Whether a node has refused an op because it does not have it: its text begins with
    /// `unknown op`.
    pub fn is_unknown_op(&self) -> bool {
        matches!(self, Self::Refused { text } if text.starts_with("unknown op"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

fn printed(stdout: &[String], stderr: &[String]) -> String {
    let before = if stdout.is_empty() { String::new() } else { format!("\nits stdout:\n  {}", stdout.join("\n  ")) };
    before + &last_words(stderr)
}

fn ending(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "it is not known how".to_owned(), |status| status.to_string())
}

fn instead(came: &[String]) -> String {
    if came.is_empty() { "nothing came".to_owned() } else { format!("what came instead:\n  {}", came.join("\n  ")) }
}

fn last_words(stderr: &[String]) -> String {
    if stderr.is_empty() { String::new() } else { format!("\nits stderr:\n  {}", stderr.join("\n  ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_come_is_reported_with_what_came_instead() {
        let error = Error::NotSeen {
            node: "Node server (pid 7)".to_owned(),
            awaited: "packet \"hello\"".to_owned(),
            waited: Duration::from_secs(40),
            came: vec![r#"{"event":"packet","name":"bye"}"#.to_owned()],
            stderr: vec!["adapter error".to_owned()],
        };
        let text = concat!(
            "Node server (pid 7): no packet \"hello\" within 40 s; what came instead:\n",
            "  {\"event\":\"packet\",\"name\":\"bye\"}\n",
            "its stderr:\n",
            "  adapter error",
        );
        assert_eq!(error.to_string(), text);
        assert_eq!(format!("{error:?}"), text);
    }
}
