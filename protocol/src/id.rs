//! Identifiers: strings that must not be mistaken for one another.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest identifier that is read, in bytes. Readers keep some identifiers, so these must not
/// be as long as a message may be.
pub const MAX_ID_BYTES: usize = 256;

/// The uid that the emitter puts on its messages. The emitter is not a node.
const EMITTER: &str = "emitter";

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        $(#[$meta])*
        pub struct $name(#[cfg_attr(feature = "schema", schemars(length(max = 256)))] Arc<str>);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether it is longer than readers take.
            pub(crate) fn is_too_long(&self) -> bool {
                self.0.len() > MAX_ID_BYTES
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }
    };
}

id! {
    /// Who sent a message: the `uid` of one node in one namespace.
    ///
    /// Node.js draws 8 random bytes and writes them as 16 lower-case hex digits; readers take any
    /// string.
    #[cfg_attr(feature = "schema", schemars(example = &"8f42b1c09d5e7a36"))]
    NodeId
}

impl NodeId {
    /// The uid of everything that an emitter sends: `emitter`.
    pub fn emitter() -> Self {
        Self::from(EMITTER)
    }

    /// Whether the sender is an emitter, which is not a member of the cluster.
    pub fn is_emitter(&self) -> bool {
        &*self.0 == EMITTER
    }
}

id! {
    /// What ties a response to its request. Chosen by the requester, in the form of a [`NodeId`],
    /// unique while the request waits.
    #[cfg_attr(feature = "schema", schemars(example = &"0f1e2d3c4b5a6978"))]
    RequestId
}

impl RequestId {
    /// The id of a response that names no request, as Node.js sends it to a request without an id: it is
    /// empty, and no request has it.
    pub fn none() -> Self {
        Self::from("")
    }
}

id! {
    /// The id of a client's socket: 20 characters from Node.js, 16 from socketioxide; readers take
    /// any string.
    #[cfg_attr(feature = "schema", schemars(example = &"kZKYGMOmZqTEZGEfAAAq"))]
    SocketId
}
