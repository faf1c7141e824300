//! Aliases for sockets of other nodes, in the form of socketioxide's ids.
//!
//! A socketioxide id has 16 characters; Node.js's have 20. Each foreign socket gets an alias,
//! derived from its id so that it is always the same. The alias is remembered so that operations on
//! it reach the socket.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
};

use parking_lot::Mutex;
use socketio_pg_protocol::{NodeId, SocketId};
use socketioxide_core::{Sid, Uid};

/// Remembers the foreign socket of each alias.
#[derive(Debug)]
pub(crate) struct Aliases {
    /// The hash keys are random, so that no client or node can make two ids collide.
    hashers: [RandomState; 2],
    known: Mutex<Known>,
    max: usize,
}

#[derive(Debug, Default)]
struct Known {
    by_alias: HashMap<Sid, SocketId>,
    /// Oldest first.
    order: VecDeque<Sid>,
}

impl Aliases {
    pub(crate) fn new(max: usize) -> Self {
        Self { hashers: [RandomState::new(), RandomState::new()], known: Mutex::default(), max: max.max(1) }
    }

    /// The alias of a socket of another node: its own id where socketioxide can hold it.
    pub(crate) fn alias(&self, id: &SocketId) -> Sid {
        if let Ok(sid) = id.as_str().parse() {
            return sid;
        }
        let alias = self.derive(id.as_str());
        let mut known = self.known.lock();
        if known.by_alias.insert(alias, id.clone()).is_none() {
            known.order.push_back(alias);
            if known.order.len() > self.max
                && let Some(oldest) = known.order.pop_front()
            {
                known.by_alias.remove(&oldest);
            }
        }
        alias
    }

    /// The id of the socket that an alias stands for; any other id stands for itself.
    pub(crate) fn resolve(&self, sid: Sid) -> SocketId {
        match self.known.lock().by_alias.get(&sid) {
            Some(id) => id.clone(),
            None => sid.as_str().into(),
        }
    }

    /// An id in socketioxide's form for another node.
    pub(crate) fn server(&self, node: Option<&NodeId>) -> Uid {
        let text = node.map(NodeId::as_str).unwrap_or_default();
        let sid = self.derive(text);
        sid.as_str().parse().unwrap_or_else(|_| Uid::new())
    }

    /// 96 bits of hash as 16 url-safe characters.
    fn derive(&self, text: &str) -> Sid {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let [high, low] = self.hashers.each_ref().map(|hasher| hasher.hash_one(text));
        let bits = (u128::from(high) << 64) | u128::from(low);
        let derived: String =
            (0..16).map(|at| char::from(ALPHABET[(bits >> (6 * at)) as usize & (ALPHABET.len() - 1)])).collect();
        derived.parse().unwrap_or_else(|_| Sid::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_stable_and_leads_back() {
        let aliases = Aliases::new(10);
        let id = SocketId::from("kZKYGMOmZqTEZGEfAAAq");
        let alias = aliases.alias(&id);
        assert_eq!(aliases.alias(&id), alias);
        assert_eq!(aliases.resolve(alias), id);
        assert_ne!(aliases.alias(&"kZKYGMOmZqTEZGEfAAAr".into()), alias);
    }

    #[test]
    fn an_id_of_socketioxide_is_its_own_alias() {
        let sid = Sid::new();
        assert_eq!(Aliases::new(10).alias(&sid.as_str().into()), sid);
    }

    #[test]
    fn the_oldest_aliases_are_forgotten() {
        let aliases = Aliases::new(2);
        let ids = ["first of three", "second of three", "third of three"].map(SocketId::from);
        let alias = ids.each_ref().map(|id| aliases.alias(id));
        assert_eq!(aliases.resolve(alias[0]).as_str(), alias[0].as_str());
        assert_eq!(aliases.resolve(alias[1]), ids[1]);
        assert_eq!(aliases.resolve(alias[2]), ids[2]);
    }
}
