//! One notification alone: its payload, its header, its message.

use socketio_pg_core::protocol::{DecodeErrorKind, MAX_ID_BYTES, Notification, ReplyChannel, Value};

use super::{
    Entry, Finding, Rule, example,
    shape::{self, number},
};

/// The longest payload of a notification.
const MAX_PAYLOAD: usize = 7999;

/// A message that can be read, whatever else is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub(crate) kind: u64,
    pub(crate) uid: String,
    /// That of the message; that of the channel where the message has none.
    pub(crate) nsp: String,
    /// The id of the request that it is, or answers.
    pub(crate) request: Option<String>,
    pub(crate) client_count: Option<f64>,
    /// As JSON.
    pub(crate) text: String,
    /// Where the responses to a request go.
    pub(crate) reply_channel: Option<String>,
    pub(crate) is_on_reply_channel: bool,
    pub(crate) has_session: bool,
    /// Whether a 1 or 2 tells that its node takes packed messages.
    pub(crate) takes_packed: bool,
    pub(crate) is_packed: bool,
    /// What a 7 wants no more of than this.
    pub(crate) only: Option<String>,
    /// What an 8 tells in place of its sockets: `count`, `ids`.
    pub(crate) told_briefly: Vec<&'static str>,
}

/// Reads a notification, and tells what is wrong with it.
pub(super) fn read(entry: &Entry, findings: &mut Vec<Finding>) -> Option<Parsed> {
    let payload = &entry.payload;
    if payload.len() > MAX_PAYLOAD {
        let text = format!("the payload has {} bytes, which PostgreSQL refuses", payload.len());
        findings.push(
            Finding::new(Rule::Inline, text)
                .sent(payload)
                .expected(r#"{"uid":"…","type":3,"nsp":"/","attachmentId":"<the id of a row with the message>"}"#),
        );
    }
    let value = match Value::from_json(payload) {
        Ok(value @ Value::Map(_)) => value,
        Ok(_) => {
            findings.push(Finding::new(Rule::Payload, "the payload is not an object").sent(payload));
            return None;
        }
        // JSON may be deeper than this project reads it.
        Err(error) if error.kind() == DecodeErrorKind::TooDeep => return None,
        Err(error) => {
            findings.push(Finding::new(Rule::Payload, format!("the payload is not JSON: {error}")).sent(payload));
            return None;
        }
    };
    match value.get("attachmentId") {
        None | Some(Value::Nil | Value::Bool(false)) => inline(value, entry, findings),
        Some(id) if id.as_str() == Some("") || number(id) == Some(0.0) => inline(value, entry, findings),
        Some(id) => attached(&value, id, entry, findings),
    }
}

/// A message in the notification itself, packed or not.
fn inline(value: Value, entry: &Entry, findings: &mut Vec<Finding>) -> Option<Parsed> {
    if value.get("packed").is_none() || value.get("type").is_some() {
        return message(&value, entry, findings);
    }
    match Notification::decode(&entry.payload) {
        Ok(Notification::Inline(unpacked)) => {
            // What stands outside of it is judged as it stands there.
            let inner = Value::from_json(&unpacked.to_json().ok()?).ok()?;
            let packed = ["type", "data"].into_iter().filter_map(|key| Some((key.into(), inner.get(key)?.clone())));
            let Value::Map(outer) = value else { return None };
            let outer = outer.into_iter().filter(|(key, _)| !matches!(key.as_str(), Some("packed" | "data")));
            let mut parsed = message(&Value::Map(packed.chain(outer).collect()), entry, findings)?;
            parsed.is_packed = true;
            Some(parsed)
        }
        Ok(Notification::Attachment(_)) => None,
        Err(error) => {
            let finding = Finding::new(Rule::Packed, format!("what is packed is not a message: {error}"));
            findings.push(finding.sent(&entry.payload));
            None
        }
    }
}

/// A header, and the message in its row.
fn attached(header: &Value, id: &Value, entry: &Entry, findings: &mut Vec<Finding>) -> Option<Parsed> {
    let payload = &entry.payload;
    if !id.as_str().is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())) {
        let finding = Finding::new(Rule::Header, format!("`attachmentId` is {}", id.to_json())).sent(payload);
        findings.push(finding.expected(with(header, "attachmentId", Value::Str(digits(id))).to_json()));
    }
    let Some(row) = entry.attachment() else {
        let text = format!("there is no row {}", id.as_str().map_or_else(|| id.to_json(), str::to_owned));
        let finding = Finding::new(Rule::Row, text).sent(payload);
        findings.push(
            finding.expected(with(header, "attachmentId", Value::Str("<the id of the row>".to_owned())).to_json()),
        );
        return None;
    };
    let value = match Value::from_msgpack(&row) {
        Ok(value @ Value::Map(_)) => value,
        Ok(other) => {
            let finding = Finding::new(Rule::MessagePack, "the row does not hold an object");
            findings.push(finding.sent(&other.to_json()));
            return None;
        }
        Err(error) => {
            findings
                .push(Finding::new(Rule::MessagePack, format!("the row is not MessagePack: {error}")).sent(payload));
            return None;
        }
    };
    for key in ["uid", "type", "nsp"] {
        let (in_header, in_message) = (header.get(key), value.get(key));
        // Node.js writes no namespace into headers.
        let may_lack = key == "nsp" && in_header.is_none();
        let same = in_header.map(Value::to_json) == in_message.map(Value::to_json);
        if !may_lack && !same {
            let text = format!(
                "`{key}` is {} in the header and {} in the row",
                in_header.map_or("missing".to_owned(), Value::to_json),
                in_message.map_or("missing".to_owned(), Value::to_json)
            );
            let right = in_message.cloned().unwrap_or(Value::Nil);
            findings.push(Finding::new(Rule::Header, text).sent(payload).expected(with(header, key, right).to_json()));
        }
    }
    message(&value, entry, findings)
}

fn digits(id: &Value) -> String {
    number(id).map_or_else(|| "17".to_owned(), |_| id.to_json())
}

fn message(value: &Value, entry: &Entry, findings: &mut Vec<Finding>) -> Option<Parsed> {
    let text = shown(value);
    // Responses of all namespaces may be on a reply channel.
    let is_on_reply_channel = ReplyChannel::parse(&entry.channel).is_some();
    let of_channel = match value.get("nsp").and_then(Value::as_str) {
        Some(nsp) if is_on_reply_channel => nsp,
        _ => entry.channel.split_once('#').map_or("/", |(_, nsp)| nsp),
    };
    let wrong = |rule: Rule, problem: String| Finding::new(rule, problem).sent(&text);

    let kind = match value.get("type") {
        Some(kind) => match number(kind) {
            Some(number) if number.fract() == 0.0 && (1.0..=13.0).contains(&number) => kind.as_i64(),
            _ => {
                let finding = wrong(Rule::Type, format!("`type` is {}", kind.to_json()));
                let meant = kind.as_str().and_then(|text| text.parse().ok()).filter(|kind| (1..=13).contains(kind));
                findings.push(match meant {
                    Some(meant) => finding.expected(with(value, "type", Value::Int(meant)).to_json()),
                    None => finding,
                });
                None
            }
        },
        None => {
            findings.push(wrong(Rule::Type, "`type` is missing".to_owned()));
            None
        }
    };
    let uid = match value.get("uid").map(|uid| (uid, uid.as_str())) {
        Some((_, Some(uid))) if !uid.is_empty() && uid.len() <= MAX_ID_BYTES => Some(uid),
        Some((uid, _)) => {
            findings.push(wrong(Rule::Uid, format!("`uid` is {}", uid.to_json())));
            None
        }
        None => {
            findings
                .push(wrong(Rule::Uid, "`uid` is missing: Node.js takes the message for one of its own".to_owned()));
            None
        }
    };
    let nsp = match value.get("nsp") {
        Some(Value::Str(nsp)) => Some(nsp.as_str()),
        other => {
            let problem = match other {
                Some(other) => format!("`nsp` is {}", other.to_json()),
                None if uid == Some("emitter") => {
                    "`nsp` is missing: Node.js's servers ignore the message, as all that Node.js's own emitter sends"
                        .to_owned()
                }
                None => "`nsp` is missing: Node.js ignores the message".to_owned(),
            };
            let right = with(value, "nsp", Value::Str(of_channel.to_owned())).to_json();
            findings.push(wrong(Rule::Namespace, problem).expected(right));
            None
        }
    };
    if let Some(nsp) = nsp.filter(|nsp| !same_channel(nsp, of_channel)) {
        let problem = format!("`nsp` is {nsp:?} on the channel of {of_channel:?}: no node takes it");
        let right = with(value, "nsp", Value::Str(of_channel.to_owned())).to_json();
        findings.push(wrong(Rule::Namespace, problem).expected(right));
    }
    if value.get("source").is_some_and(|source| source.as_str() != Some("_sio_adapter")) {
        findings.push(wrong(Rule::Source, "`source` is another".to_owned()));
    }
    for key in ["data", "session", "heartbeats", "binary", "requesterUid", "nodeId", "nonce", "replyTo"] {
        if matches!(value.get(key), Some(Value::Nil)) {
            let finding = wrong(Rule::Absent, format!("`{key}` is null"));
            findings.push(finding.expected(without(value, key).to_json()));
        }
    }
    let kind = u64::try_from(kind?).ok()?;
    if is_on_reply_channel && !matches!(kind, 8 | 10..=12) {
        findings.push(wrong(Rule::Channel, format!("a {kind} is not a response, and is on a reply channel")));
    }
    let data = value.get("data");
    let request = data.and_then(|data| data.get("requestId")).and_then(Value::as_str);
    let nsp = nsp.unwrap_or(of_channel);
    if let Err((rule, problem)) = shape::check(kind, data) {
        let request = request.unwrap_or("<that of the request>");
        findings.push(wrong(rule, problem).expected(example::message(kind, uid.unwrap_or("<your uid>"), nsp, request)));
    }
    Some(Parsed {
        kind,
        uid: uid.unwrap_or_default().to_owned(),
        nsp: nsp.to_owned(),
        request: request.map(str::to_owned),
        client_count: data.and_then(|data| data.get("clientCount")).and_then(number),
        reply_channel: value.get("replyTo").and_then(Value::as_str).map(str::to_owned),
        is_on_reply_channel,
        has_session: value.get("session").is_some(),
        takes_packed: value.get("binary").and_then(Value::as_str) == Some("packed"),
        is_packed: false,
        only: data.and_then(|data| data.get("only")).and_then(Value::as_str).map(str::to_owned),
        told_briefly: data
            .map_or_else(Vec::new, |data| ["count", "ids"].into_iter().filter(|key| data.get(key).is_some()).collect()),
        text,
    })
}

/// Whether a namespace has the channel of another: PostgreSQL cuts long names.
fn same_channel(nsp: &str, of_channel: &str) -> bool {
    nsp == of_channel || (of_channel.len() > 1 && nsp.starts_with(of_channel) && of_channel.len() > 20)
}

/// As JSON, with the number of bytes in place of binary: such a message is not JSON.
fn shown(value: &Value) -> String {
    fn without_bytes(value: &Value) -> Value {
        match value {
            Value::Bin(bytes) if bytes.len() == 1 => Value::Str("<1 byte>".to_owned()),
            Value::Bin(bytes) => Value::Str(format!("<{} bytes>", bytes.len())),
            Value::Array(values) => Value::Array(values.iter().map(without_bytes).collect()),
            Value::Map(entries) => {
                Value::Map(entries.iter().map(|(key, value)| (key.clone(), without_bytes(value))).collect())
            }
            other => other.clone(),
        }
    }
    without_bytes(value).to_json()
}

/// The same object with another value for a key.
fn with(value: &Value, key: &str, to: Value) -> Value {
    let Value::Map(entries) = value else { return value.clone() };
    let mut entries = entries.clone();
    match entries.iter_mut().find(|(name, _)| name.as_str() == Some(key)) {
        Some((_, value)) => *value = to,
        None => entries.push((Value::Str(key.to_owned()), to)),
    }
    Value::Map(entries)
}

fn without(value: &Value, key: &str) -> Value {
    let Value::Map(entries) = value else { return value.clone() };
    Value::Map(entries.iter().filter(|(name, _)| name.as_str() != Some(key)).cloned().collect())
}
