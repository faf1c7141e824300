//! One node in one database: its namespaces, its clock, its tasks, and how it handles messages.

pub(crate) mod check_tables;
pub(crate) mod databases;
pub(crate) mod handlers;
mod inbox;
pub(crate) mod namespace;
mod outbox;
pub(crate) mod requester;
pub(crate) mod requests;
pub(crate) mod shared;
mod start;
mod sweep;
