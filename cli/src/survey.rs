//! Finds out which nodes there are: asks all of them, and listens to what they say.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use socketio_pg_core::protocol::{
    Body, NodeId, Payload, RequestId, channel,
    message::{Selector, ServerSideEmit},
    node_info::{EVENT, NodeInfo, NodeQuery},
};
use tokio::time::Instant;

use crate::{
    arguments::Selection,
    failure::Failure,
    session::{Heard, Session, new_request},
};

/// Each role that can notify can invent nodes and namespaces: more are not remembered.
const MAX_NODES: usize = 10_000;
const MAX_NAMESPACES: usize = 1000;

/// Nodes tell of namespaces, whose nodes tell of others, and so on.
const MAX_ROUNDS: usize = 3;

/// The nodes of some namespaces, as far as they were heard.
#[derive(Default)]
pub(crate) struct Survey {
    nodes: BTreeMap<(String, NodeId), Seen>,
    /// The names that nodes tell.
    names: HashMap<NodeId, String>,
    /// The questions that nodes may still answer.
    asked: Vec<RequestId>,
    /// Namespaces that nodes have told of since somebody looked.
    told: BTreeSet<String>,
}

/// A node in one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) heard: Instant,
    /// What it tells about itself.
    pub(crate) info: Option<NodeInfo>,
    /// How many sockets it has.
    pub(crate) sockets: Option<u64>,
}

impl Survey {
    /// Asks all nodes of a namespace to say that they are there, and to tell about themselves.
    pub(crate) async fn ask(&mut self, session: &mut Session, namespace: &str) -> Result<(), Failure> {
        self.ask_for(session, namespace, NodeQuery::default()).await
    }

    /// The same, and to count the selected sockets.
    pub(crate) async fn ask_for(
        &mut self,
        session: &mut Session,
        namespace: &str,
        query: NodeQuery,
    ) -> Result<(), Failure> {
        session.listen(namespace).await?;
        session.publish(namespace, Body::InitialHeartbeat).await?;
        let request = new_request();
        let packet = Payload::from_serialize(&(EVENT, query)).map_err(Failure::failed)?;
        let body = Body::ServerSideEmit(ServerSideEmit { request_id: Some(request.clone()), packet });
        session.publish(namespace, body).await?;
        self.asked.push(request);
        Ok(())
    }

    /// Asks the nodes of these namespaces, or of `/` and all that nodes tell of, and waits for the
    /// answers. Other messages are kept for the session's [`next`](Session::next).
    pub(crate) async fn of_namespaces(
        session: &mut Session,
        namespaces: &[String],
        wait: Duration,
    ) -> Result<Self, Failure> {
        let mut survey = Self::default();
        let main = ["/".to_owned()];
        let mut next: BTreeSet<String> =
            if namespaces.is_empty() { &main } else { namespaces }.iter().cloned().collect();
        for _ in 0..MAX_ROUNDS {
            for namespace in &next {
                survey.ask(session, namespace).await?;
            }
            survey.listen_until(session, Instant::now() + wait).await?;
            next = survey.new_namespaces(session);
            if next.is_empty() || !namespaces.is_empty() {
                break;
            }
        }
        Ok(survey)
    }

    /// Asks the nodes of all namespaces again.
    pub(crate) async fn ask_again(&mut self, session: &mut Session) -> Result<(), Failure> {
        self.asked.clear();
        for namespace in session.namespaces() {
            self.ask(session, &namespace).await?;
        }
        Ok(())
    }

    /// The namespaces that nodes have told of, and that nobody asked about.
    pub(crate) fn new_namespaces(&mut self, session: &Session) -> BTreeSet<String> {
        if self.told.is_empty() {
            return BTreeSet::new();
        }
        let known: BTreeSet<_> = session.namespaces().into_iter().collect();
        let places = MAX_NAMESPACES.saturating_sub(known.len());
        let told = std::mem::take(&mut self.told);
        told.into_iter().filter(|name| !known.contains(name) && channel::problem(name).is_none()).take(places).collect()
    }

    /// Forgets how many sockets the nodes have that do not tell it by themselves.
    pub(crate) fn count_again(&mut self) {
        self.nodes.values_mut().filter(|seen| seen.info.is_none()).for_each(|seen| seen.sockets = None);
    }

    /// Listens until a time.
    pub(crate) async fn listen_until(&mut self, session: &mut Session, deadline: Instant) -> Result<(), Failure> {
        while let Some(heard) = session.next_until(deadline).await? {
            if !self.note(&heard) {
                session.keep(heard);
            }
        }
        Ok(())
    }

    /// Notes what a message says of its sender. True when it is an answer to a question of this
    /// survey, or a question of it.
    pub(crate) fn note(&mut self, heard: &Heard) -> bool {
        let Ok(message) = &heard.message else { return false };
        let is_own = message.body.request_id().is_some_and(|id| self.asked.contains(id));
        let Some(uid) = message.uid.clone().filter(|uid| !uid.is_emitter()) else { return is_own };
        let key = (heard.namespace.clone(), uid);
        if matches!(message.body, Body::AdapterClose) {
            self.nodes.remove(&key);
            return false;
        }
        // Every node says that it is there when it is asked, so that other messages need not tell.
        let tells = is_own || matches!(message.body, Body::Heartbeat | Body::InitialHeartbeat);
        if tells && self.nodes.len() < MAX_NODES && !self.nodes.contains_key(&key) {
            self.nodes.insert(key.clone(), Seen { heard: Instant::now(), info: None, sockets: None });
        }
        let Some(seen) = self.nodes.get_mut(&key) else { return is_own };
        seen.heard = Instant::now();
        match &message.body {
            Body::ServerSideEmitResponse(response) if is_own => {
                let info = response.packet.as_ref().and_then(|packet| packet.deserialize::<NodeInfo>().ok());
                let Some(info) = info else { return is_own };
                seen.sockets = info.sockets;
                if let Some(name) = &info.name {
                    self.names.insert(key.1, name.clone());
                }
                let places = MAX_NAMESPACES.saturating_sub(self.told.len());
                self.told.extend(info.namespaces.iter().flatten().take(places).cloned());
                seen.info = Some(info);
            }
            Body::FetchSocketsResponse(response) if is_own => {
                seen.sockets = Some(response.told_count());
            }
            _ => {}
        }
        is_own
    }

    /// Remembers a request whose responses tell how many sockets their senders have.
    pub(crate) fn asked(&mut self, request: RequestId) {
        self.asked.push(request);
    }

    /// Forgets nodes that were not heard for so long.
    pub(crate) fn forget_silent(&mut self, silence: Duration) {
        self.nodes.retain(|_, seen| seen.heard.elapsed() < silence);
        let there: HashSet<&NodeId> = self.nodes.keys().map(|(_, uid)| uid).collect();
        self.names.retain(|uid, _| there.contains(uid));
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&str, &NodeId, &Seen)> {
        self.nodes.iter().map(|((namespace, uid), seen)| (namespace.as_str(), uid, seen))
    }

    /// The nodes of a namespace.
    pub(crate) fn uids(&self, namespace: &str) -> BTreeSet<NodeId> {
        self.nodes().filter(|(of, ..)| *of == namespace).map(|(_, uid, _)| uid.clone()).collect()
    }

    /// The name that a node tells, if it does.
    pub(crate) fn name(&self, uid: &NodeId) -> Option<&str> {
        self.names.get(uid).map(String::as_str)
    }

    /// How many servers there are of each name. A server has a uid in each namespace.
    pub(crate) fn servers_by_name(&self) -> BTreeMap<&str, usize> {
        let mut servers = BTreeMap::new();
        let mut of_namespace = BTreeMap::<_, usize>::new();
        for (namespace, uid, _) in self.nodes() {
            let Some(name) = self.name(uid) else { continue };
            let count = of_namespace.entry((name, namespace)).or_default();
            *count += 1;
            let most = servers.entry(name).or_default();
            *most = (*count).max(*most);
        }
        servers
    }

    /// Nodes of which it is not known how many sockets they have.
    pub(crate) fn uncounted(&self) -> BTreeSet<&NodeId> {
        self.nodes().filter(|(.., seen)| seen.sockets.is_none()).map(|(_, uid, _)| uid).collect()
    }

    /// A node's uid, with its name where it tells one.
    fn full_name(&self, uid: &NodeId) -> String {
        self.name(uid).map_or_else(|| uid.to_string(), |name| format!("{uid} ({name})"))
    }

    /// Nodes, for people.
    pub(crate) fn full_names<'a>(&self, uids: impl IntoIterator<Item = &'a NodeId>) -> String {
        uids.into_iter().map(|uid| self.full_name(uid)).collect::<Vec<_>>().join(", ")
    }

    /// Nodes that have more namespaces than they could name.
    pub(crate) fn incomplete(&self) -> BTreeSet<&NodeId> {
        let lacks = |seen: &Seen| {
            let info = seen.info.as_ref();
            let named = info.and_then(|info| info.namespaces.as_ref()).map_or(0, Vec::len);
            info.and_then(|info| info.namespace_count).is_some_and(|count| count > named as u64 && named > 0)
        };
        self.nodes().filter(|(.., seen)| lacks(seen)).map(|(_, uid, _)| uid).collect()
    }
}

impl Selection {
    pub(crate) fn query(&self) -> NodeQuery {
        let rooms = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
        NodeQuery { rooms: rooms(&self.room), except: rooms(&self.except) }
    }

    pub(crate) fn selector(&self) -> Selector {
        self.query().into()
    }
}
