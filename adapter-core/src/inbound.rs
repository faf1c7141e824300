//! From PostgreSQL to the node: the listening connection, attachments, and what was missed while
//! the node was disconnected.

pub(crate) mod attachments;
pub(crate) mod catch_up;
pub(crate) mod link;
