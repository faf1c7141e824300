//! Node's own defects: what a composition shows in place of what it should.
//!
//! The list is strict. A defect that disappears fails the suite until its entry is gone.

use crate::composition::{Composition, Seat};
use crate::values::refused_by_node;
use serde_json::{Value, json};

/// A defect of Node's.
pub(crate) struct Defect {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) about: &'static str,
    /// The scenario that shows it.
    scenario: &'static str,
    /// Changes what should be seen into what the composition shows; leaves it as it is where the defect does not show.
    show: fn(&Composition, &mut Value),
}

/// What a composition shows in a scenario, and the defects because of which it does.
pub(crate) fn shown(composition: &Composition, scenario: &str, expected: &Value) -> (Value, Vec<&'static str>) {
    let mut shown = expected.clone();
    let mut names = Vec::new();
    for defect in DEFECTS.iter().filter(|defect| defect.scenario == scenario) {
        let before = shown.clone();
        (defect.show)(composition, &mut shown);
        if shown != before {
            names.push(defect.name);
        }
    }
    (shown, names)
}

const CLIENTS: [&str; 3] = ["a", "b", "c"];
const SERVERS: [&str; 3] = ["one", "two", "three"];

/// The list.
pub(crate) const DEFECTS: &[Defect] = &[
    Defect {
        name: "8000",
        about: "a message of exactly 8000 bytes is published to nobody",
        scenario: "sizes around the limit",
        show: |composition, seen| {
            if matches!(composition.actor(), Seat::Node { .. }) {
                for client in ["b", "c"] {
                    seen[client]["8000"] = json!(0);
                }
            }
        },
    },
    Defect {
        name: "proto",
        about: "an attachment with the key __proto__ is not read, and local clients do not get that key",
        scenario: "the key __proto__ in attachments",
        show: |composition, seen| {
            for (client, seat) in composition.others() {
                if seat.is_node() {
                    seen[client] = json!([]);
                }
            }
            if composition.actor().is_node()
                && let Some(value) = seen["a"][0][1].as_object_mut()
            {
                value.remove("__proto__");
            }
        },
    },
    Defect {
        name: "proto",
        about: "",
        scenario: "what Node sent in attachments",
        show: |composition, seen| {
            for (client, seat) in composition.clients() {
                if seat.is_node()
                    && let Some(events) = seen[client].as_object_mut()
                {
                    events.remove(&refused_by_node().to_string());
                }
            }
        },
    },
    Defect {
        name: "deaf",
        about: "workers of a Node cluster do not hear what a server outside of it sends",
        scenario: "what Node sent inline",
        show: deaf_workers,
    },
    Defect { name: "deaf", about: "", scenario: "what Node sent in attachments", show: deaf_workers },
    Defect {
        name: "order",
        about: "events overtake each other, where Node sends and where it receives",
        scenario: "order of small and large events",
        show: |composition, seen| {
            for (client, seat) in composition.others() {
                if composition.actor().is_node() || seat.is_node() {
                    seen[client] = json!(false);
                }
            }
        },
    },
    Defect {
        name: "local ack",
        about: "acknowledgements of local clients alone are waited for in vain",
        scenario: "acknowledgements: local",
        show: |composition, seen| {
            if composition.actor().is_node() {
                seen["error"] = json!("operation has timed out");
            }
        },
    },
    Defect {
        name: "dead ack",
        about: "acknowledgements of a dead server's clients are waited for until the time is up",
        scenario: "acknowledgements: a node dies meanwhile",
        show: |composition, seen| {
            if composition.actor().is_node() {
                seen["meanwhile"]["error"] = json!("operation has timed out");
            }
        },
    },
    Defect {
        name: "Buffer",
        about: "binary in the data of another server's socket arrives as an object of the type Buffer",
        scenario: "fetchSockets: binary data",
        show: |composition, seen| {
            for (server, observer) in SERVERS.into_iter().zip(composition.seats) {
                for (client, seat) in composition.clients() {
                    let is_local = SERVERS.iter().position(|it| *it == server) == CLIENTS.iter().position(|it| *it == client);
                    if observer.is_node() && seat.is_node() && !is_local {
                        let data = &mut seen[server][client];
                        data["bytes"] = json!({ "type": "Buffer", "data": [1, 2] });
                        data["deep"][0]["bytes"] = json!({ "type": "Buffer", "data": [] });
                    }
                }
            }
        },
    },
    Defect {
        name: "long",
        about: "PostgreSQL refuses what is sent to a channel of over 63 bytes, and nobody is told",
        scenario: "a namespace of over 63 bytes",
        show: |composition, seen| unheard(composition, seen, |sender, _| sender.is_node()),
    },
    Defect {
        name: "quote",
        about: "the name of the namespace is pasted into LISTEN, which then fails, and nobody is told",
        scenario: "a namespace with a quote",
        show: |composition, seen| unheard(composition, seen, |_, receiver| receiver.is_node()),
    },
    Defect {
        name: "emitter",
        about: "the official emitter does not name the namespace, so the official adapter drops what it sends",
        scenario: "official emitter",
        show: |composition, seen| {
            for (index, seat) in composition.seats.into_iter().enumerate().filter(|(_, seat)| seat.is_node()) {
                seen["received"][CLIENTS[index]] = json!([]);
                seen["server side"][SERVERS[index]] = json!([]);
                if index == 2 {
                    seen["still there"] = json!(["a", "b", "c", "d"]);
                }
            }
        },
    },
];

impl Composition {
    fn actor(&self) -> Seat {
        self.seats[0]
    }

    fn clients(&self) -> impl Iterator<Item = (&'static str, Seat)> {
        CLIENTS.into_iter().zip(self.seats)
    }

    /// The clients of the two others.
    fn others(&self) -> impl Iterator<Item = (&'static str, Seat)> {
        self.clients().skip(1)
    }
}

fn deaf_workers(composition: &Composition, seen: &mut Value) {
    for (client, seat) in composition.clients() {
        if seat == Seat::Worker {
            seen[client] = json!({});
        }
    }
}

/// Takes away from each client the events of those servers that its own does not hear. Workers of one cluster do.
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
