//! What an application holds: the handle of its cluster, one namespace of it, sockets, and the
//! emitter.

pub(crate) mod cluster;
pub(crate) mod emitter;
pub(crate) mod namespace;
pub(crate) mod serve;
pub(crate) mod server_side;
pub(crate) mod socket;
