//! Checks every interleaving of namespaces that enter, send and leave, and of the node's end.

use std::{collections::BTreeSet, sync::Arc};

use loom::thread;
use socketio_pg_protocol::NodeId;

use super::{Member, Register};
use crate::sync::{Mutex, explore};

struct Namespace {
    name: &'static str,
    channel: &'static str,
    uid: NodeId,
}

impl Member for Namespace {
    fn name(&self) -> &str {
        self.name
    }

    fn channel(&self) -> &str {
        self.channel
    }

    fn uid(&self) -> &NodeId {
        &self.uid
    }

    fn left(&self) {}
}

fn namespace(name: &'static str, channel: &'static str, uid: &str) -> Arc<Namespace> {
    Arc::new(Namespace { name, channel, uid: uid.into() })
}

#[derive(Clone, Debug, PartialEq)]
enum Said {
    Announcement(NodeId),
    Heartbeat(NodeId),
    CloseMessage(NodeId),
}

/// A reduced node, which calls the register in the same way as the real one.
#[derive(Default)]
struct Node {
    register: Register<Namespace>,
    /// The channels that the link was told to listen on, or not to, in order.
    told: Mutex<Vec<(bool, &'static str)>>,
    queue: Mutex<Vec<Said>>,
    is_closed: Mutex<bool>,
}

impl Node {
    fn register(&self, namespace: &Arc<Namespace>) -> bool {
        let listen = || {
            if *self.is_closed.lock() {
                return None;
            }
            self.told.lock().push((true, namespace.channel));
            Some(())
        };
        let Some(((), replaced)) = self.register.enter(namespace, listen) else { return false };
        if let Some(replaced) = replaced {
            self.leave(&replaced);
        }
        true
    }

    fn join(&self, namespace: &Arc<Namespace>) {
        let say = || self.queue.lock().push(Said::Announcement(namespace.uid.clone()));
        let _ = self.register.speak(namespace, say);
    }

    fn enter(&self, namespace: &Arc<Namespace>) {
        if self.register(namespace) {
            self.join(namespace);
        }
    }

    fn tell_time(&self) {
        self.register.speak_all(|all| {
            let heartbeats: Vec<_> = all.iter().map(|namespace| Said::Heartbeat(namespace.uid.clone())).collect();
            self.queue.lock().extend(heartbeats);
        });
    }

    fn leave(&self, namespace: &Arc<Namespace>) {
        if self.register.leave(namespace, || self.told.lock().push((false, namespace.channel))) {
            self.queue.lock().push(Said::CloseMessage(namespace.uid.clone()));
        }
    }

    fn close(&self) {
        *self.is_closed.lock() = true;
        self.register.all().iter().for_each(|namespace| self.leave(namespace));
    }

    fn judge(&self, is_closed: bool) {
        let mut listened_to = BTreeSet::new();
        for (is_listen, channel) in self.told.lock().iter() {
            if *is_listen {
                listened_to.insert(*channel)
            } else {
                listened_to.remove(channel)
            };
        }
        let needed: BTreeSet<_> = self.register.all().iter().map(|namespace| namespace.channel).collect();
        assert_eq!(listened_to, needed, "what is needed is listened to, and nothing else");
        let queue = self.queue.lock();
        for (at, said) in queue.iter().enumerate() {
            let Said::CloseMessage(uid) = said else { continue };
            let (announcement, heartbeat) = (Said::Announcement(uid.clone()), Said::Heartbeat(uid.clone()));
            let later = &queue[at + 1..];
            assert!(!later.contains(&announcement), "announced after its close message: {queue:?}");
            assert!(!later.contains(&heartbeat), "a heartbeat after its close message: {queue:?}");
            assert!(!later.contains(said), "it sends one close message: {queue:?}");
            assert!(!self.register.has(uid.as_str()), "it has left");
        }
        if is_closed {
            assert!(self.register.is_empty(), "a closed node has no namespace left");
        }
    }
}

type Work = fn(&Node, &[Arc<Namespace>; 3]);

/// Runs all of this work at the same time.
fn check(preemptions: Option<usize>, is_closed: bool, work: &'static [Work]) {
    explore(preemptions, move || {
        let node = Arc::new(Node::default());
        // Two of one name, and one of another name whose channel is cut to the same.
        let namespaces = [namespace("/a", "c", "1"), namespace("/a", "c", "2"), namespace("/b", "c", "3")];
        let working: Vec<_> = work
            .iter()
            .map(|work| {
                let (node, namespaces) = (node.clone(), namespaces.clone());
                thread::spawn(move || work(&node, &namespaces))
            })
            .collect();
        for working in working {
            working.join().expect("work that ends");
        }
        node.judge(is_closed);
    });
}

#[test]
fn a_namespace_that_leaves_beside_its_successor_leaves_it_its_channel() {
    check(
        None,
        false,
        &[
            |node, [one, ..]| {
                node.enter(one);
                node.leave(one);
            },
            |node, [_, other, _]| node.enter(other),
        ],
    );
}

#[test]
fn two_names_with_one_channel_come_and_go() {
    check(
        None,
        false,
        &[
            |node, [one, ..]| {
                node.enter(one);
                node.leave(one);
            },
            |node, [.., third]| node.enter(third),
        ],
    );
}

#[test]
fn three_come_and_two_go() {
    let preemptions = Some(4);
    check(
        preemptions,
        false,
        &[
            |node, [one, ..]| {
                node.enter(one);
                node.leave(one);
            },
            |node, [_, other, _]| node.enter(other),
            |node, [.., third]| {
                node.enter(third);
                node.leave(third);
            },
        ],
    );
}

#[test]
fn a_namespace_that_leaves_while_it_joins_sends_nothing_after_its_close_message() {
    check(
        None,
        false,
        &[|node, [one, ..]| node.enter(one), |node, [one, ..]| node.leave(one), |node, _| node.tell_time()],
    );
}

#[test]
fn a_node_that_closes_while_namespaces_come_has_none_at_the_end() {
    check(
        Some(4),
        true,
        &[|node, [one, ..]| node.enter(one), |node, [_, other, _]| node.enter(other), |node, _| node.close()],
    );
}
