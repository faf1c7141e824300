//! The application's handlers of events from server to server.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};

use parking_lot::RwLock;
use socketio_pg_protocol::Payload;

use crate::error::Error;

/// A handler's response: nothing for a handler that does not respond.
pub(crate) type Reply = Result<Option<Option<Payload>>, Error>;

pub(crate) type Handler = Arc<dyn Fn(&str, &Payload) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// The handlers of one namespace by event; the key `None` is every event.
type ByEvent = HashMap<Option<String>, Vec<Handler>>;

/// The handlers of a node, by namespace.
#[derive(Default)]
pub(crate) struct Handlers(RwLock<HashMap<String, ByEvent>>);

impl Handlers {
    pub(crate) fn add(&self, namespace: &str, event: Option<String>, handler: Handler) {
        self.0.write().entry(namespace.to_owned()).or_default().entry(event).or_default().push(handler);
    }

    pub(crate) fn remove(&self, namespace: &str, event: Option<&str>) {
        let mut namespaces = self.0.write();
        let Some(events) = namespaces.get_mut(namespace) else { return };
        let removed = events.remove(&event.map(str::to_owned));
        if events.is_empty() {
            namespaces.remove(namespace);
        }
        drop(namespaces);
        // Not under the lock: the application's values in them run code when they are dropped.
        drop(removed);
    }

    pub(super) fn get(&self, namespace: &str, event: &str) -> Vec<Handler> {
        let namespaces = self.0.read();
        let Some(events) = namespaces.get(namespace) else { return Vec::new() };
        [None, Some(event.to_owned())].iter().filter_map(|event| events.get(event)).flatten().cloned().collect()
    }
}
