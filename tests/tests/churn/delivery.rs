//! The expected receivers of each message, and a check of what they got.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A time of the test's own clock, which only orders events.
pub(crate) type Tick = u64;

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) from: usize,
    pub(crate) slot: usize,
    pub(crate) is_from_rust: bool,
    pub(crate) nsp: String,
    /// Empty: to the whole namespace.
    pub(crate) rooms: Vec<String>,
    pub(crate) event: String,
    /// Sent through the attachments table.
    pub(crate) is_large: bool,
    /// With acknowledgement.
    pub(crate) is_asked: bool,
    pub(crate) begun: Tick,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every client of the namespace must get it.
    Sent,
    /// Dropped, or its sender was lost: either all clients get it, or none.
    Open,
    /// No client may get it.
    Refused,
}

/// The time that a client is in a room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stay {
    pub(crate) room: String,
    pub(crate) joined: Option<Tick>,
    pub(crate) leaving: Option<Tick>,
    pub(crate) left: Option<Tick>,
}

/// A client, and all that it got.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) who: String,
    pub(crate) slot: usize,
    pub(crate) is_at_rust: bool,
    pub(crate) nsp: String,
    /// From when on it must get every message.
    pub(crate) established: Option<Tick>,
    /// Whether it was still connected at the end.
    pub(crate) stayed: bool,
    pub(crate) stays: Vec<Stay>,
    pub(crate) heard: Vec<Heard>,
}

#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) number: usize,
    pub(crate) event: String,
    pub(crate) is_whole: bool,
}

impl Listener {
    pub(crate) fn must_hear(&self, message: &Message) -> bool {
        let is_in = |room: &String| {
            let is_now = |stay: &Stay| stay.joined.is_some_and(|it| it < message.begun) && stay.leaving.is_none();
            self.stays.iter().any(|stay| stay.room == *room && is_now(stay))
        };
        self.stayed
            && self.nsp == message.nsp
            && self.established.is_some_and(|it| it < message.begun)
            && (message.rooms.is_empty() || message.rooms.iter().any(is_in))
    }

    fn may_hear(&self, message: &Message) -> bool {
        let was_in = |room: &String| {
            let was_then = |stay: &Stay| stay.left.is_none_or(|it| it > message.begun);
            self.stays.iter().any(|stay| stay.room == *room && was_then(stay))
        };
        self.nsp == message.nsp && (message.rooms.is_empty() || message.rooms.iter().any(was_in))
    }
}

/// Returns what is wrong. `has_told` are the servers that have reported a loss themselves: their
/// clients may miss messages.
pub(crate) fn judge(
    listeners: &[Listener],
    messages: &[Message],
    has_told: &BTreeSet<usize>,
    in_one_order: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut heard_by: HashMap<usize, BTreeSet<usize>> = HashMap::new();
    for (index, listener) in listeners.iter().enumerate() {
        for heard in &listener.heard {
            let Some(message) = messages.get(heard.number) else {
                wrong.push(format!("{} heard number {}, which no client sent", listener.who, heard.number));
                continue;
            };
            let about = format!("{} heard number {}", listener.who, heard.number);
            if !heard_by.entry(heard.number).or_default().insert(index) {
                wrong.push(format!("{about} twice: {message:?}"));
            }
            if message.from == index || !listener.may_hear(message) {
                wrong.push(format!("{about}, which was not for it: {message:?}; its rooms: {:?}", listener.stays));
            }
            if message.outcome == Outcome::Refused {
                wrong.push(format!("{about}, which was refused: {message:?}"));
            }
            if heard.event != message.event || !heard.is_whole {
                wrong.push(format!("{about} as {:?}, whole: {}: {message:?}", heard.event, heard.is_whole));
            }
        }
    }
    wrong.extend(missing(listeners, messages, has_told, &heard_by));
    for listener in listeners {
        wrong.extend(out_of_turn(listener, messages));
    }
    if in_one_order {
        wrong.extend(other_orders(listeners, messages));
    }
    wrong
}

fn missing(
    listeners: &[Listener],
    messages: &[Message],
    has_told: &BTreeSet<usize>,
    heard_by: &HashMap<usize, BTreeSet<usize>>,
) -> Vec<String> {
    // All numbers that a client missed, in one line.
    let mut unheard: BTreeMap<(usize, &str), Vec<usize>> = BTreeMap::new();
    let none = BTreeSet::new();
    for (number, message) in messages.iter().enumerate() {
        let heard = heard_by.get(&number).unwrap_or(&none);
        let why = match message.outcome {
            Outcome::Sent => "",
            Outcome::Open if !heard.is_empty() => ", given up, which others heard",
            Outcome::Open | Outcome::Refused => continue,
        };
        for (index, listener) in listeners.iter().enumerate() {
            let must = index != message.from && listener.must_hear(message) && !has_told.contains(&listener.slot);
            if must && !heard.contains(&index) {
                unheard.entry((index, why)).or_default().push(number);
            }
        }
    }
    let line = |((index, why), numbers): ((usize, &str), Vec<usize>)| {
        let first = numbers.first().and_then(|number| messages.get(*number));
        let slots: BTreeSet<usize> = numbers.iter().map(|number| messages[*number].slot).collect();
        let count = numbers.len();
        format!("{} missed {count} messages{why}, of the servers {slots:?}; first {first:?}", listeners[index].who)
    };
    unheard.into_iter().map(line).collect()
}

/// Whether the order counts: Node.js keeps no order between large and small messages, and its own
/// clients get a message with acknowledgement before it is published.
fn is_ordered(message: &Message, listener: &Listener) -> bool {
    let is_kept_by_node = !message.is_large && (message.is_from_rust || !message.is_asked);
    is_kept_by_node || (message.is_from_rust && listener.is_at_rust)
}

/// Messages of one sender must arrive in their order.
fn out_of_turn(listener: &Listener, messages: &[Message]) -> Vec<String> {
    let mut last: HashMap<usize, usize> = HashMap::new();
    let mut wrong = Vec::new();
    for heard in &listener.heard {
        let Some(message) = messages.get(heard.number).filter(|message| is_ordered(message, listener)) else {
            continue;
        };
        let before = last.insert(message.from, heard.number);
        if let Some(before) = before.filter(|before| *before > heard.number) {
            wrong.push(format!("{} heard number {} after {before}: {message:?}", listener.who, heard.number));
        }
    }
    wrong
}

/// All clients, of its own server or others, must get the messages of one server in the same order.
fn other_orders(listeners: &[Listener], messages: &[Message]) -> Vec<String> {
    let orders = listeners.iter().map(|listener| {
        let mut by_station: HashMap<usize, Vec<usize>> = HashMap::new();
        for heard in &listener.heard {
            if let Some(message) = messages.get(heard.number)
                && message.is_from_rust
                && is_ordered(message, listener)
            {
                by_station.entry(message.slot).or_default().push(heard.number);
            }
        }
        by_station
    });
    let orders: Vec<_> = orders.collect();
    let mut wrong = Vec::new();
    for (index, one) in orders.iter().enumerate() {
        for (other_index, other) in orders.iter().enumerate().skip(index + 1) {
            if listeners[index].nsp != listeners[other_index].nsp {
                continue;
            }
            for (slot, order) in one {
                let places: HashMap<usize, usize> =
                    order.iter().enumerate().map(|(place, number)| (*number, place)).collect();
                let there: Vec<_> = other.get(slot).into_iter().flatten().filter_map(|it| places.get(it)).collect();
                if let Some(pair) = there.windows(2).find(|pair| pair[0] > pair[1]) {
                    let [late, early] = [order[*pair[0]], order[*pair[1]]];
                    let (who, others) = (&listeners[index].who, &listeners[other_index].who);
                    wrong.push(format!("{who} heard {early} before {late} of server {slot}, {others} after it"));
                }
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(heard: &[usize]) -> Listener {
        Listener {
            who: "c".to_owned(),
            slot: 0,
            is_at_rust: true,
            nsp: "/".to_owned(),
            established: Some(1),
            stayed: true,
            stays: Vec::new(),
            heard: heard
                .iter()
                .map(|number| Heard { number: *number, event: "e".to_owned(), is_whole: true })
                .collect(),
        }
    }

    fn message(from: usize) -> Message {
        Message {
            from,
            slot: 0,
            is_from_rust: true,
            nsp: "/".to_owned(),
            rooms: Vec::new(),
            event: "e".to_owned(),
            is_large: false,
            is_asked: false,
            begun: 2,
            outcome: Outcome::Sent,
        }
    }

    fn count(listeners: &[Listener], messages: &[Message]) -> usize {
        judge(listeners, messages, &BTreeSet::new(), true).len()
    }

    #[test]
    fn a_message_that_every_client_got_once_and_in_order_is_right() {
        let listeners = [listener(&[2]), listener(&[0, 1, 2]), listener(&[0, 1])];
        assert_eq!(count(&listeners, &[message(0), message(0), message(2)]), 0);
    }

    #[test]
    fn a_message_that_is_missing_doubled_out_of_order_or_not_meant_for_its_receiver_is_wrong() {
        let messages = [message(0), message(0)];
        assert_eq!(count(&[listener(&[]), listener(&[0])], &messages), 1);
        assert_eq!(count(&[listener(&[]), listener(&[0, 1, 1])], &messages), 1);
        // Out of order; and another order than another client's.
        assert_eq!(count(&[listener(&[]), listener(&[1, 0])], &messages), 1);
        assert_eq!(count(&[listener(&[]), listener(&[1, 0]), listener(&[0, 1])], &messages), 2);
        assert_eq!(count(&[listener(&[1]), listener(&[0, 1])], &messages), 1);
        assert_eq!(count(&[listener(&[]), listener(&[0, 1, 7])], &messages), 1);
        let elsewhere = Listener { nsp: "/other".to_owned(), ..listener(&[0]) };
        assert_eq!(count(&[listener(&[]), elsewhere], &messages), 1);
    }

    #[test]
    fn a_client_that_may_miss_a_message_is_not_wrong() {
        let messages = [message(0)];
        for change in [
            |it: &mut Listener| it.stayed = false,
            |it: &mut Listener| it.established = None,
            |it: &mut Listener| it.established = Some(3),
        ] {
            let mut late = listener(&[]);
            change(&mut late);
            assert_eq!(count(&[listener(&[]), late], &messages), 0);
        }
        let told = judge(&[listener(&[]), listener(&[])], &messages, &BTreeSet::from([0]), true);
        assert_eq!(told, Vec::<String>::new());
    }

    #[test]
    fn a_message_that_was_dropped_is_got_by_all_clients_or_by_none() {
        let messages = [Message { outcome: Outcome::Open, ..message(0) }];
        assert_eq!(count(&[listener(&[]), listener(&[]), listener(&[])], &messages), 0);
        assert_eq!(count(&[listener(&[]), listener(&[0]), listener(&[0])], &messages), 0);
        assert_eq!(count(&[listener(&[]), listener(&[0]), listener(&[])], &messages), 1);
    }

    #[test]
    fn a_client_that_is_in_a_room_all_the_time_gets_its_messages() {
        let messages = [Message { rooms: vec!["red".to_owned()], ..message(0) }];
        let stay = |joined, leaving, left| Stay { room: "red".to_owned(), joined, leaving, left };
        for (stay, unheard, heard) in [
            (stay(Some(1), None, None), 1, 0),
            (stay(Some(3), None, None), 0, 0),
            (stay(Some(1), Some(5), None), 0, 0),
            (stay(Some(0), Some(0), Some(1)), 0, 1),
        ] {
            let with = |numbers: &[usize]| Listener { stays: vec![stay.clone()], ..listener(numbers) };
            assert_eq!(count(&[listener(&[]), with(&[])], &messages), unheard, "{stay:?}");
            assert_eq!(count(&[listener(&[]), with(&[0])], &messages), heard, "{stay:?}");
        }
        assert_eq!(count(&[listener(&[]), listener(&[0])], &messages), 1);
    }
}
