//! From the node to PostgreSQL: an ordered queue, drained into batches.

pub(crate) mod effect;
mod fast_path;
pub(crate) mod publisher;
