//! Types of the messages in other languages, as they are committed in `types/`: current, and fit for
//! every recorded message.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

#[path = "../../protocol/tests/mutations/mod.rs"]
mod mutations;
#[path = "../../protocol/tests/recordings/mod.rs"]
mod recordings;

#[path = "language_types/compiled.rs"]
mod compiled;
#[path = "language_types/samples.rs"]
mod samples;
#[path = "language_types/typescript.rs"]
mod typescript;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of all languages.
fn types() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("types")
}

/// An empty folder for the output of a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("language-types").join(name);
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs it, and returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}
