//! From PostgreSQL to the node: the listening connection, attachments, and what was missed while it
//! was lost.

pub(crate) mod attachments;
pub(crate) mod catch_up;
pub(crate) mod link;
