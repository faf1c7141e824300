//! The namespace of the admins.

use std::sync::Arc;

use serde_json::json;
use socketio_pg_core::{
    Auth, Cluster, ConnectInfo, Error, PostgresAdapter, backend::Backend, protocol::value::Arguments, record_handshake,
};
use socketioxide::{
    SocketIo,
    adapter::Emitter,
    extract::{AckSender, SocketRef, TryData},
    handler::ConnectHandler,
};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    authentication::{Credentials, Gate, NewSession},
    error::{AdminError, OperationError, Refused},
    operations::{OPERATIONS, Operation},
    options::{AdminOptions, Authentication, Mode},
    protocol::{ALL_SOCKETS, CONFIG, Config, SESSION},
    snapshot::all_sockets,
    stats,
    watch::Watch,
};

/// The adapter of the server.
type Adapter<B> = PostgresAdapter<Emitter, B>;

/// How many operations of one admin may wait.
const MAX_OPERATIONS: usize = 64;

/// Shows the server in Socket.IO's Admin UI, and lets the page connect to it: `instrument` of
/// Node.js.
///
/// Call it once, after the namespaces of the application are added and before the server serves.
/// What it starts ends when the server or the cluster's handle closes. It
/// [attaches][Cluster::attach] the server if no server is attached.
///
/// ```no_run
/// use socketio_pg_admin_ui::{AdminError, AdminOptions, instrument};
/// use socketioxide::{SocketIo, adapter::Emitter};
/// # use socketio_pg_core::{Cluster, PostgresAdapter, backend::Backend};
///
/// # async fn example<B: Backend>(io: SocketIo<PostgresAdapter<Emitter, B>>, cluster: Cluster<B>) -> Result<(), AdminError> {
/// let hash = "$2b$10$heqvAkYMez.Va6Et2uXInOnkCT6/uQj1brkrbyG3LpopDklcq7ZOS";
/// instrument(&io, &cluster, AdminOptions::default().basic_auth("admin", hash)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Each [`AdminError`] says what to change. When the namespace cannot join the cluster, the server
/// is not instrumented.
pub async fn instrument<B: Backend>(
    io: &SocketIo<Adapter<B>>,
    cluster: &Cluster<B>,
    options: AdminOptions,
) -> Result<(), AdminError> {
    options.validate()?;
    if io.of(&options.namespace).is_some() {
        return Err(AdminError::NamespaceTaken(options.namespace));
    }
    if cluster.health().closed {
        // Otherwise the handle would hold the server, which would never be released.
        return Err(AdminError::Join(Error::Closed));
    }
    cluster.tell_clients(io);
    let watch = (options.mode == Mode::Development).then(|| Watch::start(io.clone(), cluster.clone(), &options));
    let admin = Arc::new(Admin::new(cluster.clone(), &options, watch));
    let serve = {
        let admin = admin.clone();
        move |io: SocketIo<Adapter<B>>, socket: SocketRef<Adapter<B>>| admin.clone().serve(io, socket)
    };
    let admit = move |socket: SocketRef<Adapter<B>>, auth: Auth, credentials: TryData<Credentials>| {
        admin.clone().admit(socket, auth, credentials)
    };
    let namespace = options.namespace.clone();
    let joining = io.ns(namespace.clone(), serve.with(admit));
    // Before the namespace has joined: also when the caller does not wait for that.
    tokio::spawn(stats::report(io.clone(), cluster.clone(), options));
    joining.await.map_err(|error| {
        io.delete_ns(namespace);
        AdminError::Join(error)
    })
}

/// What the handlers of the namespace share.
struct Admin<B: Backend> {
    cluster: Cluster<B>,
    config: Config,
    read_only: bool,
    /// `None` when every client may be an admin.
    gate: Option<Gate>,
    /// `None` in production mode.
    watch: Option<Watch>,
    /// One list of all sockets is made at a time.
    listing: Semaphore,
}

impl<B: Backend> Admin<B> {
    fn new(cluster: Cluster<B>, options: &AdminOptions, watch: Option<Watch>) -> Self {
        let gate = match &options.authentication {
            Some(Authentication::Basic { username, hash }) => {
                Some(Gate::new(username.clone(), hash, options.session_store(username, hash)))
            }
            Some(Authentication::Everyone) | None => None,
        };
        let (config, listing) = (Config::new(options), Semaphore::new(1));
        Self { cluster, config, read_only: options.read_only, gate, watch, listing }
    }

    /// Lets a client in, or refuses it.
    async fn admit(
        self: Arc<Self>,
        socket: SocketRef<Adapter<B>>,
        auth: Auth,
        TryData(credentials): TryData<Credentials>,
    ) -> Result<(), Refused> {
        if let Some(gate) = &self.gate {
            let session = gate.admit(credentials.unwrap_or_default()).await?;
            session.map(|session| socket.extensions.insert(session));
        }
        record_handshake(socket.clone(), auth).await.map_err(|_| Refused::InvalidPayload)?;
        // The password does not leave this server.
        let mut info = socket.extensions.get::<ConnectInfo>().unwrap_or_default();
        info.auth = None;
        socket.extensions.insert(info);
        Ok(())
    }

    /// Serves an admin who was let in. Handlers are there before this returns, and so before the
    /// admin's first event is read.
    fn serve(
        self: Arc<Self>,
        io: SocketIo<Adapter<B>>,
        socket: SocketRef<Adapter<B>>,
    ) -> impl Future<Output = ()> + Send + 'static {
        if !self.read_only {
            self.take_operations(&socket);
        }
        if let Some(NewSession(id)) = socket.extensions.remove::<NewSession>() {
            tell(&socket, SESSION, &id);
        }
        tell(&socket, CONFIG, &self.config);
        async move {
            let Some(watch) = &self.watch else { return };
            let Ok(_one) = self.listing.acquire().await else { return };
            if !socket.connected() {
                return;
            }
            // First, so that the list is not older than what is told after it.
            watch.tell_all().await;
            let namespaces: Vec<_> = io.nsps().into_iter().map(|namespace| namespace.ns_path().to_owned()).collect();
            tell(&socket, ALL_SOCKETS, &all_sockets(&self.cluster, &namespaces).await);
        }
    }

    /// Carries out what the admin asks for, one after the other, also when the admin disconnects.
    fn take_operations(self: &Arc<Self>, socket: &SocketRef<Adapter<B>>) {
        let (queue, mut waiting) = mpsc::channel::<(&str, Operation, AckSender<Adapter<B>>)>(MAX_OPERATIONS);
        for event in OPERATIONS {
            let queue = queue.clone();
            socket.on(event, move |TryData(arguments): TryData<Arguments>, ack: AckSender<Adapter<B>>| {
                // Here and not in the future, so that the order of the events is kept.
                let read = arguments.map_err(|error| OperationError::Unreadable(error.to_string()));
                match (read.and_then(|Arguments(arguments)| Operation::read(event, arguments)), queue.try_reserve()) {
                    (Ok(operation), Ok(place)) => place.send((event, operation, ack)),
                    (Ok(_), Err(_)) => answer(event, ack, Err(OperationError::TooMany { limit: MAX_OPERATIONS })),
                    (Err(error), _) => answer(event, ack, Err(error)),
                }
                std::future::ready(())
            });
        }
        let (admin, id) = (self.clone(), socket.id);
        tokio::spawn(async move {
            while let Some((event, operation, ack)) = waiting.recv().await {
                tracing::info!(admin = %id, operation = event, namespace = operation.namespace(), "an admin acts on sockets");
                answer(event, ack, operation.carry_out(&admin.cluster).await);
            }
        });
    }
}

/// Reports an operation to the admin, if the admin asked for an acknowledgement: `{}`, or
/// `{"error": …}`. The page does not ask, so an error is logged as well.
fn answer<B: Backend>(event: &str, ack: AckSender<Adapter<B>>, outcome: Result<(), OperationError>) {
    let answer = match outcome {
        Ok(()) => json!({}),
        Err(error) => {
            tracing::warn!(operation = event, %error, "what an admin asked for was not done");
            json!({ "error": error.to_string() })
        }
    };
    if let Err(error) = ack.send(&answer) {
        tracing::debug!(%error, "an admin got no acknowledgement");
    }
}

/// Emits an event to one admin.
fn tell<B: Backend, T: serde::Serialize>(socket: &SocketRef<Adapter<B>>, event: &'static str, data: &T) {
    if let Err(error) = socket.emit(event, data) {
        tracing::warn!(event, %error, "an admin misses an event: the page must be loaded again");
    }
}
