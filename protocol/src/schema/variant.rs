//! The two variants of each schema.

use serde_json::{Map, Value};

use super::{definitions, reader};

/// For whom a schema is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// What a node may write.
    Writer,
    /// What a node must be able to read.
    Reader,
}

impl Variant {
    pub(super) const ALL: [Self; 2] = [Self::Writer, Self::Reader];

    /// What the names of its documents begin with.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
        }
    }

    /// The schemas of all messages, of the header and of their parts, by name. They refer to each
    /// other by `#/$defs/`.
    pub(super) fn definitions(self) -> Map<String, Value> {
        let written = definitions::of_writers();
        match self {
            Self::Writer => written,
            Self::Reader => reader::tolerant(written),
        }
    }
}
