//! What an application uses: the handle of its cluster, a namespace of it, sockets, the emitter.

pub(crate) mod cluster;
pub(crate) mod emitter;
pub(crate) mod find;
pub(crate) mod functions;
pub(crate) mod namespace;
pub(crate) mod responses;
pub(crate) mod serve;
pub(crate) mod server_side;
pub(crate) mod socket;
