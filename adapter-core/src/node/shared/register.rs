//! The register of a node's namespaces: whom it knows, and with that what it listens to and when it may speak.
//!
//! What depends on who is in it happens under its lock: a LISTEN when one comes, an UNLISTEN when the last of a channel goes, and
//! whatever is said of a node's own accord, which never comes behind its farewell.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use foldhash::fast::RandomState;
use socketio_pg_protocol::NodeId;

use crate::{node::namespace::Namespace, sync::RwLock};

#[cfg(all(test, feature = "model"))]
mod model;

/// What the register needs to know of a namespace.
pub(crate) trait Member {
    fn name(&self) -> &str;
    fn channel(&self) -> &str;
    fn uid(&self) -> &NodeId;

    /// It is in the register no more.
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
    /// In order, so that what is done for all of them is done in the same order every time.
    by_name: BTreeMap<String, Arc<N>>,
    uids: HashSet<NodeId, RandomState>,
}

impl<N> Default for Register<N> {
    fn default() -> Self {
        Self(RwLock::new(Members { by_name: BTreeMap::new(), uids: HashSet::default() }))
    }
}

impl<N: Member> Register<N> {
    /// Takes in a namespace, in place of any of that name, which comes back and is to leave. `listen` tells the link to listen;
    /// without a link nobody comes in.
    pub(crate) fn enter<L>(&self, new: &Arc<N>, listen: impl FnOnce() -> Option<L>) -> Option<(L, Option<Arc<N>>)> {
        let mut members = self.0.write();
        // Under the lock: an UNLISTEN for a namespace that left would come behind it.
        let listening = listen()?;
        members.uids.insert(new.uid().clone());
        Some((listening, members.by_name.insert(new.name().to_owned(), new.clone())))
    }

    /// Lets a namespace go, which from now on says nothing but farewell. `unlisten` tells the link that nobody needs the channel any
    /// more. False when it has left already, or never came in.
    pub(crate) fn leave(&self, member: &Arc<N>, unlisten: impl FnOnce()) -> bool {
        let mut members = self.0.write();
        if !members.uids.remove(member.uid()) {
            return false;
        }
        member.left();
        // Under the lock: else it could overtake the LISTEN of a successor.
        if members.remove(member) && !members.by_name.values().any(|other| other.channel() == member.channel()) {
            unlisten();
        }
        true
    }

    /// Forgets a namespace that is not being listened to.
    pub(crate) fn forget(&self, member: &Arc<N>) {
        let mut members = self.0.write();
        members.uids.remove(member.uid());
        member.left();
        members.remove(member);
    }

    /// Lets a namespace speak. `None` when it has left: it leaves behind what it says, and says nothing afterwards.
    pub(crate) fn speak<T>(&self, member: &N, say: impl FnOnce() -> T) -> Option<T> {
        let members = self.0.read();
        members.uids.contains(member.uid()).then(say)
    }

    /// The same for all of them together. `say` must not ask the register.
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
    /// False when it was not there under its name, being replaced by a namespace of the same name.
    fn remove(&mut self, member: &Arc<N>) -> bool {
        let is_there = self.by_name.get(member.name()).is_some_and(|other| Arc::ptr_eq(other, member));
        if is_there {
            self.by_name.remove(member.name());
        }
        is_there
    }
}
