//! Listens to a cluster, and speaks to it without being a node of it.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use socketio_pg_core::{
    CatchUp, ConnectError, Error,
    backend::{Backend, BackendError, Content, ErrorKind, FetchLimits, Incoming, Listener, Outgoing, Row},
    protocol::{
        Body, Message, NodeId, Notification, Relay, RequestId,
        budget::Budget,
        channel,
        notification::{Encoded, Header},
    },
};
use socketio_pg_tokio_postgres::{TokioPostgresBackend, TokioPostgresListener};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{arguments::Target, database, failure::Failure};

/// Larger attachments are not fetched.
const MAX_ATTACHMENT_BYTES: usize = 1 << 30;

/// The types of responses. Other attachments are fetched for those who watch only.
const RESPONSES: [u64; 4] = [8, 10, 11, 12];

/// How long a message to itself may take.
const ECHO_TIMEOUT: Duration = Duration::from_secs(5);

/// How long PostgreSQL may take to publish a message.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long reading an attachment may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a session that is idle is asked something.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// A session that listens.
pub(crate) struct Session {
    backend: TokioPostgresBackend,
    listener: TokioPostgresListener,
    prefix: String,
    table: String,
    log: Option<CatchUp>,
    /// Whether all messages are wanted, with their attachments: not only responses.
    watches: bool,
    /// The namespaces on whose channels it listens.
    namespaces: BTreeSet<String>,
    /// What came, whose attachment is being fetched, and until when that may take.
    pending: Option<(Incoming, Instant)>,
    /// When the session is asked something, so that neither `idle_session_timeout` nor a router that
    /// forgets connections ends it.
    check_at: Instant,
    /// What came while something else was waited for.
    kept: VecDeque<Heard>,
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
            log: target.catch_up(),
            watches: false,
            namespaces: BTreeSet::new(),
            pending: None,
            check_at: Instant::now() + CHECK_INTERVAL,
            kept: VecDeque::new(),
        })
    }

    /// A session that gets all messages, with their attachments.
    pub(crate) async fn watch(target: &Target) -> Result<Self, Failure> {
        Ok(Self { watches: true, ..Self::open(target).await? })
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
        let heard = self.hear_echo(&own).await;
        // A pooler may give this session to others, who did not ask for its notifications.
        let unlistened = self.listener.unlisten(&[own]).await;
        heard?;
        Ok(unlistened?)
    }

    async fn hear_echo(&mut self, own: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + ECHO_TIMEOUT;
        loop {
            match timeout_at(deadline, self.listener.next()).await {
                Ok(Ok(incoming)) if incoming.channel == own => return Ok(()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(ConnectError::NotListening { waited: ECHO_TIMEOUT }.into()),
            }
        }
    }

    /// Publishes a message as an emitter, which no node counts as a member.
    pub(crate) async fn publish(&self, namespace: &str, body: Body) -> Result<(), Failure> {
        self.publish_to(namespace, body, None).await
    }

    /// The same, for what servers are to read in the catch-up log when they did not hear it.
    pub(crate) async fn publish_and_log(&self, namespace: &str, body: Body) -> Result<(), Failure> {
        self.publish_to(namespace, body, self.log.as_ref()).await
    }

    async fn publish_to(&self, namespace: &str, body: Body, log: Option<&CatchUp>) -> Result<(), Failure> {
        let mut message = Message::new(NodeId::emitter(), namespace, body);
        message.relay = Relay::marked();
        message.nonce = Some(random_id());
        let content = match message.encode(Budget::default()).map_err(Error::from)? {
            Encoded::Inline(payload) => Content::Inline(payload),
            Encoded::Attachment { body, before_id, after_id } => Content::Attachment { body, before_id, after_id },
        };
        let channel = channel::name(&self.prefix, namespace);
        let outgoing = Outgoing { channel, content, is_logged: log.is_some() };
        let batch = [outgoing];
        let publishing = timeout(PUBLISH_TIMEOUT, self.backend.publish(&self.table, log, &batch));
        Ok(publishing.await.map_err(|_| {
            Failure::failed(format!(
                "PostgreSQL did not take the message within {PUBLISH_TIMEOUT:?}: `socketio-pg doctor` says who locks the table"
            ))
        })??)
    }

    /// The next message that a survey did not take, in the order in which they were sent. `None` when
    /// the time is over.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Result<Option<Heard>, Failure> {
        match self.kept.pop_front() {
            // However much comes, the caller gets to look at the time.
            Some(heard) if Instant::now() < deadline => Ok(Some(heard)),
            Some(heard) => {
                self.kept.push_front(heard);
                Ok(None)
            }
            None => self.next_until(deadline).await,
        }
    }

    /// The next message that arrives. `None` when the time is over.
    pub(crate) async fn next_until(&mut self, deadline: Instant) -> Result<Option<Heard>, Failure> {
        if Instant::now() >= deadline {
            return Ok(None);
        }
        timeout_at(deadline, self.receive()).await.map_or(Ok(None), |heard| heard.map(Some))
    }

    /// Keeps a message for [`Self::next`], for those who watch.
    pub(crate) fn keep(&mut self, heard: Heard) {
        if self.watches {
            self.kept.push_back(heard);
        }
    }

    /// Cancel-safe: a notification whose attachment is being fetched is read again by the next call.
    async fn receive(&mut self) -> Result<Heard, Failure> {
        let (incoming, deadline) = match &self.pending {
            Some(pending) => pending.clone(),
            None => {
                let incoming = self.listener_next().await.map_err(lost)?;
                self.pending.insert((incoming, Instant::now() + FETCH_TIMEOUT)).clone()
            }
        };
        let heard = self.read(&incoming, deadline).await?;
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

    async fn read(&self, incoming: &Incoming, deadline: Instant) -> Result<Heard, Failure> {
        let of_channel = channel::namespace(&self.prefix, &incoming.channel).unwrap_or_default().to_owned();
        let mut bytes = incoming.payload.len();
        let (message, is_attachment) = match Notification::decode(&incoming.payload) {
            Ok(Notification::Inline(message)) => (Ok(message), false),
            Ok(Notification::Attachment(header)) if self.wants(&header) => {
                let fetched = timeout_at(deadline, self.fetch(&header, &mut bytes)).await;
                (fetched.unwrap_or_else(|_| Ok(Err(slow(&self.table))))?, true)
            }
            Ok(Notification::Attachment(_)) => (Err("its attachment was not fetched".to_owned()), true),
            Err(error) => (Err(error.to_string()), false),
        };
        // Names over 63 bytes are cut in the name of the channel.
        let named = message.as_ref().ok().and_then(|message| message.nsp.clone());
        Ok(Heard { namespace: named.unwrap_or(of_channel), bytes, is_attachment, message })
    }

    fn wants(&self, header: &Header) -> bool {
        self.watches || header.kind.is_some_and(|kind| RESPONSES.contains(&kind))
    }

    /// What keeps one attachment from being read is no reason to stop, unless it is the connection.
    async fn fetch(&self, header: &Header, bytes: &mut usize) -> Result<Result<Message, String>, Failure> {
        let id = header.attachment_id;
        let mut limits = FetchLimits::NONE;
        (limits.each, limits.together) = (MAX_ATTACHMENT_BYTES, MAX_ATTACHMENT_BYTES);
        let rows = match self.backend.fetch(&self.table, &[id], limits).await {
            Ok(rows) => rows,
            Err(error) if error.kind() == ErrorKind::Connection => return Err(lost(error)),
            Err(error) => return Ok(Err(format!("its attachment {id} cannot be read: {error}"))),
        };
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

/// A session that locks the table may do so for ever.
fn slow(table: &str) -> String {
    format!(
        "its attachment was not read within {FETCH_TIMEOUT:?}: `socketio-pg doctor` says who locks the table `{table}`"
    )
}

fn lost(error: BackendError) -> Failure {
    Failure::failed(format!(
        "the connection to PostgreSQL was lost ({error}): what is sent until the command is run again is not seen"
    ))
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
