//! Proves, at the start, that what the node sends comes back on its listening connection.

use std::{sync::atomic::Ordering, time::Duration};

use socketio_pg_protocol::channel;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use super::Node;
use crate::{
    backend::{Backend, Content, Outgoing},
    env,
    error::ConnectError,
};

/// A notification of the node to itself, which proves that the connection hears.
pub(super) struct Probe {
    channel: String,
    payload: String,
    arrived: Option<oneshot::Sender<()>>,
}

impl<B: Backend> Node<B> {
    /// Sends a notification to itself and waits until it is heard.
    pub(in crate::node) async fn prove_hearing(&self) -> Result<(), ConnectError> {
        let limit = (self.options.connect_timeout / 2).saturating_add(self.backend.time_for_other_hosts());
        let started = Instant::now();
        let channel = own_channel(&self.options.channel_prefix);
        let payload = format!("{:016x}", env::random_u64());
        let (arrived, heard) = oneshot::channel();
        *self.probe.lock() = Some(Probe { channel: channel.clone(), payload: payload.clone(), arrived: Some(arrived) });
        let unheard = |_| ConnectError::NotListening { waited: started.elapsed() };
        let link = self.link().ok_or(ConnectError::NotListening { waited: Duration::ZERO })?;
        timeout(limit, link.listen(channel.clone())).await.map_err(unheard)?.map_err(|_| not_listening(started))?;
        let probe = [Outgoing { channel: channel.clone(), content: Content::Inline(payload), is_logged: false }];
        self.backend.publish(&self.options.table, None, &probe).await?;
        timeout(limit, heard).await.map_err(unheard)?.map_err(|_| not_listening(started))?;
        link.unlisten(channel);
        self.has_heard.store(true, Ordering::Release);
        *self.probe.lock() = None;
        Ok(())
    }

    /// Whether the channel is the one on which the node proves that it hears.
    pub(crate) fn is_probe(&self, channel: &str) -> bool {
        // Asked for every notification: once the proof is done, it costs no lock.
        !self.has_heard.load(Ordering::Acquire)
            && self.probe.lock().as_ref().is_some_and(|probe| probe.channel == channel)
    }

    pub(crate) fn probe_arrived(&self, payload: &str) {
        if let Some(probe) = &mut *self.probe.lock()
            && probe.payload == payload
            && let Some(arrived) = probe.arrived.take()
        {
            let _ = arrived.send(());
        }
    }
}

/// Not a namespace's channel: no other node hears it.
pub(in crate::node) fn own_channel(prefix: &str) -> String {
    channel::name(&format!("{prefix}?"), &env::random_u64().to_string())
}

fn not_listening(started: Instant) -> ConnectError {
    ConnectError::NotListening { waited: started.elapsed() }
}
