//! What README shows, used as a new user does: its lines are copied into projects outside of the
//! workspace. These are built, started, stopped and misconfigured in the usual ways, and their
//! output is compared. The servers also run beside a Node.js server, whose sockets and clients show
//! what is right.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod beside_node;
mod errors;
mod leaving;
mod programs;
