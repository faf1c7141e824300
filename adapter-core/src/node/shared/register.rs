//! The register of a node's namespaces: which namespaces the node has, which channels it listens
//! on, and which namespaces may send.
//!
//! What depends on the register's content happens under its lock: LISTEN when a namespace enters,
//! UNLISTEN when the last namespace of a channel leaves, and messages that a namespace sends by
//! itself. So none of them comes behind its namespace's close message.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use foldhash::fast::RandomState;
use socketio_pg_protocol::NodeId;

use crate::{node::namespace::Namespace, sync::RwLock};

#[cfg(all(test, feature = "model"))]
mod model;

/// What the register needs of a namespace.
pub(crate) trait Member {
    fn name(&self) -> &str;
    fn channel(&self) -> &str;
    fn uid(&self) -> &NodeId;

    /// Called when it is not in the register any more.
    fn left(&self);
}

impl Member for Namespace {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn channel(&self) -> &str {
        Self::channel(self)
    }

    fn uid(&self) -> &NodeId {
        Self::uid(self)
    }

    fn left(&self) {
        Self::left(self);
    }
}

pub(crate) struct Register<N = Namespace>(RwLock<Members<N>>);

struct Members<N> {
    /// Sorted, so that what is done for all of them is always done in the same order.
    by_name: BTreeMap<String, Arc<N>>,
    uids: HashSet<NodeId, RandomState>,
    /// How many namespaces each channel has: several where long names are cut.
    of_channel: HashMap<String, usize>,
}

impl<N> Default for Register<N> {
    fn default() -> Self {
        Self(RwLock::new(Members { by_name: BTreeMap::new(), uids: HashSet::default(), of_channel: HashMap::new() }))
    }
}

impl<N: Member> Register<N> {
    /// Adds a namespace, in place of a namespace of the same name, which is returned and must
    /// leave. `listen` tells the link to listen; without a link the namespace is not added.
    pub(crate) fn enter<L>(&self, new: &Arc<N>, listen: impl FnOnce() -> Option<L>) -> Option<(L, Option<Arc<N>>)> {
        let mut members = self.0.write();
        // Under the lock: otherwise an UNLISTEN for a namespace that left could come behind it.
        let listening = listen()?;
        members.uids.insert(new.uid().clone());
        Some((listening, members.insert(new)))
    }

    /// Removes a namespace, which from now on sends only its close message. `unlisten` tells the
    /// link that no namespace needs the channel any more. False when it has left already, or was
    /// never added.
    pub(crate) fn leave(&self, member: &Arc<N>, unlisten: impl FnOnce()) -> bool {
        let mut members = self.0.write();
        if !members.uids.remove(member.uid()) {
            return false;
        }
        member.left();
        // Under the lock: otherwise it could overtake the LISTEN of a successor.
        if members.remove(member) && !members.of_channel.contains_key(member.channel()) {
            unlisten();
        }
        true
    }

    /// Forgets a namespace whose channel the node could not listen on.
    pub(crate) fn forget(&self, member: &Arc<N>) {
        let mut members = self.0.write();
        members.uids.remove(member.uid());
        member.left();
        members.remove(member);
    }

    /// Calls `say`, which sends a message of the namespace's own. `None` when the namespace has
    /// left: its close message must stay its last message.
    pub(crate) fn speak<T>(&self, member: &N, say: impl FnOnce() -> T) -> Option<T> {
        let members = self.0.read();
        members.uids.contains(member.uid()).then(say)
    }

    /// The same for all namespaces together. `say` must not use the register.
    pub(crate) fn speak_all<T>(&self, say: impl FnOnce(&[Arc<N>]) -> T) -> T {
        let members = self.0.read();
        let all: Vec<_> = members.by_name.values().cloned().collect();
        say(&all)
    }

    pub(crate) fn all(&self) -> Vec<Arc<N>> {
        self.0.read().by_name.values().cloned().collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<N>> {
        self.0.read().by_name.get(name).cloned()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.read().by_name.is_empty()
    }

    pub(crate) fn has(&self, uid: &str) -> bool {
        self.0.read().uids.contains(uid)
    }
}

impl<N: Member> Members<N> {
    /// Returns the namespace of the same name whose place it takes.
    fn insert(&mut self, member: &Arc<N>) -> Option<Arc<N>> {
        *self.of_channel.entry(member.channel().to_owned()).or_default() += 1;
        let replaced = self.by_name.insert(member.name().to_owned(), member.clone());
        if let Some(replaced) = &replaced {
            self.leave_channel(replaced);
        }
        replaced
    }

    /// False when another namespace of the same name has replaced it.
    fn remove(&mut self, member: &Arc<N>) -> bool {
        let is_there = self.by_name.get(member.name()).is_some_and(|other| Arc::ptr_eq(other, member));
        if is_there {
            self.by_name.remove(member.name());
            self.leave_channel(member);
        }
        is_there
    }

    fn leave_channel(&mut self, member: &Arc<N>) {
        if let Some(count) = self.of_channel.get_mut(member.channel()) {
            *count -= 1;
            if *count == 0 {
                self.of_channel.remove(member.channel());
            }
        }
    }
}
