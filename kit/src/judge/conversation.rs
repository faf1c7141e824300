//! What goes on among nodes: requests and their responses, joining, living and leaving.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use super::{
    Entry, Finding, Rule, example,
    form::{self, Parsed},
};

/// Whose messages are judged, and what they must send in time. By default all, and nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expectations {
    /// The uids of nodes that are known to be right.
    pub(crate) trusted: Vec<String>,
    /// How long a node may take for what it must send; `None` when a transcript has no times.
    pub(crate) patience: Option<Duration>,
    /// How long it may be silent.
    pub(crate) silence: Option<Duration>,
    /// Payloads that no node has sent, but the kit.
    pub(crate) ignored: HashSet<String>,
}

/// What was said so far.
pub(crate) struct Conversation {
    expectations: Expectations,
    findings: Vec<Finding>,
    line: usize,
    now: Option<Duration>,
    nodes: BTreeMap<(String, String), Node>,
    requests: HashMap<String, Request>,
    /// The namespace of each uid.
    namespaces: HashMap<String, String>,
    /// Where trusted nodes get their responses, and whether the next of these was taken.
    reply_channels: Vec<String>,
    taken_reply_channels: usize,
    /// Responses that are still missing: from whom, by when.
    due: Vec<Due>,
    messages: Vec<Message>,
}

/// A message of a node that is judged.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    uid: String,
    pub(crate) nsp: String,
    pub(crate) text: String,
}

#[derive(Default)]
struct Node {
    last: Option<Duration>,
    has_closed: bool,
    /// Whether its last 1 or 2 told a `session`.
    has_session: bool,
    /// Whether its 1 and 2 tell that it takes packed messages, and when it first told that it does
    /// not.
    takes_packed: bool,
    needs_attachments: Option<Duration>,
}

/// For so long after a node has told that it needs attachments, others may not have heard it.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// For so long a node that is silent is still there, with the defaults.
const TIMEOUT: Duration = Duration::from_secs(10);

struct Request {
    kind: u64,
    uid: String,
    nsp: String,
    /// What a 7 has in `only`.
    only: Option<String>,
    /// How many responses of each type each node has sent, and how many 12 its 11 allows.
    responses: HashMap<(String, u64), usize>,
    counts: HashMap<String, f64>,
}

struct Due {
    uid: String,
    nsp: String,
    kind: u64,
    request: Option<String>,
    by: Duration,
    since: String,
}

impl Conversation {
    pub(crate) fn new(expectations: Expectations) -> Self {
        Self {
            expectations,
            findings: Vec::new(),
            line: 0,
            now: None,
            nodes: BTreeMap::new(),
            requests: HashMap::new(),
            namespaces: HashMap::new(),
            reply_channels: Vec::new(),
            taken_reply_channels: 0,
            due: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Nodes with these uids are right.
    pub(crate) fn trust(&mut self, uids: impl IntoIterator<Item = String>) {
        self.expectations.trusted.extend(uids);
    }

    fn is_judged(&self, uid: &str) -> bool {
        !self.expectations.trusted.iter().any(|trusted| trusted == uid)
    }

    /// The next notification.
    pub(crate) fn hear(&mut self, entry: &Entry) {
        self.line += 1;
        self.now = entry.at;
        self.miss(entry.at);
        let mut findings = Vec::new();
        let parsed = form::read(entry, &mut findings);
        let is_judged = !self.expectations.ignored.contains(&entry.payload)
            && parsed.as_ref().is_none_or(|message| self.is_judged(&message.uid));
        if is_judged {
            let nsp = parsed.as_ref().map(|message| message.nsp.clone());
            findings.into_iter().for_each(|finding| self.found(finding, nsp.as_deref()));
        }
        let Some(message) = parsed else { return };
        if is_judged {
            self.messages.push(Message {
                uid: message.uid.clone(),
                nsp: message.nsp.clone(),
                text: message.text.clone(),
            });
        }
        if message.is_on_reply_channel {
            // It proves only to the requester that its node lives.
            self.after_close(&message, is_judged);
        } else {
            self.live(&message, is_judged);
        }
        match message.kind {
            3 | 7 | 9 if message.request.is_some() => self.request(&message),
            8 | 10 | 11 | 12 => self.response(&message, is_judged),
            _ => {}
        }
    }

    /// A notification with this payload is none of a node.
    pub(crate) fn ignore(&mut self, payload: &str) {
        self.expectations.ignored.insert(payload.to_owned());
    }

    /// A reply channel that is new since the last call.
    pub(crate) fn take_reply_channel(&mut self) -> Option<String> {
        let channel = self.reply_channels.get(self.taken_reply_channels).cloned()?;
        self.taken_reply_channels += 1;
        Some(channel)
    }

    /// Whether a node may still send what it owes.
    pub(crate) fn is_owed(&self, now: Duration) -> bool {
        self.due.iter().any(|due| due.by >= now)
    }

    /// The messages of judged nodes.
    pub(crate) fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        // Some nodes are known only after their first message.
        self.messages.iter().filter(|message| self.is_judged(&message.uid))
    }

    /// What was found, after the last notification.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        self.miss(self.now);
        self.findings
    }

    /// What was found, and which nodes have left without a 13, at the time when all processes have ended.
    pub(crate) fn finish_at(mut self, end: Duration) -> Vec<Finding> {
        self.miss(Some(end));
        let open: Vec<_> = self.nodes.iter().filter(|(_, node)| !node.has_closed).map(|(key, _)| key.clone()).collect();
        for (uid, nsp) in open.into_iter().filter(|(uid, _)| uid != "emitter") {
            if self.is_judged(&uid) {
                let expected = example::message(13, &uid, &nsp, "");
                let finding = Finding::new(Rule::Close, format!("the node {uid} was closed, and sent no 13"));
                self.found(finding.expected(expected), Some(&nsp));
            }
        }
        self.findings
    }

    fn found(&mut self, mut finding: Finding, nsp: Option<&str>) {
        finding.line.get_or_insert(self.line);
        finding.nsp = nsp.map(str::to_owned);
        self.findings.push(finding);
    }

    /// A packed message of a node, which every node must take.
    fn packed(&mut self, message: &Parsed, takes_packed: bool) {
        let text = &message.text;
        if !takes_packed {
            let problem = "the node packs messages, and its 1 and 2 do not tell `\"binary\":\"packed\"`";
            self.found(Finding::new(Rule::Packed, problem).sent(text), Some(&message.nsp));
        }
        let others = self.nodes.iter().filter(|((uid, nsp), _)| *uid != message.uid && *nsp == message.nsp);
        let needs = others.filter(|(_, other)| !other.has_closed).find_map(|((uid, _), other)| {
            let now = self.now?;
            let is_there = now.saturating_sub(other.last?) < TIMEOUT;
            let is_known = now.saturating_sub(other.needs_attachments?) > ON_ITS_WAY;
            (is_there && is_known).then(|| uid.clone())
        });
        if let Some(uid) = needs {
            let problem =
                format!("the node packs a message, which {uid} does not take: its 1 and 2 do not tell `binary`");
            self.found(Finding::new(Rule::Packed, problem).sent(text), Some(&message.nsp));
        }
    }

    /// A uid is that of one node, in one namespace.
    fn namespace(&mut self, message: &Parsed) {
        let known = self.namespaces.entry(message.uid.clone()).or_insert_with(|| message.nsp.clone());
        if *known != message.nsp {
            let text = format!("the uid {} is also that of the node in {known:?}", message.uid);
            *known = message.nsp.clone();
            self.found(Finding::new(Rule::Uid, text).sent(&message.text), Some(&message.nsp));
        }
    }

    fn after_close(&mut self, message: &Parsed, is_judged: bool) {
        let node = self.nodes.get(&(message.uid.clone(), message.nsp.clone()));
        if is_judged && node.is_some_and(|node| node.has_closed) {
            let finding = Finding::new(Rule::AfterClose, "the node has sent its 13 before").sent(&message.text);
            self.found(finding, Some(&message.nsp));
        }
    }

    /// The first message, silence, and what follows a 13.
    fn live(&mut self, message: &Parsed, is_judged: bool) {
        if message.uid == "emitter" || message.uid.is_empty() {
            if message.kind == 1 {
                self.expect(message, 2, None);
            }
            return;
        }
        if is_judged {
            self.namespace(message);
        }
        self.after_close(message, is_judged);
        let key = (message.uid.clone(), message.nsp.clone());
        let is_new = !self.nodes.contains_key(&key);
        let now = self.now;
        let node = self.nodes.entry(key).or_default();
        // Others may see in its session that it lives. A transcript does not show who sees it.
        let may_be_silent = node.has_session;
        if matches!(message.kind, 1 | 2) {
            node.has_session = message.has_session;
            node.takes_packed = message.takes_packed;
            if !message.takes_packed && node.needs_attachments.is_none() {
                node.needs_attachments = now;
            }
        }
        let takes_packed = node.takes_packed;
        let (before, had_closed) = (node.last, node.has_closed);
        node.last = now;
        node.has_closed |= message.kind == 13;
        let text = &message.text;
        if is_judged && self.expectations.patience.is_some() && is_new && message.kind != 1 {
            let finding = Finding::new(Rule::Announce, "the first message of the node is not a 1").sent(text);
            self.found(finding.expected(example::message(1, &message.uid, &message.nsp, "")), Some(&message.nsp));
        }
        if let (true, false, Some(limit), Some(before), Some(now)) =
            (is_judged, had_closed, self.expectations.silence, before, now)
            && now.saturating_sub(before) > limit
            && !may_be_silent
        {
            let silent = now.saturating_sub(before).as_secs_f64();
            let finding = Finding::new(Rule::Heartbeat, format!("the node was silent for {silent:.1} s before this"));
            let expected = example::message(2, &message.uid, &message.nsp, "");
            self.found(finding.sent(text).expected(expected), Some(&message.nsp));
        }
        if is_judged && message.is_packed {
            self.packed(message, takes_packed);
        }
        // Any message proves that the node lives, but only a 2 is the response to a 1.
        if message.kind == 2 {
            self.due.retain(|due| (due.kind, &due.uid, &due.nsp) != (2, &message.uid, &message.nsp));
        }
        if message.kind == 1 {
            self.expect(message, 2, None);
        }
        if message.kind == 13 {
            self.due.retain(|due| (&due.uid, &due.nsp) != (&message.uid, &message.nsp));
        }
    }

    fn request(&mut self, message: &Parsed) {
        let Some(id) = message.request.clone() else { return };
        let request = Request {
            kind: message.kind,
            uid: message.uid.clone(),
            nsp: message.nsp.clone(),
            only: message.only.clone(),
            responses: HashMap::new(),
            counts: HashMap::new(),
        };
        self.requests.insert(id.clone(), request);
        if let Some(channel) = message.reply_channel.as_ref().filter(|_| !self.is_judged(&message.uid))
            && !self.reply_channels.contains(channel)
        {
            self.reply_channels.push(channel.clone());
        }
        // Responses on another channel may not be heard here.
        match message.kind {
            3 if message.reply_channel.is_none() => self.expect(message, 11, Some(id)),
            7 if message.reply_channel.is_none() => self.expect(message, 8, Some(id)),
            // An application need not acknowledge a 9.
            _ => {}
        }
    }

    /// Every other node that is judged must respond.
    fn expect(&mut self, message: &Parsed, kind: u64, request: Option<String>) {
        let (Some(now), Some(patience)) = (self.now, self.expectations.patience) else { return };
        let others = self.nodes.iter().filter(|((uid, nsp), node)| {
            uid != &message.uid && nsp == &message.nsp && !node.has_closed && self.is_judged(uid)
        });
        let due: Vec<Due> = others
            .map(|((uid, nsp), _)| Due {
                uid: uid.clone(),
                nsp: nsp.clone(),
                kind,
                request: request.clone(),
                by: now + patience,
                since: message.text.clone(),
            })
            .collect();
        self.due.extend(due);
    }

    /// Reports the responses that are overdue.
    fn miss(&mut self, now: Option<Duration>) {
        let Some(now) = now else { return };
        let (overdue, due) = std::mem::take(&mut self.due).into_iter().partition(|due| due.by < now);
        self.due = due;
        for Due { uid, nsp, kind, request, since, .. } in Vec::<Due>::from_iter(overdue) {
            let rule = match kind {
                2 => Rule::Greet,
                8 => Rule::Sockets,
                _ => Rule::ClientCount,
            };
            let text = format!("the node {uid} sent no {kind} in response to {}", super::cut(&since));
            let expected = example::message(kind, &uid, &nsp, request.as_deref().unwrap_or_default());
            self.found(Finding::new(rule, text).expected(expected), Some(&nsp));
        }
    }

    fn response(&mut self, message: &Parsed, is_judged: bool) {
        let Some(id) = message.request.as_ref() else { return };
        self.due.retain(|due| (due.kind, &due.uid, due.request.as_ref()) != (message.kind, &message.uid, Some(id)));
        let mut found = Vec::new();
        let has_requests = !self.requests.is_empty();
        let sent = |rule: Rule, problem: String| Finding::new(rule, problem).sent(&message.text);
        match self.requests.get_mut(id) {
            None if has_requests => {
                found.push(sent(Rule::NobodyAsked, format!("no request has the `requestId` {id:?}")));
            }
            None => {}
            Some(request) => {
                let asked = match request.kind {
                    3 => [11, 12].as_slice(),
                    7 => &[8],
                    _ => &[10],
                };
                let expected = |kind: u64| example::message(kind, &message.uid, &request.nsp, id);
                if request.uid == message.uid {
                    let text = format!("the node responds to its own {}", request.kind);
                    found.push(sent(Rule::OwnMessages, text).expected("nothing"));
                }
                if request.nsp != message.nsp {
                    let text = format!("the request was sent in {:?}, the response in {:?}", request.nsp, message.nsp);
                    found.push(sent(Rule::NobodyAsked, text).expected(expected(message.kind)));
                }
                if !asked.contains(&message.kind) {
                    let text = format!("a {} is not answered by a {}", request.kind, message.kind);
                    found.push(sent(Rule::NobodyAsked, text).expected(expected(asked[0])));
                }
                if message.kind == 8
                    && let Some(key) = message.told_briefly.iter().find(|key| request.only.as_deref() != Some(**key))
                {
                    let text = match &request.only {
                        None => format!("`{key}` answers only a 7 with `only`: other nodes read `sockets` alone"),
                        Some(only) => format!("`{key}` does not answer a 7 with {only:?} in `only`"),
                    };
                    found.push(sent(Rule::Sockets, text).expected(expected(8)));
                }
                let times = request.responses.entry((message.uid.clone(), message.kind)).or_default();
                *times += 1;
                if message.kind != 12 && *times > 1 {
                    let rule = super::shape::rule(message.kind);
                    found
                        .push(sent(rule, format!("the node has sent its {} before", message.kind)).expected("nothing"));
                }
                if let Some(count) = message.client_count {
                    request.counts.insert(message.uid.clone(), count);
                }
                let acks = request.responses.get(&(message.uid.clone(), 12)).copied().unwrap_or_default();
                if let Some(count) = request.counts.get(&message.uid)
                    && acks as f64 > *count
                {
                    let text = format!("the node has sent {acks} acknowledgements, and a `clientCount` of {count}");
                    let right = expected(11).replace(r#""clientCount":0"#, &format!(r#""clientCount":{acks}"#));
                    found.push(sent(Rule::ClientCount, text).expected(right));
                }
            }
        }
        if is_judged {
            found.into_iter().for_each(|finding| self.found(finding, Some(&message.nsp)));
        }
    }
}
