//! The clients of a round, and what they do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::{Value, json};
use socketio_pg_tests::{Client, ClientHost, Connect};

use crate::{
    cluster::Cluster,
    delivery::{Heard, Listener, Message, Outcome, Stay, Tick},
};

/// What makes a message large.
const LARGE: usize = 9_000;
/// Why a client of a namespace that was replaced is disconnected; its client adds what it could not
/// read. Socket.IO's own clients connect again by themselves.
const SENT_AWAY: &str = "parse error";

pub(crate) struct Crowd<'a> {
    pub(crate) cluster: &'a Cluster,
    host: ClientHost,
    clock: AtomicU64,
    members: Mutex<Vec<Arc<Member>>>,
    messages: Mutex<Vec<Message>>,
    /// Where a new client must get every message at once, because other clients are there already.
    settled: Mutex<BTreeSet<(usize, String)>>,
    wrong: Mutex<Vec<String>>,
    /// Whether a client may be sent away: while others enter new namespaces.
    is_crush: AtomicBool,
    /// The clients that replace those that were sent away.
    successors: Mutex<BTreeMap<usize, Arc<Member>>>,
}

/// One connection of a client.
pub(crate) struct Member {
    index: usize,
    pub(crate) slot: usize,
    pub(crate) nsp: String,
    pub(crate) client: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    established: Option<Tick>,
    /// Whether the client or its server is leaving.
    goes: bool,
    stays: Vec<Stay>,
}

/// An event to emit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saying {
    pub(crate) rooms: Vec<String>,
    pub(crate) event: String,
    pub(crate) is_large: bool,
    pub(crate) give_up_ms: Option<u64>,
    /// Whether Socket.IO reserves the event's name.
    pub(crate) is_reserved: bool,
}

impl<'a> Crowd<'a> {
    pub(crate) fn new(cluster: &'a Cluster, host: ClientHost) -> Self {
        Self {
            cluster,
            host,
            clock: AtomicU64::new(1),
            members: Mutex::default(),
            messages: Mutex::default(),
            settled: Mutex::default(),
            wrong: Mutex::default(),
            is_crush: AtomicBool::new(true),
            successors: Mutex::default(),
        }
    }

    pub(crate) fn wrong(&self, what: String) {
        crate::say(&format!("  wrong: {what}"));
        self.wrong.lock().push(what);
    }

    pub(crate) fn count_wrong(&self) -> usize {
        self.wrong.lock().len()
    }

    pub(crate) fn take_wrong(&self) -> Vec<String> {
        std::mem::take(&mut *self.wrong.lock())
    }

    fn tick(&self) -> Tick {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Connects a client. `None` when it could not connect, which is noted.
    pub(crate) async fn enter(&self, slot: usize, nsp: &str, polls: bool) -> Option<Arc<Member>> {
        let server = &self.cluster.slots[slot];
        server.enters(nsp);
        let port = server.node()?.port();
        let mut how = Connect::to(nsp);
        if polls {
            how = how.transports(&["polling"]);
        }
        let mut connected = self.host.connect(port, &how).await;
        while self.is_crush() && connected.as_ref().is_err_and(|error| error.to_string().contains(SENT_AWAY)) {
            connected = self.host.connect(port, &how).await;
        }
        match connected {
            Ok(client) => {
                let is_settled = self.settled.lock().contains(&(slot, nsp.to_owned()));
                let established = is_settled.then(|| self.tick());
                let mut members = self.members.lock();
                let member = Arc::new(Member {
                    index: members.len(),
                    slot,
                    nsp: nsp.to_owned(),
                    client,
                    state: Mutex::new(State { established, ..State::default() }),
                });
                members.push(member.clone());
                Some(member)
            }
            Err(error) => {
                self.wrong(format!("a client cannot enter {nsp:?} at {}: {error}", server.name));
                None
            }
        }
    }

    /// Tries to connect a client; every outcome is correct.
    pub(crate) async fn try_to_enter(&self, slot: usize, nsp: &str) {
        if let Some(node) = self.cluster.slots[slot].node()
            && let Ok(client) = self.host.connect(node.port(), &Connect::to(nsp)).await
        {
            // It may have been disconnected.
            let _ = client.disconnect().await;
        }
    }

    /// Every client that is there must get every message from now on, and so must every client that
    /// joins later.
    pub(crate) fn settle(&self) {
        let now = self.tick();
        for member in self.staying() {
            member.state.lock().established.get_or_insert(now);
            self.settled.lock().insert((member.slot, member.nsp.clone()));
        }
    }

    /// The clients that stay.
    pub(crate) fn staying(&self) -> Vec<Arc<Member>> {
        self.members.lock().iter().filter(|member| !member.goes()).cloned().collect()
    }

    /// Whether clients enter new namespaces now, so that some may be sent away.
    pub(crate) fn set_crush(&self, is_crush: bool) {
        self.is_crush.store(is_crush, Ordering::SeqCst);
    }

    fn is_crush(&self) -> bool {
        self.is_crush.load(Ordering::SeqCst)
    }

    async fn was_sent_away(&self, member: &Member) -> bool {
        self.is_crush() && is_sent_away(&member.client).await
    }

    /// A client that was sent away connects again, and joins the same rooms.
    pub(crate) async fn come_again(&self) {
        let members = self.staying();
        join_all(members.iter().map(|member| async {
            if !self.was_sent_away(member).await {
                return;
            }
            member.goes_now();
            let Some(again) = self.enter(member.slot, &member.nsp, false).await else { return };
            for room in self.rooms(member) {
                self.join(&again, &room).await;
            }
            self.successors.lock().insert(member.index, again);
        }))
        .await;
    }

    /// The client that replaces a member.
    pub(crate) fn now(&self, member: &Arc<Member>) -> Arc<Member> {
        let successors = self.successors.lock();
        let mut member = member;
        while let Some(successor) = successors.get(&member.index) {
            member = successor;
        }
        member.clone()
    }

    pub(crate) fn count_sent_away(&self) -> usize {
        self.successors.lock().len()
    }

    pub(crate) async fn leave(&self, member: &Member) {
        member.goes_now();
        if let Err(error) = member.client.disconnect().await
            && !self.was_sent_away(member).await
        {
            self.wrong(format!("{} was gone before it went: {error}", self.who(member)));
        }
    }

    /// Notes that all clients of a server are about to leave with it.
    pub(crate) fn goes_with(&self, slot: usize) -> Vec<Arc<Member>> {
        self.settled.lock().retain(|(other, _)| *other != slot);
        let members = self.staying();
        let members = members.into_iter().filter(|member| member.slot == slot);
        members.inspect(|member| member.goes_now()).collect()
    }

    /// Emits an event, and notes the result.
    pub(crate) async fn say(&self, member: &Member, saying: Saying) {
        let number = self.note(member, &saying, false);
        let mut command = self.command(number, &saying);
        command["giveUpMs"] = json!(saying.give_up_ms);
        let answer = self.ask_server(member, "test:say", command).await;
        let outcome = match answer.as_ref().and_then(Value::as_str) {
            Some("sent") => Outcome::Sent,
            Some(refused) if refused.starts_with("refused") => Outcome::Refused,
            _ => Outcome::Open,
        };
        let is_right = match (saying.is_reserved, outcome) {
            (_, Outcome::Open) => true,
            (true, outcome) => outcome == Outcome::Refused,
            (false, outcome) => outcome == Outcome::Sent || member.goes(),
        };
        if !is_right {
            self.wrong(format!("{} said {saying:?} and was told {answer:?}", self.who(member)));
        }
        // When a server ends, its own clients get even what it could not publish.
        let is_open = outcome == Outcome::Refused && !saying.is_reserved;
        self.messages.lock()[number].outcome = if is_open { Outcome::Open } else { outcome };
    }

    /// Emits an event that all clients must acknowledge.
    pub(crate) async fn ask(&self, member: &Member, saying: Saying) {
        let number = self.note(member, &saying, true);
        let mut command = self.command(number, &saying);
        command["timeout"] = json!(45_000);
        command["giveUpMs"] = json!(saying.give_up_ms);
        let answer = self.ask_server(member, "test:ask", command).await;
        // Given up, it may have been sent or not.
        let Some(answer) = answer.filter(|answer| answer["isGivenUp"].is_null()) else { return };
        self.messages.lock()[number].outcome = Outcome::Sent;
        let message = self.messages.lock()[number].clone();
        let members = self.members.lock().clone();
        let must = members
            .iter()
            .filter(|other| other.index != member.index && self.heard_by(other, Vec::new()).must_hear(&message));
        let (must, got) = (must.count(), answer["responses"].as_array().map_or(0, Vec::len));
        if (got < must || !answer["error"].is_null() || !answer["refused"].is_null()) && !member.goes() {
            self.wrong(format!("{} asked {must} others and was told {answer}: {message:?}", self.who(member)));
        }
    }

    fn note(&self, member: &Member, saying: &Saying, is_asked: bool) -> usize {
        let mut messages = self.messages.lock();
        messages.push(Message {
            from: member.index,
            slot: member.slot,
            is_from_rust: self.cluster.slots[member.slot].is_rust(),
            nsp: member.nsp.clone(),
            rooms: saying.rooms.clone(),
            event: saying.event.clone(),
            is_large: saying.is_large,
            is_asked,
            begun: self.tick(),
            outcome: Outcome::Open,
        });
        messages.len() - 1
    }

    fn command(&self, number: usize, saying: &Saying) -> Value {
        let filler = if saying.is_large { "x".repeat(LARGE) } else { String::new() };
        json!({ "rooms": saying.rooms, "event": saying.event, "args": [{ "churn": number }, filler] })
    }

    pub(crate) async fn join(&self, member: &Member, room: &str) {
        let place = {
            let mut state = member.state.lock();
            state.stays.push(Stay { room: room.to_owned(), joined: None, leaving: None, left: None });
            state.stays.len() - 1
        };
        if self.ask_server(member, "test:join", json!([room])).await.is_some() {
            let now = self.tick();
            member.state.lock().stays[place].joined = Some(now);
        }
    }

    pub(crate) async fn leave_room(&self, member: &Member, room: &str) {
        let now = self.tick();
        let places: Vec<usize> = {
            let mut state = member.state.lock();
            let of_room = state.stays.iter_mut().enumerate().filter(|(_, it)| it.room == room && it.leaving.is_none());
            of_room.map(|(place, stay)| (place, stay.leaving = Some(now)).0).collect()
        };
        if self.ask_server(member, "test:leave", json!([room])).await.is_some() {
            let now = self.tick();
            places.into_iter().for_each(|place| member.state.lock().stays[place].left = Some(now));
        }
    }

    /// The server's answer. Only a client that leaves may miss it.
    async fn ask_server(&self, member: &Member, event: &str, argument: Value) -> Option<Value> {
        let lost = match member.client.ask(event, json!([argument])).await {
            Ok(Ok(mut answer)) => return Some(answer.first_mut().map(Value::take).unwrap_or_default()),
            Ok(Err(reason)) => reason,
            Err(error) => error.to_string(),
        };
        if !member.goes() && !self.was_sent_away(member).await {
            self.wrong(format!("{} got no answer to {event}: {lost}", self.who(member)));
        }
        None
    }

    pub(crate) fn who(&self, member: &Member) -> String {
        let server = &self.cluster.slots[member.slot].name;
        format!("client {} ({}) of {server} in {:?}", member.index, member.client.id(), member.nsp)
    }

    /// The rooms of a member once all is quiet.
    pub(crate) fn rooms(&self, member: &Member) -> BTreeSet<String> {
        let state = member.state.lock();
        state.stays.iter().filter(|stay| stay.left.is_none()).map(|stay| stay.room.clone()).collect()
    }

    /// All messages, and what each client got.
    pub(crate) async fn results(&self) -> crate::Result<(Vec<Listener>, Vec<Message>)> {
        let members = self.members.lock().clone();
        let mut listeners = Vec::new();
        for member in &members {
            let heard = member.client.received().await?.into_iter().filter_map(|packet| {
                let number = usize::try_from(packet.args.first()?["churn"].as_u64()?).ok()?;
                let filler = packet.args.get(1).and_then(Value::as_str).map(str::len);
                let is_large = self.messages.lock().get(number).is_some_and(|message| message.is_large);
                Some(Heard { number, event: packet.event, is_whole: filler == Some(if is_large { LARGE } else { 0 }) })
            });
            listeners.push(self.heard_by(member, heard.collect()));
        }
        Ok((listeners, self.messages.lock().clone()))
    }

    fn heard_by(&self, member: &Member, heard: Vec<Heard>) -> Listener {
        let state = member.state.lock();
        Listener {
            who: self.who(member),
            slot: member.slot,
            is_at_rust: self.cluster.slots[member.slot].is_rust(),
            nsp: member.nsp.clone(),
            established: state.established,
            stayed: !state.goes,
            stays: state.stays.clone(),
            heard,
        }
    }
}

pub(crate) async fn is_sent_away(client: &Client) -> bool {
    client.ended().await.is_ok_and(|ended| ended.is_some_and(|reason| reason.starts_with(SENT_AWAY)))
}

impl Member {
    /// Notes that a server makes the client join a room, which takes a moment.
    pub(crate) fn was_joined(&self, room: &str) {
        self.state.lock().stays.push(Stay { room: room.to_owned(), joined: None, leaving: None, left: None });
    }

    fn goes(&self) -> bool {
        self.state.lock().goes
    }

    fn goes_now(&self) {
        self.state.lock().goes = true;
    }
}
