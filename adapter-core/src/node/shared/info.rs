//! What this node tells about itself, when another process asks.

use std::{future::ready, sync::Arc};

use socketio_pg_protocol::{
    Payload, Value,
    node_info::{MAX_NAMESPACE_BYTES, NodeInfo, NodeQuery},
};

use super::Node;
use crate::{
    backend::Backend,
    error::Error,
    node::{handlers::Handler, namespace::Namespace},
};

impl<B: Backend> Node<B> {
    /// Handles the event [`EVENT`](socketio_pg_protocol::node_info::EVENT) as the application's
    /// handlers handle others.
    pub(super) fn info_handler(self: &Arc<Self>, namespace: &Arc<Namespace>) -> Handler {
        let (node, namespace) = (self.clone(), namespace.clone());
        Arc::new(move |_, packet| Box::pin(ready(node.info(&namespace, packet).map(|info| Some(Some(info))))))
    }

    fn info(&self, namespace: &Namespace, packet: &Payload) -> Result<Payload, Error> {
        let packet = packet.clone().into_value()?;
        let argument = packet.as_array().and_then(|all| all.get(1)).cloned();
        let query: Option<NodeQuery> = Payload::Value(argument.unwrap_or(Value::Nil)).deserialize()?;
        let sockets = namespace.local().map(|local| local.count(&query.unwrap_or_default().into()));
        let all = self.namespaces.all();
        let mut left = MAX_NAMESPACE_BYTES;
        let mut fits = |name: &&str| {
            let rest = left.checked_sub(bytes_as_json(name));
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        let info = NodeInfo {
            name: Some(self.options.name_of_node()),
            language: Some("Rust".to_owned()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            sockets,
            namespaces: Some(
                all.iter().map(|namespace| namespace.name()).filter(&mut fits).map(str::to_owned).collect(),
            ),
            namespace_count: u64::try_from(all.len()).ok(),
        };
        Ok(Payload::from_serialize(&info)?)
    }
}

/// How many bytes a text takes in a list, with what is escaped in it.
fn bytes_as_json(text: &str) -> usize {
    const COMMA: usize = 1;
    serde_json::to_string(text).map_or(usize::MAX, |json| json.len() + COMMA)
}
