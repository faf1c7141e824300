//! Properties of bytes that are read here and in Node.js: its own `JSON` and `@msgpack/msgpack`
//! must give the same.
//!
//! `tests/node/fuzz-oracle.mjs` runs as long as this process and answers questions in order. A
//! batch of inputs is first decoded here, which tells what to ask; then all questions are sent at
//! once.
//! once.

use std::{
    io::{self, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use socketio_pg_protocol::{DecodeErrorKind, Message, Notification, Value};

/// JSON text: read and written again, it is the same as in Node.js.
pub fn check_json(data: &[u8]) {
    check_all_json(&[data]);
}

/// MessagePack: its JSON is the same as in Node.js.
pub fn check_msgpack(data: &[u8]) {
    check_all_msgpack(&[data]);
}

/// [`check_json`] for many inputs, which is faster. Returns how many of them are JSON, and how many
/// messages.
pub fn check_all_json<T: AsRef<[u8]>>(inputs: &[T]) -> Compared {
    let texts: Vec<&str> = inputs.iter().filter_map(|data| str::from_utf8(data.as_ref()).ok()).collect();
    let mut batch = Batch::default();
    for text in texts {
        let value = Value::from_json(text);
        let ours = match &value {
            Ok(value) => Ours::Is(value.to_json()),
            Err(error) if error.kind() == DecodeErrorKind::TooDeep => Ours::MayBeAnything,
            Err(_) => Ours::IsRefused,
        };
        batch.values += usize::from(value.is_ok());
        batch.ask(Question::Json, text.as_bytes(), ours, text);

        if let Ok(Notification::Inline(message)) = Notification::decode(text) {
            batch.ask_of_message(message, Question::JsonMessage, text.as_bytes(), text);
        }
    }
    batch.compare()
}

/// [`check_msgpack`] for many inputs, which is faster. Returns how many of them are values, and how
/// many messages.
pub fn check_all_msgpack<T: AsRef<[u8]>>(inputs: &[T]) -> Compared {
    let mut batch = Batch::default();
    for data in inputs {
        let data = data.as_ref();
        let input = hex(data);
        match Value::from_msgpack(data) {
            // Node.js takes the bytes that follow such a string for its end.
            Ok(value) if has_cut_string(&value) => continue,
            Ok(value) => {
                batch.values += 1;
                batch.ask(Question::MessagePack, data, Ours::IsIfAny(value.to_json()), &input);
            }
            Err(error) if error.kind() == DecodeErrorKind::TooDeep || claims_much(data) => {}
            Err(_) => batch.ask(Question::MessagePack, data, Ours::IsRefused, &input),
        }
        if let Ok(message) = Message::from_msgpack(data) {
            batch.ask_of_message(message, Question::MessagePackMessage, data, &input);
        }
    }
    batch.compare()
}

/// Whether a string ends within a character, judging by its first byte.
fn has_cut_string(value: &Value) -> bool {
    match value {
        Value::BrokenStr(bytes) => {
            let mut rest = &bytes[..];
            while let Some(first) = rest.first() {
                let length = match first {
                    0xc0..=0xdf => 2,
                    0xe0..=0xef => 3,
                    0xf0..=0xf7 => 4,
                    _ => 1,
                };
                match rest.get(length..) {
                    Some(others) => rest = others,
                    None => return true,
                }
            }
            false
        }
        Value::Array(items) => items.iter().any(has_cut_string),
        Value::Map(entries) => entries.iter().any(|(key, value)| has_cut_string(key) || has_cut_string(value)),
        _ => false,
    }
}

/// Whether a header claims many items, for which Node.js would reserve memory.
fn claims_much(data: &[u8]) -> bool {
    data.windows(5).any(|window| window[0] == 0xdd && window[1..3] != [0, 0])
}

/// Whether a message has the keys that we write for it where they were missing: a response its
/// request's id, a broadcast the type and the data of its packet.
fn is_written_as_it_came(message: &str) -> bool {
    let message: serde_json::Value = serde_json::from_str(message).expect("Node.js writes JSON");
    let data = &message["data"];
    match message["type"].as_f64() {
        Some(3.0) => data["packet"].get("type").is_some() && data["packet"].get("data").is_some(),
        Some(8.0 | 10.0 | 11.0 | 12.0) => data.get("requestId").is_some(),
        _ => true,
    }
}

/// How many inputs could be compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compared {
    /// Inputs that are values.
    pub values: usize,
    /// Inputs that are messages.
    pub messages: usize,
}

/// The questions to the oracle, by the byte that begins each.
#[derive(Clone, Copy, Debug)]
enum Question {
    /// The text that `JSON.stringify` gives for the result of `JSON.parse`.
    Json = b'j' as isize,
    /// The text that it gives for the result of `decode`.
    MessagePack = b'm' as isize,
    /// The same, for what a reader takes from a message.
    JsonMessage = b'J' as isize,
    MessagePackMessage = b'M' as isize,
}

/// Our result for an input.
enum Ours {
    /// Node.js must say the same.
    Is(String),
    /// Node.js must say the same, or refuse it.
    IsIfAny(String),
    /// We reject it, and Node.js must too.
    IsRefused,
    /// We reject it, and Node.js may accept it.
    MayBeAnything,
    /// Node.js must give the same as for the previous question.
    IsAsBefore,
}

#[derive(Default)]
struct Batch {
    questions: Vec<Vec<u8>>,
    ours: Vec<(Ours, String)>,
    values: usize,
    messages: usize,
}

impl Batch {
    fn ask(&mut self, question: Question, data: &[u8], ours: Ours, input: &str) {
        let mut bytes = vec![question as u8];
        bytes.extend_from_slice(data);
        self.questions.push(bytes);
        self.ours.push((ours, input.to_owned()));
    }

    /// Checks that a reader takes the same from a message before and after we have read and written
    /// it, in both encodings.
    fn ask_of_message(&mut self, message: Message, question: Question, data: &[u8], input: &str) {
        self.messages += 1;
        let json = message.to_json().expect("what was read can be written");
        // Ids that are not Rust strings are replaced.
        if json.contains('\u{fffd}') {
            return;
        }
        self.ask(question, data, Ours::MayBeAnything, input);
        self.ask(Question::JsonMessage, json.as_bytes(), Ours::IsAsBefore, input);
        if let Ok(bytes) = message.into_msgpack() {
            self.ask(Question::MessagePackMessage, &bytes, Ours::IsAsBefore, input);
        }
    }

    fn compare(self) -> Compared {
        let answers = oracle(&self.questions).expect("the Node process answers: run `npm ci` in tests/node first");
        let mut before: &Option<String> = &None;
        for ((ours, input), node) in self.ours.iter().zip(&answers) {
            match (ours, node) {
                (Ours::Is(ours), Some(node)) | (Ours::IsIfAny(ours), Some(node)) => {
                    assert_eq!(ours, node, "left: ours, right: Node's, of {input}");
                }
                (Ours::Is(ours), None) => panic!("Node refuses {input}, and we read {ours}"),
                (Ours::IsRefused, Some(node)) => panic!("we refuse {input}, and Node reads {node}"),
                (Ours::IsAsBefore, node) => {
                    // What Node.js rejects, such as a key `__proto__`, cannot be compared; ids
                    // contain no lone surrogates here.
                    if let (Some(before), Some(node)) = (before, node)
                        && !before.contains("\\ud")
                        && is_written_as_it_came(before)
                    {
                        assert_eq!(node, before, "left: written by us, right: as it came, of {input}");
                    }
                }
                (Ours::IsIfAny(_) | Ours::IsRefused, None) | (Ours::MayBeAnything, _) => {}
            }
            if !matches!(ours, Ours::IsAsBefore) {
                before = node;
            }
        }
        Compared { values: self.values, messages: self.messages }
    }
}

/// A Node.js process.
struct Oracle {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Node.js's answers, in order; `None` where it rejects the input.
fn oracle(questions: &[Vec<u8>]) -> io::Result<Vec<Option<String>>> {
    static ORACLE: OnceLock<Mutex<Option<Oracle>>> = OnceLock::new();
    let mut oracle = ORACLE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let result = match &mut *oracle {
        Some(oracle) => oracle.ask(questions),
        none => none.insert(Oracle::start()?).ask(questions),
    };
    if result.is_err() {
        *oracle = None; // the next one to ask starts another
    }
    result
}

impl Oracle {
    fn start() -> io::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/node/fuzz-oracle.mjs");
        let mut process = Command::new("node").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(questions), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("no pipes"));
        };
        Ok(Self { process, questions, answers: BufReader::new(answers) })
    }

    /// Both sides would wait for ever if neither read. This many bytes fit into the pipe before
    /// Node.js must read any.
    const PIPE: usize = 60_000;

    fn ask(&mut self, mut questions: &[Vec<u8>]) -> io::Result<Vec<Option<String>>> {
        let mut answers = Vec::with_capacity(questions.len());
        while let Some((first, rest)) = questions.split_first() {
            let mut frames = frame(first)?;
            let mut count = 1;
            for question in rest {
                if frames.len() + 4 + question.len() > Self::PIPE {
                    break;
                }
                frames.extend(frame(question)?);
                count += 1;
            }
            self.questions.write_all(&frames)?;
            self.questions.flush()?;
            for _ in 0..count {
                answers.push(self.answer()?);
            }
            questions = &questions[count..];
        }
        Ok(answers)
    }

    fn answer(&mut self) -> io::Result<Option<String>> {
        let mut length = [0; 4];
        self.answers.read_exact(&mut length)?;
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        self.answers.read_exact(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(io::Error::other)?;
        match text.split_at_checked(1) {
            Some(("+", json)) => Ok(Some(json.to_owned())),
            Some(("-", _)) => Ok(None),
            _ => Err(io::Error::other(format!("no answer: {text}"))),
        }
    }
}

/// A question with its length before it, 4 bytes, big-endian.
fn frame(question: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(question.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes(), question].concat())
}

impl Drop for Oracle {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
