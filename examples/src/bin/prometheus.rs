//! Metrics for Prometheus, with the feature `metrics` of the backend crate.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin prometheus -- 127.0.0.1:3000`
//!
//! It prints `listening on http://127.0.0.1:3000`, and serves the metrics to
//! `curl http://127.0.0.1:3000/metrics`:
//!
//! ```text
//! # HELP socketio_pg_listening Nodes of this process that listen: 1, or 0 when disconnected
//! # TYPE socketio_pg_listening gauge
//! socketio_pg_listening 1
//! ```
//!
//! docs/operations.md has all of them, with what to alert on. On diesel, the name of the crate is
//! another: `socketio_pg_diesel`.

use std::{error::Error, time::Duration};

use axum::{Router, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use socketio_pg_tokio_postgres::{Cluster, Options, PostgresAdapter};
use socketioxide::SocketIo;
use tokio::{net::TcpListener, time::interval};

fn install_recorder() -> Result<PrometheusHandle, Box<dyn Error>> {
    // With buckets, Prometheus can add up the histograms of several servers.
    let seconds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
    let messages = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)?
        .set_buckets_for_metric(Matcher::Suffix("_messages".to_owned()), &messages)?
        .install_recorder()?;
    // Otherwise histograms keep all values until the next request for the metrics.
    let upkeep = recorder.clone();
    tokio::spawn(async move {
        let mut due = interval(Duration::from_secs(5));
        loop {
            due.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(recorder)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    // Before the node connects: it registers its metrics then.
    let recorder = install_recorder()?;
    let cluster = Cluster::connect(database, Options::default()).await?;
    let (layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster.clone()).build_layer();
    cluster.attach(&io);
    io.ns("/", async || {}).await?;

    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // Clients can read it too. If they must not, serve it on another port.
    let app = Router::new().route("/metrics", get(async move || recorder.render())).layer(layer);
    cluster.serve(&io, |shutdown| axum::serve(listener, app).with_graceful_shutdown(shutdown)).await?;
    Ok(())
}
