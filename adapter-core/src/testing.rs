//! For authors of a backend: its contract as a test suite, and a backend without a database.

pub mod contract;
pub mod memory;
