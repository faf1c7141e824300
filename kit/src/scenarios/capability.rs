//! Capabilities that some servers lack, and a scenario may need.
//!
//! A scenario [says what it needs](super::Scenario::needs), a kind of server what it
//! lacks. Both are checked: the suite fails when a scenario fails because of a need that it does
//! not declare, and when a scenario succeeds without a capability that it declares.

/// A capability that a scenario may need of every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// Clients connect by HTTP, and that request is their handshake.
    Handshakes,
    /// A client is in several namespaces over one connection, which can be closed.
    SharedConnections,
    /// A namespace is created with its first client.
    DynamicNamespaces,
    /// The name of a namespace may have a question mark in it.
    QuestionMarks,
    /// A client is refused when its `auth` is not an object.
    AuthChecked,
    /// There are this project's emitters and Node.js's.
    Emitters,
}

impl Capability {
    /// The missing capability, as the table shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshakes => "handshakes by HTTP",
            Self::SharedConnections => "connections that several namespaces share",
            Self::DynamicNamespaces => "dynamic namespaces",
            Self::QuestionMarks => "namespaces with a question mark",
            Self::AuthChecked => "clients that are refused for their auth",
            Self::Emitters => "emitters",
        }
    }
}
