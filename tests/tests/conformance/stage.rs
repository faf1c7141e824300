//! A composition in a database, as scenarios see it.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::BoxFuture;
use socketio_pg_kit::scenarios::{Capability, Emitter, Server, Stage};
use socketio_pg_tests::{Error, Kind, Node, NodeOptions, Proxy};
use socketio_pg_throwaway::Database;
use tokio::sync::Mutex;

use crate::composition::{Composition, FAR, Seat, backends, program};

/// The servers of a composition with the same settings.
pub(crate) struct Servers {
    composition: Composition,
    emitters: Mutex<HashMap<Emitter, Arc<Node>>>,
    /// The process that publishes the outbox.
    outbox: Mutex<Option<Node>>,
    /// The proxy to a far database.
    way: Option<Proxy>,
    database: Arc<Database>,
}

impl Servers {
    pub(crate) fn new(composition: &Composition, database: Arc<Database>) -> Self {
        let way = composition.is_far.then(|| way_to(&database)).flatten();
        let composition = composition.clone();
        Self { composition, emitters: Mutex::default(), outbox: Mutex::default(), way, database }
    }

    /// How the servers reach the database.
    pub(crate) fn url(&self) -> String {
        let url = self.database.url();
        self.way.as_ref().map_or_else(|| url.clone(), |way| way.before(&url))
    }

    /// The backend of the composition's first Rust server.
    fn backend(&self) -> String {
        let backend = self.composition.seats.iter().find_map(|seat| match seat {
            Seat::Rust { backend, .. } => Some(*backend),
            _ => None,
        });
        backend.unwrap_or(backends()[0]).to_owned()
    }

    /// Whether workers of the same primary are at both ends: they need no PostgreSQL.
    fn are_workers(&self, sender: usize, receiver: usize) -> bool {
        [sender, receiver].iter().all(|&index| self.composition.seats[index] == Seat::Worker)
    }
}

impl Stage for Servers {
    fn start<'a>(&'a self, options: &'a NodeOptions) -> BoxFuture<'a, Result<[Server; 3], Error>> {
        Box::pin(self.composition.start(options))
    }

    /// In place of a worker it starts a Rust server, which the workers hear.
    fn start_another<'a>(&'a self, index: usize, options: &'a NodeOptions) -> BoxFuture<'a, Result<Server, Error>> {
        let rust = self.composition.seats.into_iter().find(|seat| seat.is_rust());
        let seat = self.composition.seats[index];
        let seat = if seat == Seat::Worker { rust.unwrap_or(seat) } else { seat };
        Box::pin(seat.start(options))
    }

    fn lacks(&self, capability: Capability) -> bool {
        self.composition.lacks(capability)
    }

    fn execute<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        let done = self.database.execute(sql).map_err(|error| Error::Refused { text: error.to_string() });
        Box::pin(std::future::ready(done))
    }

    /// On the backend of the composition's first Rust server.
    fn emitter<'a>(&'a self, which: Emitter, options: &'a NodeOptions) -> BoxFuture<'a, Result<Arc<Node>, Error>> {
        let (program, backend) = (program(), self.backend());
        let kind = match which {
            Emitter::Official => Kind::NodeEmitter,
            Emitter::SqlFunctions | Emitter::SqlFunctionsIntoOutbox => Kind::SqlFunctions { program },
            _ => Kind::RustEmitter { program, backend },
        };
        let is_into_outbox = matches!(which, Emitter::RustIntoOutbox | Emitter::SqlFunctionsIntoOutbox);
        let options = if is_into_outbox { options.clone().outbox() } else { options.clone() };
        // The official one writes rows, which all servers read.
        let options = options.inline_binary(self.composition.is_packed && which != Emitter::Official);
        Box::pin(async move {
            if is_into_outbox {
                // Beside the servers, as not all of these are this project's.
                let mut outbox = self.outbox.lock().await;
                if outbox.is_none() {
                    let publisher =
                        Kind::OutboxPublisher { program: crate::composition::program(), backend: self.backend() };
                    *outbox = Some(Node::start(&publisher, &options).await?);
                }
            }
            let mut emitters = self.emitters.lock().await;
            if let Some(emitter) = emitters.get(&which) {
                return Ok(emitter.clone());
            }
            let emitter = Arc::new(Node::start(&kind, &options).await?);
            emitters.insert(which, emitter.clone());
            Ok(emitter)
        })
    }

    fn publishes_on_long_channels(&self, sender: usize, receiver: usize) -> bool {
        !self.composition.seats[sender].is_node() || self.are_workers(sender, receiver)
    }

    fn quotes_channels(&self, sender: usize, receiver: usize) -> bool {
        !self.composition.seats[receiver].is_node() || self.are_workers(sender, receiver)
    }
}

/// A proxy with a delay, unless the database is one of another server, which may be far itself.
fn way_to(database: &Database) -> Option<Proxy> {
    let host = database.url();
    let (_, host) = host.rsplit_once('@')?;
    let port = host.strip_prefix("127.0.0.1:")?.split('/').next()?.parse().ok()?;
    Proxy::far(port, FAR).ok()
}
