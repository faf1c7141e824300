//! What a node reports about itself: events, health, counts, metrics.

pub(crate) mod classes;
pub(crate) mod counters;
pub(crate) mod event;
pub(crate) mod health;
#[cfg(feature = "metrics")]
mod histograms;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
