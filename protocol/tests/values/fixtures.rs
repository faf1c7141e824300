//! The recorded captures, and what the tests share.

use std::{fs, path::Path};

use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Line {
    pub(crate) scenario: String,
    pub(crate) payload: String,
    pub(crate) attachment_hex: Option<String>,
}

impl Line {
    pub(crate) fn label(&self) -> &str {
        self.scenario.split_once('/').map_or("", |(_, label)| label)
    }
}

pub(crate) fn lines(scenario: &str) -> Vec<Line> {
    fixture(&format!("captures/{scenario}.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All captured attachments, with their scenarios.
pub(crate) fn attachments() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> =
        fs::read_dir(fixtures().join("captures")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "jsonl"))
        .flat_map(|file| lines(file.file_stem().unwrap().to_str().unwrap()))
        .filter_map(|line| Some((line.scenario, unhex(&line.attachment_hex?))))
        .collect()
}

pub(crate) fn fixture(name: &str) -> String {
    fs::read_to_string(fixtures().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"))
}

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// splitmix64, from a seed that is printed when a test fails; `SEED=…` repeats it.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
        eprintln!("SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}
