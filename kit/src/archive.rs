//! Recorded traffic of Node.js servers, and messages that no node may send.
//!
//! The same files are in `kit/captures` in the repository; the specification links them.

/// A file of the archive.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Recording {
    /// Its name.
    pub name: &'static str,
    /// JSON lines: of a capture as [`Transcript::read`](crate::judge::Transcript::read) reads them;
    /// of `refused.jsonl` with the keys `because` and `message`.
    pub text: &'static str,
}

macro_rules! recordings {
    ($($name:literal),* $(,)?) => {
        /// All of them, by name.
        pub const RECORDINGS: &[Recording] = &[$(
            Recording { name: $name, text: include_str!(concat!("../captures/", $name)) },
        )*];
    };
}

recordings![
    "01-lifecycle-initial-heartbeat.jsonl",
    "02-lifecycle-periodic-heartbeat.jsonl",
    "03-lifecycle-adapter-close.jsonl",
    "10-broadcast-plain.jsonl",
    "11-broadcast-no-args.jsonl",
    "12-broadcast-rooms-except.jsonl",
    "13-broadcast-flags.jsonl",
    "14-broadcast-local.jsonl",
    "15-broadcast-large-text.jsonl",
    "17-broadcast-binary.jsonl",
    "19-broadcast-connection-state-recovery.jsonl",
    "20-ack-basic.jsonl",
    "21-ack-variants.jsonl",
    "24-remote-socket-ops.jsonl",
    "30-sockets-join.jsonl",
    "32-disconnect-sockets.jsonl",
    "40-fetch-sockets.jsonl",
    "41-fetch-sockets-binary-and-large-data.jsonl",
    "42-fetch-sockets-session-store.jsonl",
    "50-server-side-emit.jsonl",
    "51-server-side-emit-ack.jsonl",
    "52-server-side-emit-single-node.jsonl",
    "60-custom-namespace.jsonl",
    "61-dynamic-namespace.jsonl",
    "63-custom-prefix-and-table.jsonl",
    "64-dynamic-namespace-cleanup.jsonl",
    "65-parse-options.jsonl",
    "70-values-json.jsonl",
    "71-values-msgpack.jsonl",
    "73-threshold-boundaries.jsonl",
    "80-emitter-all-methods.jsonl",
    "81-emitter-fixed-nsp-control.jsonl",
    "90-node-cluster.jsonl",
    "refused.jsonl",
];
