//! Processor time and memory of processes, from /proc.

use std::fs;

/// Linux reports processor time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Memory that is resident now, in bytes.
    pub(crate) resident: u64,
    /// The most that was ever resident, in bytes.
    pub(crate) peak: u64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
        };
        Self { cpu_seconds: cpu_seconds(pid), resident: bytes("VmRSS:"), peak: bytes("VmHWM:") }
    }
}

/// Processor time of a process, in seconds; 0 when it is gone.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |fields| ticks(&fields, 13..15))
}

/// Processor time of a process, of its running children, and of its ended ones, in seconds.
pub(crate) fn family_cpu_seconds(pid: u32) -> f64 {
    let own = stat(pid).map_or(0.0, |fields| ticks(&fields, 13..17));
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    own + children.split_whitespace().filter_map(|child| child.parse().ok()).map(cpu_seconds).sum::<f64>()
}

/// The fields of `/proc/<pid>/stat`, counted from 0.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may hold anything.
    let (name, rest) = stat.rsplit_once(')')?;
    Some([name].into_iter().chain([""]).chain(rest.split_whitespace()).map(str::to_owned).collect())
}

fn ticks(fields: &[String], range: std::ops::Range<usize>) -> f64 {
    let ticks = fields.get(range).unwrap_or_default();
    ticks.iter().filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_is_seen_to_use_time_and_memory() {
        let before = Usage::of(std::process::id());
        let mut sum = 0_u64;
        while cpu_seconds(std::process::id()) < before.cpu_seconds + 0.05 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let after = Usage::of(std::process::id());
        assert!(after.resident > 0 && after.peak >= after.resident, "{after:?}");
        assert!(family_cpu_seconds(std::process::id()) >= after.cpu_seconds);
    }
}
