//! The Socket.IO Postgres adapter for socketioxide, generic over the database driver.

pub mod backend;
