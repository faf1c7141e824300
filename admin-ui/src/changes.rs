//! What has changed between two looks at the sockets of this server.

use std::collections::{BTreeSet, HashMap};

use socketio_pg_core::SocketData;
use socketioxide::{TransportType, socket::Sid};

/// A socket of this server, as the page knows it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) transport: TransportType,
    /// With the room of its own id, in which Node.js's sockets are.
    pub(crate) rooms: BTreeSet<String>,
    pub(crate) data: Option<SocketData>,
}

/// The sockets of this server, by namespace.
pub(crate) type Sockets = HashMap<String, HashMap<Sid, Seen>>;

/// What happened to a socket.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) namespace: String,
    pub(crate) sid: Sid,
    pub(crate) what: What,
}

#[derive(Debug, PartialEq)]
pub(crate) enum What {
    Connected,
    TransportChanged(TransportType),
    DataChanged,
    Joined(String),
    Left(String),
    Disconnected,
}

/// What happened between two looks. A socket that has gone leaves its rooms after it is reported,
/// as in Node.js: the page then takes it out of them.
pub(crate) fn changes(before: &Sockets, after: &Sockets) -> Vec<Change> {
    let (mut gone, mut rest) = (Vec::new(), Vec::new());
    let none = HashMap::new();
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for namespace in names {
        let (old, new) = (before.get(namespace).unwrap_or(&none), after.get(namespace).unwrap_or(&none));
        for (sid, seen) in old.iter().filter(|(sid, _)| !new.contains_key(sid)) {
            let mut tell = |what| gone.push(Change { namespace: namespace.clone(), sid: *sid, what });
            tell(What::Disconnected);
            seen.rooms.iter().for_each(|room| tell(What::Left(room.clone())));
        }
        for (sid, seen) in new {
            let mut tell = |what| rest.push(Change { namespace: namespace.clone(), sid: *sid, what });
            match old.get(sid) {
                None => tell(What::Connected),
                Some(known) => known.changes_to(seen).for_each(&mut tell),
            }
        }
    }
    gone.append(&mut rest);
    gone
}

impl Seen {
    fn changes_to<'a>(&'a self, now: &'a Self) -> impl Iterator<Item = What> + 'a {
        let transport = (self.transport != now.transport).then_some(What::TransportChanged(now.transport));
        let data = (self.data != now.data).then_some(What::DataChanged);
        let joined = now.rooms.difference(&self.rooms).cloned().map(What::Joined);
        let left = self.rooms.difference(&now.rooms).cloned().map(What::Left);
        transport.into_iter().chain(data).chain(joined).chain(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rooms: &[&str]) -> Seen {
        let rooms = rooms.iter().map(|room| (*room).to_owned()).collect();
        Seen { transport: TransportType::Polling, rooms, data: None }
    }

    fn sockets(all: &[(&str, Sid, Seen)]) -> Sockets {
        let mut sockets = Sockets::new();
        for (namespace, sid, seen) in all {
            sockets.entry((*namespace).to_owned()).or_default().insert(*sid, seen.clone());
        }
        sockets
    }

    fn told(before: &Sockets, after: &Sockets) -> Vec<(String, What)> {
        changes(before, after).into_iter().map(|change| (change.namespace, change.what)).collect()
    }

    #[test]
    fn a_socket_comes_changes_and_goes() {
        let sid = Sid::new();
        let nothing = Sockets::new();
        let came = sockets(&[("/", sid, seen(&["id", "a"]))]);
        assert_eq!(told(&nothing, &came), [("/".to_owned(), What::Connected)]);
        assert_eq!(told(&came, &came), []);

        let mut changed = seen(&["id", "b"]);
        changed.transport = TransportType::Websocket;
        changed.data = SocketData::new(&[1]).ok();
        let changed = sockets(&[("/", sid, changed)]);
        let expected = [
            What::TransportChanged(TransportType::Websocket),
            What::DataChanged,
            What::Joined("b".to_owned()),
            What::Left("a".to_owned()),
        ];
        assert_eq!(told(&came, &changed), expected.map(|what| ("/".to_owned(), what)));

        let expected = [What::Disconnected, What::Left("b".to_owned()), What::Left("id".to_owned())];
        assert_eq!(told(&changed, &nothing), expected.map(|what| ("/".to_owned(), what)));
    }

    #[test]
    fn one_id_in_two_namespaces_is_two_sockets() {
        let sid = Sid::new();
        let both = sockets(&[("/", sid, seen(&[])), ("/chat", sid, seen(&["a"]))]);
        let one = sockets(&[("/", sid, seen(&[]))]);
        let expected = [What::Disconnected, What::Left("a".to_owned())];
        assert_eq!(told(&both, &one), expected.map(|what| ("/chat".to_owned(), what)));
    }
}
