//! Events from server to server.

use std::{any::Any, future::Future, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use socketio_pg_protocol::{Body, Payload, Value, cluster::NodeRules, message::ServerSideEmit};
use tokio::time::Instant;

use crate::{
    api::{namespace::ClusterNamespace, responses::Responses},
    backend::Backend,
    error::Error,
    node::handlers::{Handler, Reply},
    outbound::effect::Effect,
    socketio::arguments,
};

impl<B: Backend> ClusterNamespace<B> {
    /// Emits an event to the other servers, as `io.serverSideEmit` of Node.js does. Returns once it
    /// is published; it never runs on this server.
    ///
    /// `data` is sent as socketioxide's `emit` sends it: a tuple becomes several arguments.
    ///
    /// # Errors
    /// When the name is reserved (`connect`, `connection`, `new_namespace`), the data cannot be
    /// written, or PostgreSQL does not take the message.
    #[doc(alias = "serverSideEmit")]
    pub async fn server_side_emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Error> {
        let packet = arguments::encode_server_side(event, data)?;
        let namespace = self.namespace()?;
        let body = Body::ServerSideEmit(ServerSideEmit { request_id: None, packet });
        self.node()?.publish(&namespace, body, Effect::none()).await
    }

    /// Emits an event to the other servers and waits for their responses: one from each server that
    /// has a handler which responds. Alone in the cluster it ends at once.
    ///
    /// The responses come as a stream, or all together from [`Responses::all`]. After the time-out
    /// (5 s, or [`Self::timeout`]) the last item is [`Error::Timeout`].
    ///
    /// # Errors
    /// When the name is reserved (`connect`, `connection`, `new_namespace`), the data cannot be
    /// written, or PostgreSQL does not take the message.
    #[doc(alias = "serverSideEmitWithAck")]
    pub async fn server_side_emit_with_ack<T, R>(&self, event: &str, data: &T) -> Result<Responses<R>, Error>
    where
        T: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let packet = arguments::encode_server_side(event, data)?;
        let namespace = self.namespace()?;
        let timeout = self.request_timeout();
        let start = |rules: &mut NodeRules, now, id| rules.server_side_emit_with_ack(now, id, packet, timeout);
        let deadline = Instant::now().checked_add(timeout);
        let request = self.node()?.ask(&namespace, start, deadline, Effect::none()).await?;
        Ok(Responses::new(request))
    }

    /// Calls a handler for an event from other servers. The handler does not respond: a server that
    /// asks for a response waits until its time-out.
    ///
    /// `D` is read like socketioxide's `Data`: a tuple takes several arguments, any other type the
    /// first. Several handlers of one event are all called.
    #[doc(alias("on", "serverSideEmit"))]
    pub fn on_server_side<D, F, Fut>(&self, event: impl Into<String>, handler: F)
    where
        D: DeserializeOwned + Send + 'static,
        F: Fn(D) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.add_handler(Some(event.into()), move |_, data| {
            let work = handler(data);
            async move {
                work.await;
                Ok(None)
            }
        });
    }

    /// Calls a handler for every event from other servers, with the event's name and its arguments.
    /// The handler does not respond.
    #[doc(alias = "onAny")]
    pub fn on_any_server_side<D, F, Fut>(&self, handler: F)
    where
        D: DeserializeOwned + Send + 'static,
        F: Fn(String, D) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.add_handler(None, move |event, data| {
            let work = handler(event.to_owned(), data);
            async move {
                work.await;
                Ok(None)
            }
        });
    }

    /// Calls a handler for an event from other servers, and sends what it returns to servers that
    /// ask for a response. `()` is the empty response. When an event has several handlers, the
    /// first response counts.
    #[doc(alias("on", "serverSideEmitWithAck"))]
    pub fn on_server_side_with_ack<D, R, F, Fut>(&self, event: impl Into<String>, handler: F)
    where
        D: DeserializeOwned + Send + 'static,
        R: Serialize + 'static,
        F: Fn(D) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        self.add_handler(Some(event.into()), move |_, data| {
            let work = handler(data);
            async move {
                let answer = work.await;
                let any: &dyn Any = &answer;
                Ok(Some(if any.is::<()>() {
                    None
                } else if let Some(value) = any.downcast_ref::<Value>() {
                    // It may contain lone surrogates, which serde's data model does not have.
                    Some(Payload::Value(value.clone()))
                } else {
                    Some(Payload::from_serialize(&answer)?)
                }))
            }
        });
    }

    /// Removes all handlers of an event. Handlers also stay when the namespace is deleted, for the
    /// next one of that name.
    #[doc(alias = "off")]
    pub fn off_server_side(&self, event: &str) {
        self.handlers().remove(self.name(), Some(event));
    }

    /// Removes all handlers of every event: those of [`Self::on_any_server_side`].
    #[doc(alias = "offAny")]
    pub fn off_any_server_side(&self) {
        self.handlers().remove(self.name(), None);
    }

    fn add_handler<D, F, Fut>(&self, event: Option<String>, handler: F)
    where
        D: DeserializeOwned + Send + 'static,
        F: Fn(&str, D) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Reply> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |event, packet| match arguments::decode(packet) {
            Ok(data) => Box::pin(handler(event, data)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        });
        self.handlers().add(self.name(), event, handler);
    }
}
