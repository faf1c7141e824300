//! What must hold for all bytes that the database, another node or a client may send: one property
//! for each fuzz target.
//!
//! A property is a plain function that panics when it does not hold. libFuzzer looks for bytes that
//! make it panic (`fuzz/run.sh`), and `cargo test -p socketio-pg-tests --test fuzz_corpus` checks
//! it for all bytes that are stored here:
//!
//! * `seeds/`: what Node.js sends, taken from the recordings by `seeds.mjs`;
//! * `corpus/`: inputs with which libFuzzer reached new code, minimised;
//! * `artifacts/`: inputs that once made a property fail.

#![warn(missing_docs)]

pub mod attachment;
pub mod channel;
pub mod cluster;
pub mod mutation;
pub mod node;
pub mod notification;
pub mod packet;
pub mod value;

use std::{fs, io, path::Path};

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also the name of the binary, and of its folders in `corpus` and
    /// `artifacts`.
    pub name: &'static str,
    /// The folder in `seeds` that it starts from.
    pub seeds: &'static str,
    /// The property.
    pub check: fn(&[u8]),
}

/// All targets that need only this process; those of [`node`] need Node.js.
pub const TARGETS: [Target; 6] = [
    Target { name: "notification", seeds: "json", check: notification::check },
    Target { name: "attachment", seeds: "msgpack", check: attachment::check },
    Target { name: "value", seeds: "values", check: value::check },
    Target { name: "channel", seeds: "channel", check: channel::check },
    Target { name: "cluster", seeds: "cluster", check: cluster::check },
    Target { name: "packet", seeds: "values", check: packet::check },
];

/// The stored inputs of a target, each with the path of its file.
///
/// # Errors
/// When a file cannot be read. A folder that does not exist counts as empty.
pub fn stored(name: &str, seeds: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inputs = Vec::new();
    for folder in [root.join("seeds").join(seeds), root.join("corpus").join(name), root.join("artifacts").join(name)] {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            inputs.push((path.display().to_string(), fs::read(&path)?));
        }
    }
    inputs.sort();
    Ok(inputs)
}
