//! Inputs for tests without libFuzzer: stored inputs with small changes.

/// Words that the inputs are made of: one quoted string in each line, as libFuzzer has them.
const DICTIONARY: &str = include_str!("../dictionary");

/// Changes inputs at random. The same seed makes the same inputs.
#[derive(Debug)]
pub struct Mutator<'a> {
    inputs: &'a [Vec<u8>],
    words: Vec<Vec<u8>>,
    state: u64,
}

impl<'a> Mutator<'a> {
    /// A mutator of these inputs, of which there must be at least one.
    pub fn new(inputs: &'a [Vec<u8>], seed: u64) -> Self {
        Self { inputs, words: words(), state: seed }
    }

    /// One of the inputs, with one to four changes.
    pub fn input(&mut self) -> Vec<u8> {
        let mut bytes = self.any().to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let start = self.below(bytes.len() + 1);
        let end = (start + self.below(12)).min(bytes.len());
        match self.below(7) {
            0 if start < bytes.len() => bytes[start] = self.below(256) as u8,
            1 if start < bytes.len() => bytes[start] ^= 1 << self.below(8),
            2 => _ = bytes.drain(start..end),
            3 => bytes.extend_from_within(start..end),
            4 => {
                let other = self.any();
                let from = self.below(other.len() + 1);
                let to = (from + self.below(40)).min(other.len());
                bytes.splice(start..end, other[from..to].iter().copied());
            }
            _ => {
                let word = self.below(self.words.len());
                bytes.splice(start..end, self.words[word].iter().copied());
            }
        }
    }

    fn any(&mut self) -> &'a [u8] {
        &self.inputs[self.below(self.inputs.len())]
    }

    /// A number from 0 to below `end`, by splitmix64.
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// The words of the dictionary: in quotes, with `\"`, `\\` and `\xAB` for what a line cannot
/// contain.
fn words() -> Vec<Vec<u8>> {
    let quoted = DICTIONARY.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted
        .map(|mut rest| {
            let mut word = Vec::new();
            while let Some(first) = rest.bytes().next() {
                let (byte, taken) = match rest.strip_prefix("\\x") {
                    Some(hex) => (hex.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()), 4),
                    None if first == b'\\' => (rest.bytes().nth(1), 2),
                    None => (Some(first), 1),
                };
                word.push(byte.expect("the dictionary has only the escapes of libFuzzer"));
                rest = &rest[taken..];
            }
            word
        })
        .collect()
}
