//! Node.js's own defects: what a composition shows instead of the right outcome.
//!
//! The list is strict: when a defect disappears that shows in every run, the suite fails until its
//! entry is removed.

use serde_json::{Value, json};
use socketio_pg_kit::scenarios::refused_by_node;
use socketio_pg_tests::{Parser, binary};

use crate::composition::{Composition, Seat};

/// A defect of Node.js.
pub(crate) struct Defect {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) about: &'static str,
    /// The scenario that shows it.
    scenario: &'static str,
    show: Show,
}

/// How a defect shows.
enum Show {
    /// Changes the right outcome into what the composition shows; leaves it unchanged if the defect
    /// does not show there.
    As(fn(&Composition, &mut Value)),
    /// For these clients the outcome varies from run to run.
    Varies(fn(&Composition) -> Vec<&'static str>),
    /// On these compositions the whole outcome varies from run to run.
    Anyhow(fn(&Composition) -> bool),
}

/// What a composition must show in a scenario that it was `seen` to play, `None` for any outcome,
/// and the defects that cause it.
pub(crate) fn shown(
    composition: &Composition,
    scenario: &str,
    expected: &Value,
    seen: &Value,
) -> (Option<Value>, Vec<&'static str>) {
    let mut shown = Some(expected.clone());
    let mut names = Vec::new();
    for defect in DEFECTS.iter().filter(|defect| defect.scenario == scenario) {
        let before = shown.clone();
        let mut is_shown = false;
        match defect.show {
            Show::As(show) => shown.iter_mut().for_each(|it| show(composition, it)),
            Show::Varies(clients) => {
                let clients = clients(composition);
                is_shown = !clients.is_empty();
                if let Some(it) = &mut shown {
                    clients.into_iter().for_each(|client| it[client] = seen[client].clone());
                }
            }
            Show::Anyhow(varies) if varies(composition) => shown = None,
            Show::Anyhow(_) => {}
        }
        if (is_shown || shown != before) && !names.contains(&defect.name) {
            names.push(defect.name);
        }
    }
    (shown, names)
}

/// Whether one of these is a defect of Node.js: the list has two of others.
pub(crate) fn has_one_of_node(names: &[&str]) -> bool {
    let of_others = |defect: &&Defect| defect.about.starts_with("not Node.js but ");
    names.iter().any(|name| !DEFECTS.iter().filter(of_others).any(|defect| defect.name == *name))
}

const CLIENTS: [&str; 3] = ["a", "b", "c"];
const SERVERS: [&str; 3] = ["one", "two", "three"];

/// The list.
pub(crate) const DEFECTS: &[Defect] = &[
    Defect {
        name: "8000",
        about: "a message of exactly 8000 bytes does not arrive",
        scenario: "sizes around the limit",
        show: Show::As(|composition, seen| {
            if matches!(composition.actor(), Seat::Node { .. }) {
                for client in ["b", "c"] {
                    seen[client]["8000"] = json!(0);
                }
            }
            // A worker's primary adds 52 bytes, and its own workers get it without PostgreSQL.
            if composition.actor() == Seat::Worker {
                for (client, seat) in composition.others() {
                    if seat != Seat::Worker {
                        seen[client]["7948"] = json!(0);
                    }
                }
            }
        }),
    },
    Defect {
        name: "proto",
        about: "an attachment with the key __proto__ is not read, and local clients do not get that key",
        scenario: "the key __proto__ in attachments",
        show: Show::As(|composition, seen| {
            let actor = composition.actor();
            for (client, seat) in composition.clients() {
                // Workers of one cluster hear each other without PostgreSQL.
                let is_near = client == "a" || (actor, seat) == (Seat::Worker, Seat::Worker);
                if !is_near && seat.is_node() {
                    seen[client] = json!([]);
                } else if seat.is_node()
                    && let Some(value) = seen[client][0][1].as_object_mut()
                {
                    value.remove("__proto__");
                }
            }
        }),
    },
    Defect {
        name: "proto",
        about: "",
        scenario: "what Node.js sent in attachments",
        show: Show::As(|composition, seen| {
            for (client, seat) in composition.clients() {
                if seat.is_node()
                    && let Some(events) = seen[client].as_object_mut()
                {
                    events.remove(&refused_by_node().to_string());
                }
            }
        }),
    },
    Defect {
        name: "unheard",
        about: "workers of a Node.js cluster do not hear what a server outside of it sends",
        scenario: "what Node.js sent inline",
        show: Show::As(unheard_by_workers),
    },
    Defect {
        name: "unheard",
        about: "",
        scenario: "what Node.js sent in attachments",
        show: Show::As(unheard_by_workers),
    },
    Defect {
        name: "order",
        about: "events overtake each other, where Node.js sends and where it receives",
        scenario: "order of small and large events",
        // On a busy machine the events may come one by one, and then nothing overtakes them.
        show: Show::Varies(|composition| {
            let overtaken = composition.others().filter(|&(_, seat)| {
                let are_workers = (composition.actor(), seat) == (Seat::Worker, Seat::Worker);
                (composition.actor().is_node() || seat.is_node()) && !are_workers
            });
            overtaken.map(|(client, _)| client).collect()
        }),
    },
    Defect {
        name: "local ack",
        about: "acknowledgements of local clients alone are waited for in vain",
        scenario: "acknowledgements: local",
        show: Show::As(|composition, seen| {
            if composition.actor().is_node() {
                seen["error"] = json!("operation has timed out");
            }
        }),
    },
    Defect {
        name: "dead ack",
        about: "acknowledgements of a dead server's clients are waited for until the time is up",
        scenario: "acknowledgements: a node dies meanwhile",
        show: Show::As(|composition, seen| {
            if composition.actor().is_node() {
                seen["meanwhile"]["error"] = json!("operation has timed out");
            }
        }),
    },
    Defect {
        name: "Buffer",
        about: "binary in the data of another server's socket arrives as an object of the type Buffer",
        scenario: "fetchSockets: binary data",
        show: Show::As(|composition, seen| {
            for (server, observer) in SERVERS.into_iter().zip(composition.seats) {
                for (client, seat) in composition.clients() {
                    let is_local =
                        SERVERS.iter().position(|it| *it == server) == CLIENTS.iter().position(|it| *it == client);
                    // Workers of one cluster talk to each other without PostgreSQL.
                    let are_workers = (observer, seat) == (Seat::Worker, Seat::Worker);
                    if observer.is_node() && seat.is_node() && !is_local && !are_workers {
                        let data = &mut seen[server][client];
                        data["bytes"] = json!({ "type": "Buffer", "data": [1, 2] });
                        data["deep"][0]["bytes"] = json!({ "type": "Buffer", "data": [] });
                    }
                }
            }
        }),
    },
    Defect {
        name: "long",
        about: "PostgreSQL refuses what is sent to a channel of over 63 bytes, and the sender gets no error",
        scenario: "a namespace of over 63 bytes",
        show: Show::As(|composition, seen| unheard(composition, seen, |sender, _| sender.is_node())),
    },
    Defect {
        name: "quote",
        about: "the name of the namespace is pasted into LISTEN, which then fails, and the sender gets no error",
        scenario: "a namespace with a quote",
        show: Show::As(|composition, seen| unheard(composition, seen, |_, receiver| receiver.is_node())),
    },
    Defect {
        name: "emitter",
        about: "the official emitter does not name the namespace, so the official adapter drops what it sends",
        scenario: "official emitter",
        show: Show::As(|composition, seen| {
            for index in (0..3).filter(|&index| composition.seats[index].is_node()) {
                seen["received"][CLIENTS[index]] = json!([]);
                seen["server side"][SERVERS[index]] = json!([]);
                if index == 2 {
                    seen["still there"] = json!(["a", "b", "c", "d"]);
                }
            }
        }),
    },
    Defect {
        name: "twice",
        about: "a large or binary message reaches the other workers of its sender's own cluster twice",
        scenario: "sizes around the limit",
        show: Show::As(|composition, seen| {
            for client in composition.repeated_by_the_actor() {
                for total in 7949..=8002 {
                    seen[client][total.to_string()] = json!(2);
                }
            }
        }),
    },
    Defect {
        name: "twice",
        about: "",
        scenario: "large and binary events",
        show: Show::As(|composition, seen| {
            for client in composition.repeated_by_the_actor() {
                seen[client] = twice(&seen[client], |_| true);
            }
        }),
    },
    Defect {
        name: "twice",
        about: "",
        scenario: "values in attachments",
        show: Show::As(|composition, seen| {
            for client in composition.repeated_by_the_actor() {
                for (_, values) in seen[client].as_object_mut().into_iter().flatten() {
                    *values = json!([values[0], values[0]]);
                }
            }
        }),
    },
    Defect {
        name: "twice",
        about: "",
        scenario: "acknowledgements: large and binary",
        show: Show::Anyhow(|composition| composition.repeated_by_the_actor().next().is_some()),
    },
    Defect {
        name: "twice",
        about: "",
        scenario: "serverSideEmit: large and binary answers",
        show: Show::Anyhow(|composition| composition.repeated_by_the_actor().next().is_some()),
    },
    Defect {
        name: "twice",
        about: "",
        scenario: "serverSideEmit: large and binary",
        show: Show::As(|composition, seen| {
            for client in composition.repeated_by_the_actor() {
                let server = SERVERS[CLIENTS.iter().position(|it| *it == client).unwrap_or_default()];
                seen[server] = twice(&seen[server], |_| true);
            }
        }),
    },
    Defect {
        name: "twice",
        about: "",
        scenario: "namespaces are apart",
        show: Show::As(|composition, seen| {
            for client in composition.repeated_by_the_actor() {
                for namespace in ["own", "main"] {
                    let events = &mut seen[namespace][client];
                    *events = twice(events, |event| event[0] == "to all");
                }
            }
        }),
    },
    Defect {
        name: "twice",
        about: "",
        scenario: "remote sockets: emit",
        show: Show::As(|composition, seen| {
            for (sender, receiver) in composition.repeated() {
                let binary = format!("{} B", SERVERS[sender]);
                seen[receiver] = twice(&seen[receiver], |event| event[0] == *binary);
            }
        }),
    },
    Defect { name: "twice", about: "", scenario: "a namespace in Unicode", show: Show::As(one_more_from_each) },
    Defect {
        name: "twice",
        about: "",
        scenario: "a namespace with odd characters",
        show: Show::As(one_more_from_each),
    },
    Defect {
        name: "twice",
        about: "",
        scenario: "remote sockets: binary acknowledgements",
        show: Show::Anyhow(|composition| composition.repeated().next().is_some()),
    },
    Defect {
        name: "msgpack",
        about: "Socket.IO's MessagePack parser drops the key __proto__, and on Node.js also numbers from 2^64 on and lone surrogates",
        scenario: "values inline",
        show: Show::As(wide_numbers),
    },
    Defect { name: "msgpack", about: "", scenario: "values in attachments", show: Show::As(wide_numbers) },
    Defect { name: "msgpack", about: "", scenario: "the key __proto__ inline", show: Show::As(no_proto) },
    Defect { name: "msgpack", about: "", scenario: "the key __proto__ in attachments", show: Show::As(no_proto) },
    Defect {
        name: "msgpack",
        about: "",
        scenario: "what Node.js sent inline",
        show: Show::As(|composition, seen| by_message_pack(composition, seen, |value| json!(["v", value]))),
    },
    Defect {
        name: "msgpack",
        about: "",
        scenario: "what Node.js sent in attachments",
        show: Show::As(|composition, seen| {
            by_message_pack(composition, seen, |value| json!(["v", value, binary([0xab])]));
            // The other parser takes it for a buffer.
            placeholder(composition, seen, |seat| seat.parser() == Parser::MsgPack);
        }),
    },
    Defect {
        name: "no parser",
        about: "not Node.js but the node in Python: its sockets have no parser, which would take an object that looks like a placeholder for binary",
        scenario: "what Node.js sent in attachments",
        show: Show::As(|composition, seen| placeholder(composition, seen, |seat| seat == Seat::Python)),
    },
    Defect {
        name: "128 levels",
        about: "not Node.js but a Rust server with the MessagePack parser, and a server in Python: they refuse values of more than 128 levels",
        scenario: "deep nesting",
        show: Show::As(|composition, seen| {
            let is_limited = |seat: Seat| match seat {
                Seat::Rust { parser, .. } => parser == Parser::MsgPack,
                seat => seat == Seat::PythonServer,
            };
            for (client, seat) in composition.clients() {
                if is_limited(composition.actor()) || is_limited(seat) {
                    seen[client] = json!([90]);
                }
            }
            if is_limited(composition.actor()) {
                seen["refused"] = json!([130, 500]);
            }
        }),
    },
];

impl Composition {
    fn actor(&self) -> Seat {
        self.seats[0]
    }

    fn clients(&self) -> impl Iterator<Item = (&'static str, Seat)> {
        CLIENTS.into_iter().zip(self.seats)
    }

    /// The clients of the two other servers.
    fn others(&self) -> impl Iterator<Item = (&'static str, Seat)> {
        self.clients().skip(1)
    }
}

impl Composition {
    /// Pairs of different workers, the first of which sends to the second.
    fn repeated(&self) -> impl Iterator<Item = (usize, usize)> {
        let is_worker = self.seats.map(|seat| seat == Seat::Worker);
        let pairs = (0..3).flat_map(|sender| (0..3).map(move |receiver| (sender, receiver)));
        pairs.filter(move |&(sender, receiver)| sender != receiver && is_worker[sender] && is_worker[receiver])
    }

    /// The clients that get large and binary events twice when the first server sends them.
    fn repeated_by_the_actor(&self) -> impl Iterator<Item = &'static str> {
        self.repeated().filter(|&(sender, _)| sender == 0).map(|(_, receiver)| CLIENTS[receiver])
    }
}

/// Doubles these events, in the order of the others.
fn twice(events: &Value, which: impl Fn(&Value) -> bool) -> Value {
    let events = events.as_array().into_iter().flatten();
    socketio_pg_kit::scenarios::sorted(
        events.flat_map(|event| std::iter::repeat_n(event.clone(), if which(event) { 2 } else { 1 })),
    )
}

/// Each server sends one large event.
fn one_more_from_each(composition: &Composition, seen: &mut Value) {
    for (_, receiver) in composition.repeated() {
        let count = &mut seen["received"][receiver];
        *count = json!(count.as_u64().unwrap_or_default() + 1);
    }
}

/// What becomes of numbers on the way from a Node.js server to its client.
fn wide_number_pairs() -> [(Value, u64); 4] {
    // Read like the clients' numbers, so that they are rounded alike.
    let read = |text| serde_json::from_str(text).expect("a number");
    [
        (read("1e21"), 3_875_820_019_684_212_700),
        (read("1.7976931348623157e308"), 0),
        (read("18446744073709552000"), 0),
        (read("123456789012345680000"), 12_776_324_570_088_374_000),
    ]
}

fn wide_numbers(composition: &Composition, seen: &mut Value) {
    for (client, seat) in composition.clients() {
        if !seat.is_node() || seat.parser() != Parser::MsgPack {
            continue;
        }
        for (_, values) in seen[client].as_object_mut().into_iter().flatten() {
            for (number, shown) in wide_number_pairs() {
                if *values == json!([number]) {
                    *values = json!([shown]);
                }
            }
        }
    }
}

fn no_proto(composition: &Composition, seen: &mut Value) {
    for (client, seat) in composition.clients() {
        if seat.parser() == Parser::MsgPack
            && let Some(value) = seen[client].pointer_mut("/0/1").and_then(Value::as_object_mut)
        {
            value.remove("__proto__");
        }
    }
}

fn by_message_pack(composition: &Composition, seen: &mut Value, event: fn(Value) -> Value) {
    for (client, seat) in composition.clients().filter(|(_, seat)| seat.parser() == Parser::MsgPack) {
        let seen = &mut seen[client];
        becomes(seen, &event(json!({ "__proto__": { "x": 1 }, "y": 2 })), &event(json!({ "y": 2 })));
        let half = if seat.is_node() { "x\u{10079}" } else { "x\u{fffd}y" };
        for utf16 in ["eAAA2HkA", "eAAA3HkA"] {
            becomes(seen, &event(json!({ "$utf16": utf16 })), &event(json!(half)));
        }
        for (number, shown) in wide_number_pairs().into_iter().filter(|_| seat.is_node()) {
            becomes(seen, &event(json!(number)), &event(json!(shown)));
        }
    }
}

/// An object that looks like a placeholder remains one for these clients.
fn placeholder(composition: &Composition, seen: &mut Value, keeps: fn(Seat) -> bool) {
    for (client, _) in composition.clients().filter(|(_, seat)| keeps(*seat)) {
        let bytes = json!(["v", binary([0xab]), binary([0xab])]);
        becomes(&mut seen[client], &bytes, &json!(["v", { "_placeholder": true, "num": 0 }, binary([0xab])]));
    }
}

/// Replaces one event by another where events are counted.
fn becomes(counts: &mut Value, event: &Value, shown: &Value) {
    let Some(counts) = counts.as_object_mut() else { return };
    if let Some(count) = counts.remove(&event.to_string()).and_then(|count| count.as_u64()) {
        let shown = counts.entry(shown.to_string()).or_insert(json!(0));
        *shown = json!(shown.as_u64().unwrap_or_default() + count);
    }
}

fn unheard_by_workers(composition: &Composition, seen: &mut Value) {
    for (client, seat) in composition.clients() {
        if seat == Seat::Worker {
            seen[client] = json!({});
        }
    }
}

/// Removes from each client the events of those servers that its own server does not hear. Workers
/// of one cluster hear each other.
fn unheard(composition: &Composition, seen: &mut Value, is_unheard: fn(Seat, Seat) -> bool) {
    for (receiver, client) in CLIENTS.into_iter().enumerate() {
        for (sender, server) in SERVERS.into_iter().enumerate() {
            let seats = (composition.seats[sender], composition.seats[receiver]);
            if sender != receiver && seats != (Seat::Worker, Seat::Worker) && is_unheard(seats.0, seats.1) {
                let events = seen[client].as_array_mut().into_iter();
                events.for_each(|events| events.retain(|event| event[1] != server));
            }
        }
    }
}
