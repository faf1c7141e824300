//! What a Rust node and the system report about the node.

use serde_json::Value;

use crate::{Error, Node};

/// A time in which a node may have missed messages, as it reports.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// Start, in milliseconds of Unix time.
    pub since: f64,
    /// End, in milliseconds of Unix time.
    pub until: f64,
    /// Whether it reports that it read everything that the catch-up log has.
    pub is_recovered: bool,
}

/// What a Rust node reports about itself.
pub trait Watch {
    /// When a Rust node may have missed messages, as it reports.
    ///
    /// # Errors
    /// When it does not answer.
    fn gaps(&self) -> impl Future<Output = Result<Vec<Gap>, Error>> + Send;

    /// How many messages a Rust node could not use, and how many it dropped because of a limit, as
    /// it reports.
    ///
    /// # Errors
    /// When it does not answer.
    fn counts(&self) -> impl Future<Output = Result<(u64, u64), Error>> + Send;

    /// The node's resident memory in KiB; 0 if the system does not report it.
    fn memory(&self) -> u64;
}

impl Watch for Node {
    async fn gaps(&self) -> Result<Vec<Gap>, Error> {
        let gaps = self.call("gaps", Value::Null).await?;
        let time = |value: &Value| value.as_f64().unwrap_or_default();
        let gap = |gap: &Value| Gap {
            since: time(&gap[0]),
            until: time(&gap[1]),
            is_recovered: gap[2].as_bool().unwrap_or_default(),
        };
        Ok(gaps.as_array().into_iter().flatten().map(gap).collect())
    }

    async fn counts(&self) -> Result<(u64, u64), Error> {
        let counts = self.call("counts", Value::Null).await?;
        Ok((counts["rejected"].as_u64().unwrap_or_default(), counts["dropped"].as_u64().unwrap_or_default()))
    }

    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    }
}
