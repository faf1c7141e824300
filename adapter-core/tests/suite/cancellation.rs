//! Every operation, cancelled before each of its polls, on a database in memory.

use std::time::Duration;

use socketio_pg_core::{
    CatchUp, Cluster, ConnectError, Options,
    testing::memory::{MemoryBackend, MemoryDatabase},
};

use crate::sweep::{
    ends::{self, End, Then},
    operations,
    scene::{Scene, TRAFFIC, options},
};

async fn node(database: &MemoryDatabase) -> Result<Cluster<MemoryBackend>, ConnectError> {
    Cluster::connect(database.backend(), options()).await
}

async fn scene(database: &MemoryDatabase) -> Scene<MemoryBackend> {
    scene_with(database, options()).await
}

async fn scene_with(database: &MemoryDatabase, options: Options) -> Scene<MemoryBackend> {
    let node = async || Cluster::connect(database.backend(), options.clone()).await.unwrap();
    let clusters = [node().await, node().await];
    let database = database.clone();
    Scene::new(clusters, move || database.sessions(), 1).await
}

async fn sweep_all() {
    sweep_all_with(options()).await;
}

async fn sweep_all_with(options: Options) {
    let mut scene = scene_with(&MemoryDatabase::default(), options).await;
    for operation in operations::all() {
        for traffic in TRAFFIC {
            scene.sweep(&operation, traffic).await;
        }
    }
    scene.end().await;
}

#[tokio::test]
async fn an_operation_that_is_given_up_does_all_or_nothing_and_leaves_everything_working() {
    sweep_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_operation_that_is_given_up_does_all_or_nothing_with_several_threads_too() {
    sweep_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_is_given_up_does_all_or_nothing_with_every_option_too() {
    let log = CatchUp::last(Duration::from_secs(120));
    sweep_all_with(options().catch_up(log).watch_sessions(true).inline_binary(true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_whose_beginning_is_given_up_is_there_and_can_be_deleted() {
    let mut scene = scene(&MemoryDatabase::default()).await;
    ends::namespace(&mut scene).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_events_that_stops_waiting_misses_none() {
    let scene = scene(&MemoryDatabase::default()).await;
    ends::events(&scene).await;
    scene.end().await;
}

#[tokio::test]
async fn a_node_that_is_given_up_while_it_connects_leaves_nothing() {
    let databases = [MemoryDatabase::default(), MemoryDatabase::default()];
    let sessions = || databases.iter().map(MemoryDatabase::sessions).sum();
    ends::connect("connect", || node(&databases[0]), sessions).await;
    let split = || {
        let backends = databases.each_ref().map(MemoryDatabase::backend);
        Cluster::<MemoryBackend>::connect_split(backends, |_| 1, options())
    };
    ends::connect("connect_split", split, sessions).await;
}

#[tokio::test]
async fn a_close_waits_until_the_node_has_left_also_when_another_was_given_up() {
    let database = MemoryDatabase::default();
    ends::close(End::Cluster, Then::Again, || node(&database), || database.sessions()).await;
}

#[tokio::test]
async fn a_node_whose_close_is_given_up_leaves_and_lets_its_server_go() {
    let database = MemoryDatabase::default();
    ends::close(End::Cluster, Then::Dropped, || node(&database), || database.sessions()).await;
}

#[tokio::test]
async fn a_node_whose_server_gives_up_its_close_can_be_closed() {
    let database = MemoryDatabase::default();
    ends::close(End::Server, Then::Again, || node(&database), || database.sessions()).await;
}

#[tokio::test]
async fn a_node_whose_server_closes_leaves_and_lets_it_go() {
    let database = MemoryDatabase::default();
    ends::close(End::Server, Then::Dropped, || node(&database), || database.sessions()).await;
}
