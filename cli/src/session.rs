//! Listens to a cluster, and speaks to it without being a node of it.

use std::{collections::BTreeSet, time::Duration};

use socketio_pg_core::{
    ConnectError, Error,
    backend::{Backend, BackendError, Content, FetchLimits, Incoming, Listener, Outgoing, Row},
    protocol::{
        Body, Message, NodeId, Notification, Relay, RequestId,
        budget::Budget,
        channel,
        notification::{Encoded, Header},
    },
};
use socketio_pg_tokio_postgres::{TokioPostgresBackend, TokioPostgresListener};
use tokio::time::{Instant, timeout_at};

use crate::{arguments::Target, database, failure::Failure};

/// Larger attachments are not fetched.
const MAX_ATTACHMENT_BYTES: usize = 100 << 20;

/// How long a message to itself may take.
const ECHO_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a session that is idle is asked something.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// A session that listens.
pub(crate) struct Session {
    backend: TokioPostgresBackend,
    listener: TokioPostgresListener,
    prefix: String,
    table: String,
    /// The namespaces on whose channels it listens.
    namespaces: BTreeSet<String>,
    /// What came, and whose attachment is being fetched.
    pending: Option<Incoming>,
    /// When the session is asked something, so that neither `idle_session_timeout` nor a router that
    /// forgets connections ends it.
    check_at: Instant,
    /// What came while something else was waited for.
    kept: Vec<Heard>,
}

/// A notification.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// The namespace that the channel is for.
    pub(crate) namespace: String,
    /// The size of the notification, and of the attachment.
    pub(crate) bytes: usize,
    /// Whether it came with an attachment.
    pub(crate) is_attachment: bool,
    /// The message, or why it cannot be read.
    pub(crate) message: Result<Message, String>,
}

impl Session {
    pub(crate) async fn open(target: &Target) -> Result<Self, Failure> {
        let backend = database::backend(target)?;
        backend.set_node_name("cli");
        let listener = backend.connect_listener().await?;
        Ok(Self {
            backend,
            listener,
            prefix: target.prefix.clone(),
            table: target.table.clone(),
            namespaces: BTreeSet::new(),
            pending: None,
            check_at: Instant::now() + CHECK_INTERVAL,
            kept: Vec::new(),
        })
    }

    /// Listens on the channel of a namespace. False when it does already.
    pub(crate) async fn listen(&mut self, namespace: &str) -> Result<bool, Failure> {
        if let Some(reason) = channel::problem(namespace) {
            return Err(Error::InvalidNamespace { namespace: namespace.to_owned(), reason }.into());
        }
        if !self.namespaces.insert(namespace.to_owned()) {
            return Ok(false);
        }
        self.listener.listen(&[channel::name(&self.prefix, namespace)]).await?;
        Ok(true)
    }

    /// The namespaces on whose channels it listens.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        self.namespaces.iter().cloned().collect()
    }

    /// Checks that what is sent comes back: through a pooler in transaction mode it does not.
    pub(crate) async fn prove_hearing(&mut self) -> Result<(), Failure> {
        let own = format!("{}?{}", self.prefix, random_id());
        let own = own.get(own.len().saturating_sub(63)..).unwrap_or(&own).to_owned();
        self.listener.listen(std::slice::from_ref(&own)).await?;
        let content = Content::Inline("{}".to_owned());
        self.backend
            .publish(&self.table, None, &[Outgoing { channel: own.clone(), content, is_logged: false }])
            .await?;
        let deadline = Instant::now() + ECHO_TIMEOUT;
        loop {
            match timeout_at(deadline, self.listener.next()).await {
                Ok(Ok(incoming)) if incoming.channel == own => break,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(ConnectError::NotListening { waited: ECHO_TIMEOUT }.into()),
            }
        }
        Ok(self.listener.unlisten(&[own]).await?)
    }

    /// Publishes a message as an emitter, which no node counts as a member.
    pub(crate) async fn publish(&self, namespace: &str, body: Body) -> Result<(), Failure> {
        let mut message = Message::new(NodeId::emitter(), namespace, body);
        message.relay = Relay::marked();
        message.nonce = Some(random_id());
        let content = match message.encode(Budget::default()).map_err(Error::from)? {
            Encoded::Inline(payload) => Content::Inline(payload),
            Encoded::Attachment { body, before_id, after_id } => Content::Attachment { body, before_id, after_id },
        };
        let outgoing = Outgoing { channel: channel::name(&self.prefix, namespace), content, is_logged: false };
        Ok(self.backend.publish(&self.table, None, &[outgoing]).await?)
    }

    /// The next message, with its attachment, in the order in which they were sent.
    pub(crate) async fn next(&mut self) -> Result<Heard, Failure> {
        if !self.kept.is_empty() {
            return Ok(self.kept.remove(0));
        }
        self.receive().await
    }

    /// The same, until a time; `None` then.
    pub(crate) async fn next_until(&mut self, deadline: Instant) -> Result<Option<Heard>, Failure> {
        match timeout_at(deadline, self.receive()).await {
            Ok(heard) => heard.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Keeps a message for [`Self::next`].
    pub(crate) fn keep(&mut self, heard: Heard) {
        self.kept.push(heard);
    }

    /// Forgets the messages that were kept.
    pub(crate) fn forget_kept(&mut self) {
        self.kept.clear();
    }

    /// Cancel-safe: a notification whose attachment is being fetched is read again by the next call.
    async fn receive(&mut self) -> Result<Heard, Failure> {
        let incoming = match &self.pending {
            Some(incoming) => incoming.clone(),
            None => {
                let incoming = self.listener_next().await?;
                self.pending.insert(incoming).clone()
            }
        };
        let heard = self.read(&incoming).await?;
        self.pending = None;
        Ok(heard)
    }

    /// The next notification. A session that is idle is asked something now and then.
    async fn listener_next(&mut self) -> Result<Incoming, BackendError> {
        loop {
            match timeout_at(self.check_at, self.listener.next()).await {
                Ok(incoming) => return incoming,
                Err(_) => {
                    self.check_at = Instant::now() + CHECK_INTERVAL;
                    self.listener.check().await?;
                }
            }
        }
    }

    async fn read(&self, incoming: &Incoming) -> Result<Heard, Failure> {
        let of_channel = channel::namespace(&self.prefix, &incoming.channel).unwrap_or_default().to_owned();
        let mut bytes = incoming.payload.len();
        let (message, is_attachment) = match Notification::decode(&incoming.payload) {
            Ok(Notification::Inline(message)) => (Ok(message), false),
            Ok(Notification::Attachment(header)) => (self.fetch(&header, &mut bytes).await?, true),
            Err(error) => (Err(error.to_string()), false),
        };
        // Names over 63 bytes are cut in the name of the channel.
        let named = message.as_ref().ok().and_then(|message| message.nsp.clone());
        Ok(Heard { namespace: named.unwrap_or(of_channel), bytes, is_attachment, message })
    }

    async fn fetch(&self, header: &Header, bytes: &mut usize) -> Result<Result<Message, String>, BackendError> {
        let id = header.attachment_id;
        let mut limits = FetchLimits::NONE;
        (limits.each, limits.together) = (MAX_ATTACHMENT_BYTES, MAX_ATTACHMENT_BYTES);
        let rows = self.backend.fetch(&self.table, &[id], limits).await?;
        Ok(match rows.into_iter().next() {
            Some(Row::Body(body)) => {
                *bytes += body.len();
                Message::from_msgpack(&body).map_err(|error| error.to_string())
            }
            Some(Row::TooLarge { bytes }) => Err(format!("its attachment {id} has {bytes} bytes")),
            _ => Err(format!("its attachment {id} is not in the table `{}`", self.table)),
        })
    }
}

/// 8 random bytes in hex, as Node.js writes its ids.
pub(crate) fn random_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::time::Instant::now()))
}

/// An id for a new request.
pub(crate) fn new_request() -> RequestId {
    random_id().into()
}
