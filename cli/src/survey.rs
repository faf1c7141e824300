//! Finds out which nodes there are: asks all of them, and listens to what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use socketio_pg_core::protocol::{
    Body, NodeId, Payload, RequestId,
    message::{Selector, ServerSideEmit},
    node_info::{EVENT, NodeInfo, NodeQuery},
};
use tokio::time::Instant;

use crate::{
    arguments::Selection,
    failure::Failure,
    session::{Heard, Session, new_request},
};

/// The nodes of some namespaces, as far as they were heard.
#[derive(Default)]
pub(crate) struct Survey {
    nodes: BTreeMap<(String, NodeId), Seen>,
    /// The questions that nodes may still answer.
    asked: Vec<RequestId>,
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
        let mut asked = BTreeSet::new();
        while !next.is_empty() {
            for namespace in &next {
                survey.ask(session, namespace).await?;
            }
            asked.append(&mut next);
            survey.listen_until(session, Instant::now() + wait).await?;
            if namespaces.is_empty() {
                next = survey.told_namespaces().filter(|name| !asked.contains(*name)).map(str::to_owned).collect();
            }
        }
        Ok(survey)
    }

    /// Asks the nodes of all namespaces again; sockets are counted anew.
    pub(crate) async fn ask_again(&mut self, session: &mut Session) -> Result<(), Failure> {
        self.asked.clear();
        self.nodes.values_mut().for_each(|seen| seen.sockets = None);
        for namespace in session.namespaces() {
            self.ask(session, &namespace).await?;
        }
        Ok(())
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
        let seen = self.nodes.entry(key).or_insert(Seen { heard: Instant::now(), info: None, sockets: None });
        seen.heard = Instant::now();
        match &message.body {
            Body::ServerSideEmitResponse(response) if is_own => {
                let info = response.packet.as_ref().and_then(|packet| packet.deserialize::<NodeInfo>().ok());
                seen.sockets = info.as_ref().and_then(|info| info.sockets);
                seen.info = info;
            }
            Body::FetchSocketsResponse(response) if is_own => {
                seen.sockets = u64::try_from(response.sockets.len()).ok();
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
        self.nodes().filter(|(_, other, _)| *other == uid).find_map(|(.., seen)| seen.info.as_ref()?.name.as_deref())
    }

    /// The namespaces that nodes tell of.
    fn told_namespaces(&self) -> impl Iterator<Item = &str> {
        self.nodes.values().filter_map(|seen| seen.info.as_ref()?.namespaces.as_ref()).flatten().map(String::as_str)
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
