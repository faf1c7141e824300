//! The guides to this adapter: the pages of its repository, as they are there.
//!
//! | page | about |
//! |---|---|
//! | [operations] | health, events, metrics, limits, the catch-up log, shutdown, what happens when something breaks |
//! | [troubleshooting] | what you see, and what to do about it |
//! | [security] | who is in the cluster, TLS, the rights that a node needs |
//! | [upgrades] | upgrades, backups and failover |
//! | [managed_postgresql] | which address of your provider to take, and what to set |
//! | [moving_from_node] | one server at a time, call by call |
//! | [moving_from_redis] | what changes, what it costs, and how to change over |
//! | [differences] | what differs from Node.js, and what to do about it |
//! | [sql] | emitting from SQL: triggers, `psql`, any language |
//! | [scaling] | what one PostgreSQL carries, and how to spread namespaces over several |
//! | [choosing_a_backend] | what differs between the two backends |
//!
//! # In the repository
//!
//! The pages also refer to what is in the repository only: the specification of the protocol
//! (`docs/protocol.md`), measurements (`docs/performance.md`), examples, tests, the changelog, and
//! files to operate a server (`operate`).

// The pages link by reference. `links.md` comes first, so its targets count here, and those at the
// end of each page count in the repository.

#[doc = include_str!("guide/links.md")]
#[doc = include_str!("guide/operations.md")]
pub mod operations {}

#[doc = include_str!("guide/links.md")]
#[doc = include_str!("guide/troubleshooting.md")]
pub mod troubleshooting {}

#[doc = include_str!("guide/links.md")]
#[doc = include_str!("guide/security.md")]
pub mod security {}

#[doc = include_str!("guide/links.md")]
#[doc = include_str!("guide/upgrades.md")]
pub mod upgrades {}

#[doc = include_str!("guide/links.md")]
#[doc = include_str!("guide/managed-postgresql.md")]
pub mod managed_postgresql {}

#[doc = include_str!("guide/links.md")]
#[doc = include_str!("guide/moving-from-node.md")]
pub mod moving_from_node {}

#[doc = include_str!("guide/links.md")]
#[doc = include_str!("guide/moving-from-redis.md")]
pub mod moving_from_redis {}

#[doc = include_str!("guide/links.md")]
#[doc = include_str!("guide/differences.md")]
pub mod differences {}

#[doc = include_str!("guide/links.md")]
#[doc = include_str!("guide/sql.md")]
pub mod sql {}

#[doc = include_str!("guide/links.md")]
#[doc = include_str!("guide/scaling.md")]
pub mod scaling {}

#[doc = include_str!("guide/links.md")]
#[doc = include_str!("guide/choosing-a-backend.md")]
pub mod choosing_a_backend {}
