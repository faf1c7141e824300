//! Nodes whose namespaces are spread over several databases.

use std::time::Duration;

use socketio_pg_core::{
    Cluster, ConnectError, Error, Event, Options, PostgresAdapter,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

type Adapter = PostgresAdapter<Emitter, MemoryBackend>;

/// `/a…` is in database 0, `/b…` in database 1, `/c…` in a database that does not exist.
fn rule(namespace: &str) -> usize {
    match namespace.as_bytes() {
        [b'/', b'b', ..] => 1,
        [b'/', b'c', ..] => 9,
        _ => 0,
    }
}

struct Node {
    cluster: Cluster<MemoryBackend>,
    io: SocketIo<Adapter>,
}

impl Node {
    async fn start(databases: &[MemoryDatabase; 2]) -> Self {
        let backends = databases.each_ref().map(MemoryDatabase::backend);
        let cluster = Cluster::connect_split(backends, rule, Options::default()).await.unwrap();
        let (_, io) = SocketIo::builder().with_adapter::<Adapter>(cluster.clone()).build_layer();
        for namespace in ["/a", "/b"] {
            io.ns(namespace, async || {}).await.unwrap();
        }
        Self { cluster, io }
    }

    fn server_counts(&self) -> [usize; 2] {
        ["/a", "/b"].map(|namespace| self.cluster.of(namespace).server_count())
    }

    async fn wait_for_server_counts(&self, counts: [usize; 2]) {
        let waiting = async {
            while self.server_counts() != counts {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(600), waiting).await.unwrap_or_else(|_| panic!("{:?}", self.server_counts()));
    }

    /// The numbers that other servers emit in a namespace.
    fn collect(&self, namespace: &str) -> mpsc::UnboundedReceiver<u64> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.cluster.of(namespace).on_server_side("e", move |number: u64| {
            let _ = sender.send(number);
            std::future::ready(())
        });
        receiver
    }
}

async fn pair(databases: &[MemoryDatabase; 2]) -> [Node; 2] {
    let nodes = [Node::start(databases).await, Node::start(databases).await];
    for node in &nodes {
        node.wait_for_server_counts([2, 2]).await;
    }
    nodes
}

#[tokio::test(start_paused = true)]
async fn each_namespace_has_its_database() {
    let databases = [MemoryDatabase::default(), MemoryDatabase::default()];
    let [one, other] = pair(&databases).await;
    for (index, namespace) in ["/a", "/b"].into_iter().enumerate() {
        let mut received = other.collect(namespace);
        let before = [databases[0].published(), databases[1].published()];
        for number in 0..50 {
            one.cluster.of(namespace).server_side_emit("e", &number).await.unwrap();
        }
        for number in 0..50 {
            assert_eq!(received.recv().await, Some(number));
        }
        let after = [databases[0].published(), databases[1].published()];
        assert_eq!(after[index] - before[index], 50);
        assert_eq!(after[1 - index], before[1 - index]);
        assert_eq!(one.cluster.database_of(namespace).unwrap(), index);
        assert_eq!(one.cluster.of(namespace).fetch_sockets().await.unwrap().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_without_database_is_refused_and_nothing_else() {
    let databases = [MemoryDatabase::default(), MemoryDatabase::default()];
    let [one, other] = pair(&databases).await;
    let is_refused = |error: &Error| matches!(error, Error::NoDatabase { database: 9, databases: 2, .. });

    let refused = one.io.ns("/c", async || {}).await.unwrap_err();
    assert!(is_refused(&refused), "{refused}");
    let namespace = one.cluster.of("/c");
    assert!(is_refused(&namespace.server_side_emit("e", &1).await.unwrap_err()));
    assert!(is_refused(&namespace.emit("e", &1).await.unwrap_err()));
    assert!(is_refused(&namespace.fetch_sockets().await.unwrap_err()));
    assert!(is_refused(&one.cluster.database_of("/c").unwrap_err()));
    assert_eq!((namespace.server_count(), namespace.uid()), (0, None));
    namespace.on_server_side("e", async |_: u64| ());
    assert!(refused.to_string().contains(r#""/c" is in no database: the rule says 9"#), "{refused}");

    let mut received = other.collect("/a");
    one.cluster.of("/a").server_side_emit("e", &1_u64).await.unwrap();
    assert_eq!(received.recv().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_fails_stops_only_its_own_namespaces() {
    let databases = [MemoryDatabase::default(), MemoryDatabase::default()];
    let [one, other] = pair(&databases).await;
    let mut events = other.cluster.events();
    let (mut a, mut b) = (other.collect("/a"), other.collect("/b"));
    databases[1].set_down(true);
    for number in 0..60 {
        one.cluster.of("/a").server_side_emit("e", &number).await.unwrap();
        assert_eq!(a.recv().await, Some(number));
        let failed = one.cluster.of("/b").server_side_emit("e", &number).await.unwrap_err();
        assert!(matches!(failed, Error::Publish(_)), "{failed}");
        sleep(Duration::from_secs(1)).await;
    }
    let ready: Vec<_> = one.cluster.health_by_database().iter().map(|health| health.is_ready()).collect();
    assert_eq!((one.cluster.health().is_ready(), &ready[..]), (false, &[true, false][..]));
    assert!(!one.cluster.health().link.is_listening);
    // Nodes of the other database did not notice; the nodes of this one wait for each other.
    assert_eq!((one.server_counts(), other.server_counts()), ([2, 2], [2, 2]));
    assert!(one.cluster.of("/b").fetch_sockets().await.is_err());
    assert_eq!(one.cluster.of("/a").fetch_sockets().await.unwrap().len(), 0);

    databases[1].set_down(false);
    for node in [&one, &other] {
        while !node.cluster.health().link.is_listening {
            sleep(Duration::from_millis(10)).await;
        }
    }
    one.cluster.of("/b").server_side_emit("e", &7_u64).await.unwrap();
    assert!(one.cluster.health().is_ready());
    assert_eq!(b.recv().await, Some(7));

    // All events came in one stream, which says where each happened.
    let mut told = Vec::new();
    while !matches!(told.last(), Some((_, Event::Gap { .. }))) {
        told.push(events.next_with_database().await.unwrap());
    }
    assert!(told.iter().all(|(database, _)| *database == 1), "{told:?}");
    assert!(told.iter().any(|(_, event)| matches!(event, Event::Disconnected { .. })), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn counts_are_those_of_all_databases() {
    let databases = [MemoryDatabase::default(), MemoryDatabase::default()];
    let node = Node::start(&databases).await;
    let mut events = node.cluster.events();
    databases[0].notify("socket.io#/a", "{");
    databases[1].notify("socket.io#/b", "{");
    let mut where_from = Vec::new();
    while where_from.len() < 2 {
        if let (database, Event::Rejected { .. }) = events.next_with_database().await.unwrap() {
            where_from.push(database);
        }
    }
    where_from.sort_unstable();
    assert_eq!(where_from, [0, 1]);
    let counts = node.cluster.counts();
    assert_eq!(counts.rejected, 2);
    assert_eq!(counts.rejected_by_kind["undecodable"], 2);
    let health = node.cluster.health();
    assert_eq!(health.counts.rejected, 2);
    assert_eq!(health.namespaces.iter().map(|namespace| &*namespace.name).collect::<Vec<_>>(), ["/a", "/b"]);
    let rejected: Vec<_> = node.cluster.health_by_database().iter().map(|health| health.counts.rejected).collect();
    assert_eq!(rejected, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn closing_sends_close_messages_in_every_database() {
    let databases = [MemoryDatabase::default(), MemoryDatabase::default()];
    let [one, other] = pair(&databases).await;
    other.cluster.close().await;
    one.wait_for_server_counts([1, 1]).await;
    for namespace in ["/a", "/b"] {
        let failed = other.cluster.of(namespace).server_side_emit("e", &1).await.unwrap_err();
        assert!(matches!(failed, Error::UnknownNamespace(_) | Error::Closed), "{failed}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_everything_leaves_every_database() {
    let databases = [MemoryDatabase::default(), MemoryDatabase::default()];
    let [one, other] = pair(&databases).await;
    drop(other);
    one.wait_for_server_counts([1, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_down_at_the_start_is_named() {
    let databases = [MemoryDatabase::default(), MemoryDatabase::default()];
    databases[1].set_down(true);
    let backends = databases.each_ref().map(MemoryDatabase::backend);
    let failed = Cluster::<MemoryBackend>::connect_split(backends, rule, Options::default()).await.unwrap_err();
    let ConnectError::InDatabase { database: 1, error } = &failed else { panic!("{failed}") };
    assert!(matches!(**error, ConnectError::Unreachable(_)), "{failed}");
    assert!(failed.to_string().starts_with("database 1, counted from 0: PostgreSQL cannot be reached"), "{failed}");
}

#[tokio::test]
async fn no_database_at_all_is_an_error() {
    let failed = Cluster::<MemoryBackend>::connect_split(Vec::<MemoryBackend>::new(), rule, Options::default()).await;
    assert!(matches!(failed, Err(ConnectError::Option { option: "backends", .. })));
}
