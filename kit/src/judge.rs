//! What nodes sent, judged: each message alone, and as a part of what went on.
//!
//! A [`Transcript`] has the notifications of a cluster in their order, each with its attachment.
//! [`judge`] names the messages that break a rule of the protocol, with the rule, its place in
//! `docs/protocol.md`, and what should have been sent.

mod conversation;
mod example;
mod form;
mod rule;
mod shape;
mod transcript;

pub use self::{
    rule::{Level, Rule},
    transcript::{Entry, Transcript, TranscriptError},
};

pub(crate) use self::conversation::{Conversation, Expectations};

/// After how many characters a message is cut in a finding.
const SHOWN_CHARACTERS: usize = 600;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The number of the notification in the transcript, from 1.
    pub line: Option<usize>,
    /// The namespace, where it is known.
    pub nsp: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// The message that was sent.
    pub sent: Option<String>,
    /// The message that should have been sent.
    pub expected: Option<String>,
}

impl Finding {
    /// The finding for people, in several lines.
    pub fn text(&self) -> String {
        let line = self.line.map(|line| format!("message {line}: ")).unwrap_or_default();
        let mut text = format!("{line}{}\n   rule: {} ({})\n", self.problem, self.rule.text(), self.rule.place());
        for (name, message) in [("sent:    ", &self.sent), ("expected:", &self.expected)] {
            if let Some(message) = message {
                text.push_str(&format!("   {name} {message}\n"));
            }
        }
        text
    }

    /// The finding for programs: one object.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "message": self.line,
            "namespace": self.nsp,
            "problem": self.problem,
            "rule": self.rule.text(),
            "place": self.rule.place(),
            "sent": self.sent,
            "expected": self.expected,
        })
    }

    pub(crate) fn new(rule: Rule, problem: impl Into<String>) -> Self {
        Self { rule, line: None, nsp: None, problem: problem.into(), sent: None, expected: None }
    }

    pub(crate) fn sent(mut self, message: &str) -> Self {
        self.sent = Some(cut(message));
        self
    }

    pub(crate) fn expected(mut self, message: impl Into<String>) -> Self {
        self.expected = Some(message.into());
        self
    }
}

/// Judges a transcript: what every node in it sent.
///
/// ```
/// use socketio_pg_kit::judge::{Rule, Transcript, judge};
///
/// let line = r##"{"channel":"socket.io#/","payload":"{\"type\":\"2\",\"uid\":\"8f42b1c09d5e7a36\",\"nsp\":\"/\"}"}"##;
/// let findings = judge(&Transcript::read(line)?);
/// assert_eq!(findings[0].rule, Rule::Type);
/// assert_eq!(findings[0].expected.as_deref(), Some(r#"{"type":2,"uid":"8f42b1c09d5e7a36","nsp":"/"}"#));
/// # Ok::<(), socketio_pg_kit::judge::TranscriptError>(())
/// ```
pub fn judge(transcript: &Transcript) -> Vec<Finding> {
    let mut conversation = Conversation::new(Expectations::default());
    for entry in &transcript.entries {
        conversation.hear(entry);
    }
    conversation.finish()
}

/// Text that fits into a report.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What is wrong with packed messages of node `a`, in a transcript of payloads with seconds.
    fn packed(payloads: &[(u64, &str)]) -> Vec<String> {
        let entry = |(seconds, payload): &(u64, &str)| {
            Entry::new("socket.io#/".to_owned(), (*payload).to_owned(), None, Duration::from_secs(*seconds))
        };
        let transcript = Transcript { entries: payloads.iter().map(entry).collect() };
        let findings = judge(&transcript).into_iter().filter(|finding| finding.rule == Rule::Packed);
        findings.map(|finding| finding.problem).collect()
    }

    const TAKES: &str = r#"{"type":1,"binary":"packed","uid":"a","nsp":"/","source":"_sio_adapter"}"#;
    const PACKED: &str = r#"{"packed":"gqR0eXBlA6RkYXRhgqZwYWNrZXSCpHR5cGUCpGRhdGGSpWNodW5rxAMBAgOkb3B0c4Olcm9vbXOQpmV4Y2VwdJClZmxhZ3OA","uid":"a","nsp":"/","source":"_sio_adapter"}"#;
    const NODE_JS: &str = r#"{"type":1,"uid":"b","nsp":"/"}"#;

    #[test]
    fn a_node_packs_where_it_and_all_others_take_it() {
        assert_eq!(packed(&[(0, TAKES), (9, PACKED)]), [""; 0]);
        let closed = r#"{"type":13,"uid":"b","nsp":"/"}"#;
        assert_eq!(packed(&[(0, TAKES), (1, NODE_JS), (2, PACKED), (3, closed), (60, PACKED)]), [""; 0]);
        // A process that was killed sends no 13.
        assert_eq!(packed(&[(0, TAKES), (1, NODE_JS), (60, PACKED)]), [""; 0]);
    }

    #[test]
    fn a_node_that_packs_says_so_and_looks_who_is_there() {
        let silent = TAKES.replace(r#""binary":"packed","#, "");
        let [problem] = &packed(&[(0, &silent), (9, PACKED)])[..] else { panic!("one finding") };
        assert!(problem.contains(r#"do not tell `"binary":"packed"`"#), "{problem}");
        let [problem] = &packed(&[(0, TAKES), (1, NODE_JS), (9, PACKED)])[..] else { panic!("one finding") };
        assert!(problem.contains("which b does not take"), "{problem}");
    }

    #[test]
    fn what_is_packed_wrong_is_told() {
        let wrong = PACKED.replace("gqR0", "????");
        let [problem] = &packed(&[(0, TAKES), (9, &wrong)])[..] else { panic!("one finding") };
        assert!(problem.contains("not Base64"), "{problem}");
    }
}
