//! What not every server can do, and a scenario may need.
//!
//! A scenario [says what it needs](crate::scenario::Scenario::needs), a kind of server what it
//! lacks. Both are strict: a scenario that fails for want of something unsaid fails the suite, and
//! so does one that goes well without what it needs.

/// Something that a scenario may need of every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capability {
    /// Clients come by HTTP, and that request is their handshake.
    Handshakes,
    /// A client is in several namespaces over one connection, which can be closed.
    SharedConnections,
    /// A namespace comes into being with its first client.
    DynamicNamespaces,
}

/// What the node in Python lacks: its sockets are virtual.
pub(crate) const PYTHON_LACKS: &[Capability] =
    &[Capability::Handshakes, Capability::SharedConnections, Capability::DynamicNamespaces];

impl Capability {
    /// What is lacking, as the table says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Handshakes => "handshakes by HTTP",
            Self::SharedConnections => "connections that several namespaces share",
            Self::DynamicNamespaces => "dynamic namespaces",
        }
    }
}
