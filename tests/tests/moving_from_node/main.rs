//! The tables of the page on moving from Node.js: each cell for Rust is compiled, and run in a
//! cluster with a Node.js server. Where the row is about a call, Node.js makes the call in the other
//! column, and the outcome is the same.
//!
//! In the modules of the tables a comment with the first cell of a row begins the code of that row.
//! [`page`] compares both with the page.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod between_servers;
mod cluster;
mod connecting;
mod page;
mod rooms;
mod to_clients;

use cluster::{Both, Result};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_to_clients_reaches_those_that_it_reaches_from_node() -> Result {
    let Some(both) = Both::start().await? else { return Ok(()) };
    to_clients::by_the_server(&both).await?;
    to_clients::by_a_socket(&both).await?;
    both.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_and_sockets_are_what_they_are_by_node() -> Result {
    let Some(mut both) = Both::start().await? else { return Ok(()) };
    rooms::join_and_leave(&both).await?;
    rooms::are_found(&both).await?;
    rooms::of_this_server(&both).await?;
    rooms::disconnect(&mut both).await?;
    rooms::of_one_socket(&mut both).await?;
    both.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_hear_and_answer_each_other() -> Result {
    let Some(both) = Both::start().await? else { return Ok(()) };
    between_servers::the_cluster_is_whole(&both).await?;
    between_servers::to_node(&both).await?;
    between_servers::from_node(&both).await?;
    between_servers::from_elsewhere(&both).await?;
    both.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_connects_is_seen_and_heard() -> Result {
    let Some(both) = Both::start().await? else { return Ok(()) };
    connecting::is_seen(&both).await?;
    connecting::is_heard(&both).await?;
    both.close().await
}
