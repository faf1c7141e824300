//! A network that fails on command: a TCP proxy between a node and its database.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

/// How many reads are on their way at a time through a proxy with a delay, for each connection and
/// direction.
const ON_THE_WAY: usize = 1024;

/// Passes bytes on until a fault is set. Dropping it cuts all its connections.
///
/// It has a thread of its own, so that a busy test does not look like a slow network.
pub struct Proxy {
    port: u16,
    state: Arc<watch::Sender<State>>,
    _running: oneshot::Sender<()>,
}

/// The faults that are set. Connections are numbered in the order in which they came.
#[derive(Clone, Debug, Default)]
struct State {
    next: u64,
    /// The database's port.
    database: u16,
    refuses: bool,
    stalls: bool,
    /// Connections with a lower number pass nothing any more.
    silent_before: u64,
    /// Connections with a lower number are cut.
    cut_before: u64,
    /// Connections with a number below the first value are cut once this many more bytes came from
    /// the database.
    cut_after: (u64, usize),
    /// Bytes per second, in each direction of each connection.
    rate: Option<u32>,
}

impl Proxy {
    /// A proxy for the database at that port of this machine.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(database: u16) -> io::Result<Self> {
        Self::far(database, Duration::ZERO)
    }

    /// A proxy that delays every byte by this time in each direction, so a round trip takes twice
    /// as long. Bytes do not wait for earlier ones, as on a long wire.
    ///
    /// # Errors
    /// When no port is free.
    pub fn far(database: u16, each_way: Duration) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(watch::Sender::new(State { database, ..State::default() }));
        let (running, dropped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let changes = state.clone();
        std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            runtime.block_on(async {
                if let Ok(listener) = TcpListener::from_std(listener) {
                    tokio::spawn(accept(listener, each_way, changes));
                }
                let _ = dropped.await;
            });
        })?;
        Ok(Self { port, state, _running: running })
    }

    /// Where it takes connections, on this machine.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL with the proxy's address in place of the database's.
    ///
    /// # Panics
    /// When the URL names no host.
    #[must_use]
    pub fn before(&self, url: &str) -> String {
        let (front, rest) = url.rsplit_once('@').expect("the URL names a role");
        let (_, path) = rest.split_once('/').expect("the URL names a database");
        format!("{front}@127.0.0.1:{}/{path}", self.port)
    }

    /// Leads new connections to the database at another port of this machine, like a host name that
    /// is moved to another server. Existing connections stay where they are.
    pub fn lead_to(&self, database: u16) {
        self.set(|state| state.database = database);
    }

    /// Ends all faults, except for the connections that pass nothing any more.
    pub fn pass(&self) {
        self.set(|state| {
            state.refuses = false;
            state.stalls = false;
            state.rate = None;
        });
    }

    /// Resets all connections, and refuses new ones.
    pub fn refuse(&self) {
        self.set(|state| {
            state.refuses = true;
            state.cut_before = state.next;
        });
    }

    /// Resets all connections. New ones are served.
    pub fn reset(&self) {
        self.set(|state| state.cut_before = state.next);
    }

    /// Holds every byte back, on new connections too, until [`pass`](Self::pass).
    pub fn stall(&self) {
        self.set(|state| state.stalls = true);
    }

    /// Passes no more bytes on the existing connections, and does not end them: a broken link
    /// without a reset. New connections work.
    pub fn go_silent(&self) {
        self.set(|state| state.silent_before = state.next);
    }

    /// Resets each open connection once it has passed this many more bytes from the database.
    pub fn cut_after(&self, bytes: usize) {
        self.set(|state| state.cut_after = (state.next, bytes));
    }

    /// Passes at most this many bytes per second, for each connection and direction.
    pub fn slow_down(&self, bytes_in_a_second: u32) {
        self.set(|state| state.rate = Some(bytes_in_a_second));
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }
}

async fn accept(listener: TcpListener, each_way: Duration, state: Arc<watch::Sender<State>>) {
    let Ok(address) = listener.local_addr() else { return };
    let mut listener = Some(listener);
    let mut changes = state.subscribe();
    loop {
        if changes.borrow_and_update().refuses {
            // Without a listener the system itself refuses connections.
            listener = None;
            if changes.wait_for(|state| !state.refuses).await.is_err() {
                return;
            }
        }
        let Some(open) = &listener else {
            listener = bind(address).await;
            continue;
        };
        tokio::select! {
            // A connection that comes after the refusal is not accepted.
            biased;
            changed = changes.changed() => if changed.is_err() { return },
            accepted = open.accept() => if let Ok((node, _)) = accepted {
                let (mut number, mut database) = (0, 0);
                state.send_modify(|state| {
                    (number, database) = (state.next, state.database);
                    state.next += 1;
                });
                tokio::spawn(serve(number, node, database, each_way, state.subscribe()));
            }
        }
    }
}

/// The port belongs to the proxy, but the system may need a moment to free it.
async fn bind(address: SocketAddr) -> Option<TcpListener> {
    let bound = TcpListener::bind(address).await;
    if bound.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bound.ok()
}

async fn serve(number: u64, node: TcpStream, database: u16, each_way: Duration, mut state: watch::Receiver<State>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", database)).await else { return };
    for stream in [&node, &server] {
        // Each cause that ends the connection ends it at once.
        let _ = (stream.set_zero_linger(), stream.set_nodelay(true));
    }
    let (from_node, to_node) = node.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pump(number, from_node, Way::new(to_server, each_way), state.clone(), false);
    let down = pump(number, from_server, Way::new(to_node, each_way), state.clone(), true);
    tokio::select! {
        // No byte that came after the cut is passed on.
        biased;
        _ = state.wait_for(|state| number < state.cut_before) => {}
        () = up => {}
        () = down => {}
    }
}

/// One direction of a connection.
enum Way {
    Short(OwnedWriteHalf),
    Long { each_way: Duration, sender: mpsc::Sender<(Instant, Vec<u8>)> },
}

impl Way {
    fn new(mut to: OwnedWriteHalf, each_way: Duration) -> Self {
        if each_way.is_zero() {
            return Self::Short(to);
        }
        let (sender, mut on_the_way) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
        // Bytes on their way arrive even when their sender ends meanwhile; then the connection
        // ends.
        tokio::spawn(async move {
            while let Some((arrival, bytes)) = on_the_way.recv().await {
                tokio::time::sleep_until(arrival).await;
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        Self::Long { each_way, sender }
    }

    /// Whether the other end is still connected.
    async fn pass(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Short(to) => to.write_all(bytes).await.is_ok(),
            Self::Long { each_way, sender } => sender.send((Instant::now() + *each_way, bytes.to_vec())).await.is_ok(),
        }
    }
}

/// Passes bytes on until either side ends, or the limit of bytes is reached.
async fn pump(number: u64, mut from: OwnedReadHalf, mut to: Way, mut state: watch::Receiver<State>, may_be_cut: bool) {
    let mut buffer = vec![0; 16 * 1024];
    let mut left: Option<usize> = None;
    loop {
        let passes = |state: &State| !state.stalls && number >= state.silent_before;
        let Ok(now) = state.wait_for(passes).await.map(|state| state.clone()) else { return };
        if may_be_cut && left.is_none() && number < now.cut_after.0 {
            left = Some(now.cut_after.1);
        }
        let most = now.rate.map_or(buffer.len(), |rate| (rate as usize / 20).clamp(1, buffer.len()));
        let read = tokio::select! {
            biased;
            changed = state.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            read = from.read(&mut buffer[..most]) => read,
        };
        let Ok(read @ 1..) = read else { return };
        let passed = left.map_or(read, |left| left.min(read));
        // A change of faults does not apply to earlier bytes: what was read before it is passed on
        // before it, as on a real wire.
        if !to.pass(&buffer[..passed]).await {
            return;
        }
        if let Some(left) = &mut left {
            *left -= passed;
            if *left == 0 {
                return;
            }
        }
        if now.rate.is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
