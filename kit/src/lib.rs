//! Tells whether a node of a Socket.IO cluster on PostgreSQL, in any language, does what the
//! protocol says.
//!
//! * [`scenarios`] drive clusters from outside, whatever their servers are written in; the
//!   conformance suite plays them too;
//! * [`judge`] reads what nodes sent, and names the rule that a message breaks;
//! * [`check`] does both to a node that it is given, and reports levels and mistakes;
//! * [`harness`] starts test nodes and talks to them, [`partner`] is such a node: a server, or
//!   clients;
//! * [`archive`] is recorded traffic of Node.js.
//!
//! The command `socketio-pg check` is the front end; `docs/kit.md` in the repository describes it,
//! and the interface of a test node.

pub mod archive;
pub mod check;
pub mod harness;
pub mod judge;
pub mod partner;
pub mod scenarios;
