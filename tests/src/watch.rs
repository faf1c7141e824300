//! What a Rust node tells of itself, and what the system tells of it.

use crate::{Error, Node};
use serde_json::Value;

/// A time in which a node may have missed something, by its own account.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// In milliseconds of Unix time.
    pub since: f64,
    /// In milliseconds of Unix time.
    pub until: f64,
    /// Whether it says that nothing of its catch-up log is missing.
    pub is_recovered: bool,
}

impl Node {
    /// When a Rust node may have missed something, by its own account.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn gaps(&self) -> Result<Vec<Gap>, Error> {
        let gaps = self.call("gaps", Value::Null).await?;
        let time = |value: &Value| value.as_f64().unwrap_or_default();
        let gap = |gap: &Value| Gap {
            since: time(&gap[0]),
            until: time(&gap[1]),
            is_recovered: gap[2].as_bool().unwrap_or_default(),
        };
        Ok(gaps.as_array().into_iter().flatten().map(gap).collect())
    }

    /// How many arrivals a Rust node could not use, and for how many it had no room, by its own
    /// account.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn counts(&self) -> Result<(u64, u64), Error> {
        let counts = self.call("counts", Value::Null).await?;
        Ok((counts["rejected"].as_u64().unwrap_or_default(), counts["dropped"].as_u64().unwrap_or_default()))
    }

    /// Its resident memory in KiB; 0 where the system does not tell.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    }
}
