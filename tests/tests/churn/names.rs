//! Names that clients choose.

use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::hazards::Hazard;

/// The pattern of the dynamic namespaces of all servers: for Node.js, and for Rust.
pub(crate) const PATTERN: (&str, &str) = ("^/churn-", "/churn-{name}");

/// A namespace of a round.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    /// Whether Node.js can listen to it: it does not quote names, and hears nothing on a channel of
    /// more than 63 bytes.
    pub(crate) is_for_node: bool,
}

/// The dynamic namespaces of a round: this many plain ones, and one or two for each hazard of
/// names. `mark` makes them new.
pub(crate) fn namespaces(plain: usize, mark: &str, hazards: &[Hazard], random: &mut StdRng) -> Vec<Name> {
    let plain = (0..plain).map(|number| name(format!("{mark}-{number}"), true));
    let mut all: Vec<Name> = plain.collect();
    for hazard in hazards {
        match hazard {
            Hazard::Quotes => {
                let parts =
                    ["\"", "'", "\\", ";--", "$1", "\"\"", "`", "{}", "%s", "[0]", " ", "\t", "#", "&&", "\u{7f}"];
                let text: String = (0..6).filter_map(|_| parts.choose(random)).copied().collect();
                all.push(name(format!("{mark}-{text}"), false));
            }
            Hazard::Long => {
                let length = random.random_range(63..180);
                let front = format!("{mark}-{}", "x".repeat(length));
                all.push(name(format!("{front}-a"), false));
                all.push(name(format!("{front}-b"), false));
                // A character lies across the place where PostgreSQL cuts the name.
                all.push(name(format!("{mark}-{}", "€".repeat(60)), false));
            }
            Hazard::Planes => {
                let text: String = (0..=16).step_by(3).map(|plane| any_of_plane(plane, random)).collect();
                all.push(name(format!("{mark}-{text}"), true));
                let text: String = (0..=16).map(|plane| any_of_plane(plane, random)).collect();
                all.push(name(format!("{mark}-{text}"), false));
            }
            _ => {}
        }
    }
    all
}

fn name(text: String, is_for_node: bool) -> Name {
    Name { text: format!("/churn-{text}"), is_for_node }
}

/// With a NUL.
pub(crate) fn with_nul(mark: &str) -> String {
    format!("/churn-{mark}-nul\0nul")
}

fn any_of_plane(plane: u32, random: &mut StdRng) -> char {
    loop {
        // Not in ASCII, because its separators end a name.
        let character = char::from_u32((plane << 16) | random.random_range(0xa1..0x1_0000));
        if let Some(character) = character {
            return character;
        }
    }
}

/// An event name as clients may choose one.
pub(crate) fn event(random: &mut StdRng) -> String {
    match random.random_range(0..8) {
        0 => "__proto__".to_owned(),
        1 => "\"quoted\" 'name'\\".to_owned(),
        2 => "with\0nul".to_owned(),
        3 => "x".repeat(200),
        4 => (0..=16).map(|plane| any_of_plane(plane, random)).collect(),
        5 => "message".to_owned(),
        _ => "said".to_owned(),
    }
}

/// Event names that no server may pass on.
pub(crate) const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
