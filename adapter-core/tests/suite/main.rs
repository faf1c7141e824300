//! The adapter on a database in memory, mostly under paused time.
//!
//! One program, as linking each file by itself takes longer than all tests.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod cancellation;
mod catch_up;
mod channels;
mod cleanup;
mod clients;
mod counting;
mod entering;
mod entering_again;
mod error_texts;
mod failures;
mod handshake;
mod inbox;
mod inline_binary;
mod leaving;
mod limits;
mod local_effects;
mod local_rooms;
mod long_ids;
mod metrics;
mod namespaces;
mod node;
mod node_info;
mod nodes;
mod outbox;
mod reply_channel;
mod reserved_events;
mod slow_client;
mod spans;
mod split;
mod surrogates;
mod sweep;
mod watching;
