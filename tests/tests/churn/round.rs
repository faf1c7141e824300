//! A round: clients connect at the same moment, emit, lose a server, connect again, leave.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};
use rand::{RngExt as _, SeedableRng, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::json;
use socketio_pg_tests::ClientHost;

use crate::{
    Result, agreement,
    cluster::Cluster,
    crowd::{Crowd, Member, Saying},
    delivery::judge,
    hazards::Hazard,
    names::{self, RESERVED},
};

const ROOMS: [&str; 3] = ["red", "blue", "\"'\\\0 room"];
/// A room that clients join and leave.
const DOOR: &str = "door";

/// The plan of a round, independent of what the servers do: the same seed gives the same plan.
pub(crate) struct Round {
    pub(crate) seed: u64,
    pub(crate) hazards: Vec<Hazard>,
    /// The number of plain namespaces besides those of the hazards, and the largest number of
    /// clients of one server in a namespace.
    pub(crate) namespaces: usize,
    pub(crate) crush: usize,
}

/// A client's place, and what it does there.
struct Part {
    slot: usize,
    nsp: String,
    polls: bool,
    /// Leaves as soon as it has connected.
    passes: bool,
    rooms: Vec<&'static str>,
    calm: Vec<Act>,
    storm: Vec<Act>,
    /// Leaves while a server restarts.
    goes: bool,
}

#[derive(Clone, Debug)]
enum Act {
    Say(Saying),
    Ask(Saying),
    Join(&'static str),
    Leave(&'static str),
}

impl Round {
    /// Runs the plan, and returns what went wrong.
    pub(crate) async fn run(&self, cluster: &Cluster) -> Result<Vec<String>> {
        let random = &mut StdRng::seed_from_u64(self.seed);
        let mark = if self.has(Hazard::ComeBack) { "again".to_owned() } else { format!("{:x}", self.seed) };
        let parts = self.parts(cluster, &mark, random);
        let stops = self.stop(cluster, random);
        let nul = self.has(Hazard::Nul).then(|| (rust(cluster, random), names::with_nul(&mark)));
        let again = random.random_range(0..cluster.slots.len());
        let mut told = Vec::new();
        for slot in &cluster.slots {
            told.push(slot.told().await?);
        }

        let crowd = Crowd::new(cluster, ClientHost::start().await?);
        let mut namespaces: BTreeSet<String> = parts.iter().map(|part| part.nsp.clone()).collect();
        namespaces.insert("/".to_owned());

        // One client of each server is there before, and must get every message.
        let first = join_all((0..cluster.slots.len()).map(|slot| crowd.enter(slot, "/", false))).await;
        let first: Vec<_> = first.into_iter().flatten().collect();
        agreement::all_servers_know(&crowd, &BTreeSet::from(["/".to_owned()]), "before the crush").await;
        crowd.settle();
        let others_talk = join_all(first.iter().map(|member| talk(&crowd, member)));
        let nul_comes = async {
            if let Some((slot, name)) = &nul {
                // The outcome of these is not checked here.
                let _ = tokio::time::timeout(Duration::from_secs(2), crowd.try_to_enter(*slot, name)).await;
            }
        };
        let (members, (), _) = tokio::join!(self.crush(&crowd, &parts), nul_comes, others_talk);
        agreement::all_servers_know(&crowd, &namespaces, "after the crush").await;
        crowd.settle();
        crowd.set_crush(false);

        // First part: all clients stay.
        let acting = members.iter().filter_map(|(part, member)| Some((part, crowd.now(member.as_ref()?))));
        let acting: Vec<_> = acting.filter(|(part, _)| !part.passes).collect();
        join_all(acting.iter().map(|(part, member)| act(&crowd, member, &part.calm))).await;
        if self.has(Hazard::RemoteJoin) {
            self.join_remotely(&crowd, &acting.iter().map(|(_, member)| &**member).collect::<Vec<_>>()).await?;
        }

        crowd.set_crush(true);
        // Second part: a server ends and starts again, its clients connect again all at once,
        // others leave.
        let storm = join_all(acting.iter().map(|(part, member)| async {
            if stops.is_none_or(|(slot, _)| slot != part.slot) {
                act(&crowd, member, &part.storm).await;
                if part.goes {
                    crowd.leave(member).await;
                }
            }
        }));
        let (_, lost) = tokio::join!(storm, lose(&crowd, stops, again, self.has(Hazard::Crush)));
        lost?;
        cluster.wait_for_all().await?;
        agreement::all_servers_know(&crowd, &namespaces, "after the storm").await;
        crowd.settle();
        crowd.set_crush(false);
        join_all(crowd.staying().iter().map(|member| talk(&crowd, member))).await;
        agreement::quiet(&crowd, &namespaces).await;

        let mut has_told = BTreeSet::new();
        for (index, (slot, before)) in cluster.slots.iter().zip(told).enumerate() {
            let now = slot.told().await?;
            let is_new = stops.is_some_and(|(stopped, _)| stopped == index);
            if now != before && !(is_new && now == (0, 0, 0)) {
                has_told.insert(index);
            }
        }
        let (listeners, messages) = crowd.results().await?;
        for what in judge(&listeners, &messages, &has_told, self.has(Hazard::OneOrder)) {
            crowd.wrong(what);
        }
        let heard: usize = listeners.iter().map(|listener| listener.heard.len()).sum();

        // All clients leave.
        join_all(crowd.staying().iter().map(|member| crowd.leave(member))).await;
        agreement::all_servers_know(&crowd, &namespaces, "when all have left").await;
        agreement::nothing_is_left(&crowd, &namespaces).await;
        try_join_all(cluster.slots.iter().map(|slot| slot.forget())).await?;
        crate::say(&format!(
            "  {} clients in {} namespaces, {} sent away, {} messages said, {heard} heard; {} wrong{}",
            listeners.len(),
            namespaces.len(),
            crowd.count_sent_away(),
            messages.len(),
            crowd.count_wrong(),
            if has_told.is_empty() { String::new() } else { format!("; losses told by {has_told:?}") },
        ));
        Ok(crowd.take_wrong())
    }

    fn has(&self, hazard: Hazard) -> bool {
        self.hazards.contains(&hazard)
    }

    fn parts(&self, cluster: &Cluster, mark: &str, random: &mut StdRng) -> Vec<Part> {
        let all: Vec<usize> = (0..cluster.slots.len()).collect();
        let mut parts = Vec::new();
        for name in names::namespaces(self.namespaces, mark, &self.hazards, random) {
            let possible = all.iter().filter(|index| name.is_for_node || cluster.slots[**index].is_rust());
            let possible: Vec<usize> = possible.copied().collect();
            let count = random.random_range(2..=3);
            let slots: Vec<usize> = possible.sample(random, count).copied().collect();
            for slot in slots {
                for _ in 0..random.random_range(1..=self.crush) {
                    parts.push(self.part(slot, &name.text, random));
                }
            }
        }
        parts
    }

    fn part(&self, slot: usize, nsp: &str, random: &mut StdRng) -> Part {
        let rooms = ROOMS.into_iter().filter(|_| random.random_bool(0.4)).collect();
        let calm = (0..random.random_range(2..5)).map(|_| self.act(true, random)).collect();
        let storm = (0..random.random_range(2..5)).map(|_| self.act(false, random)).collect();
        Part {
            slot,
            nsp: nsp.to_owned(),
            polls: self.has(Hazard::Polling) && random.random_bool(0.1),
            passes: random.random_bool(0.15),
            rooms,
            calm,
            storm,
            goes: random.random_bool(0.2),
        }
    }

    fn act(&self, is_calm: bool, random: &mut StdRng) -> Act {
        let mut saying = Saying { event: names::event(random), ..Saying::default() };
        if random.random_bool(0.5) {
            saying.rooms.extend([*ROOMS.choose(random).unwrap_or(&DOOR)].map(str::to_owned));
        }
        saying.is_large = random.random_bool(0.1);
        let give_up_ms = random.random_range(0..4);
        match random.random_range(0..10) {
            0 => Act::Join(DOOR),
            1 => Act::Leave(DOOR),
            2 => Act::Say(Saying { rooms: vec![DOOR.to_owned()], ..saying }),
            3 if is_calm => {
                let is_given_up = self.has(Hazard::GivenUp) && random.random_bool(0.4);
                Act::Ask(Saying { give_up_ms: is_given_up.then_some(give_up_ms * 3), ..saying })
            }
            4 | 5 if self.has(Hazard::GivenUp) => Act::Say(Saying { give_up_ms: Some(give_up_ms), ..saying }),
            6 if self.has(Hazard::Reserved) => {
                let event = RESERVED[random.random_range(0..RESERVED.len())].to_owned();
                Act::Say(Saying { event, is_reserved: true, ..saying })
            }
            _ => Act::Say(saying),
        }
    }

    /// Which server ends, and whether it sends a close message.
    fn stop(&self, cluster: &Cluster, random: &mut StdRng) -> Option<(usize, bool)> {
        let slot = random.random_range(0..cluster.slots.len());
        let ways = [(Hazard::Terminate, true), (Hazard::Kill, false)];
        let ways: Vec<bool> = ways.into_iter().filter(|(way, _)| self.has(*way)).map(|(_, word)| word).collect();
        ways.choose(random).map(|with_a_word| (slot, *with_a_word))
    }

    /// Connects all clients, at the same moment or, without that hazard, one after the other.
    async fn crush<'p, 'c>(
        &self,
        crowd: &Crowd<'c>,
        parts: &'p [Part],
    ) -> Vec<(&'p Part, Option<std::sync::Arc<Member>>)> {
        let come = |part: &'p Part| async move {
            let member = crowd.enter(part.slot, &part.nsp, part.polls).await;
            if let Some(member) = &member {
                if part.passes {
                    crowd.leave(member).await;
                } else {
                    for room in &part.rooms {
                        crowd.join(member, room).await;
                    }
                }
            }
            (part, member)
        };
        if self.has(Hazard::Crush) {
            return join_all(parts.iter().map(come)).await;
        }
        // The first client of a server alone, the others when it has connected.
        let mut of_one: BTreeMap<(usize, &str), Vec<&Part>> = BTreeMap::new();
        for part in parts {
            of_one.entry((part.slot, &part.nsp)).or_default().push(part);
        }
        let in_turn = of_one.into_values().map(|parts| async move {
            let mut members = Vec::new();
            for part in parts {
                members.push(come(part).await);
            }
            members
        });
        join_all(in_turn).await.into_iter().flatten().collect()
    }

    /// In each namespace a Rust server makes all clients join a room, on any server.
    async fn join_remotely(&self, crowd: &Crowd<'_>, members: &[&Member]) -> Result {
        let places: BTreeSet<(&str, usize)> = members.iter().map(|member| (member.nsp.as_str(), member.slot)).collect();
        let mut done = BTreeSet::new();
        for (nsp, slot) in places {
            let slot = &crowd.cluster.slots[slot];
            if slot.is_rust() && done.insert(nsp) {
                slot.call("joinRemote", nsp, json!({ "join": ["far"] })).await?;
                let there = crowd.staying();
                there.iter().filter(|member| member.nsp == nsp).for_each(|member| member.was_joined("far"));
            }
        }
        Ok(())
    }
}

/// Ends a server and starts another. Its clients connect again all at once, there and at one more
/// server.
async fn lose(crowd: &Crowd<'_>, stops: Option<(usize, bool)>, again: usize, at_once: bool) -> Result {
    let Some((index, with_a_word)) = stops else { return Ok(()) };
    let slot = &crowd.cluster.slots[index];
    let lost = crowd.goes_with(index);
    slot.stop(with_a_word).await?;
    slot.start().await?;
    let is_for_node = |nsp: &str| crowd.cluster.slots.iter().any(|it| !it.is_rust() && it.holds(nsp));
    let come_back = lost.iter().enumerate().map(|(number, member)| {
        let may = crowd.cluster.slots[again].is_rust() || is_for_node(&member.nsp);
        let to = if number % 4 == 0 && may { again } else { index };
        crowd.enter(to, &member.nsp, false)
    });
    if at_once {
        join_all(come_back).await;
    } else {
        for comes_back in come_back {
            comes_back.await;
        }
    }
    Ok(())
}

async fn act(crowd: &Crowd<'_>, member: &Member, acts: &[Act]) {
    for act in acts {
        match act.clone() {
            Act::Say(saying) => crowd.say(member, saying).await,
            Act::Ask(saying) => crowd.ask(member, saying).await,
            Act::Join(room) => crowd.join(member, room).await,
            Act::Leave(room) => crowd.leave_room(member, room).await,
        }
    }
}

/// Emits two events to all clients.
async fn talk(crowd: &Crowd<'_>, member: &Member) {
    for _ in 0..2 {
        crowd.say(member, Saying { event: "talk".to_owned(), ..Saying::default() }).await;
    }
}

fn rust(cluster: &Cluster, random: &mut StdRng) -> usize {
    let all = cluster.slots.iter().enumerate().filter(|(_, slot)| slot.is_rust());
    let all: Vec<usize> = all.map(|(index, _)| index).collect();
    *all.choose(random).expect("there are servers in Rust")
}
