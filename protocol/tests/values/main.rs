//! `Value` against what Node.js does with the same bytes: the captures of real clusters, and the
//! tables in `fixtures/javascript.json`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod captures;
mod fixtures;
mod hostile_input;
mod javascript;
mod json;
mod serde_types;
mod strings;
