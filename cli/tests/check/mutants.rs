//! Wrong nodes, each with one mistake that the kit must tell.

/// A node that does one thing wrong, and what tells it.
#[derive(Clone, Copy)]
pub(crate) struct Mutant {
    /// The argument of `mutant.py`.
    pub(crate) name: &'static str,
    /// A cluster and a scenario in which the mistake shows.
    pub(crate) cluster: &'static str,
    pub(crate) scenario: &'static str,
    /// The rule that it breaks: its heading in the specification.
    pub(crate) rule: &'static str,
    /// A part of what the report says of it.
    pub(crate) problem: &'static str,
}

pub(crate) const MUTANTS: [Mutant; 24] = [
    Mutant {
        name: "answers_itself",
        cluster: "CRC",
        scenario: "fetchSockets by every selector",
        rule: "channels",
        problem: "the node responds to its own 7",
    },
    Mutant {
        name: "delivers_twice",
        cluster: "CRC",
        scenario: "emit to all",
        rule: "3-broadcast",
        problem: "\"emit to all\" has another outcome",
    },
    Mutant {
        name: "ignores_except",
        cluster: "RCR",
        scenario: "emit to rooms",
        rule: "which-sockets-opts",
        problem: "\"emit to rooms and except rooms\"",
    },
    Mutant {
        name: "heartbeat_type_is_text",
        cluster: "RCR",
        scenario: "emit to all",
        rule: "messages",
        problem: "`type` is \"2\"",
    },
    Mutant {
        name: "does_not_greet",
        cluster: "RCR",
        scenario: "emit to all",
        rule: "1-initial_heartbeat",
        problem: "sent no 2 in response to",
    },
    Mutant {
        name: "does_not_close",
        cluster: "RCR",
        scenario: "emit to all",
        rule: "13-adapter_close",
        problem: "sent no 13",
    },
    Mutant {
        name: "response_without_request",
        cluster: "RCR",
        scenario: "fetchSockets by",
        rule: "8-fetch_sockets_response",
        problem: "`requestId` is missing",
    },
    Mutant {
        name: "response_in_another_namespace",
        cluster: "RCR",
        scenario: "fetchSockets by",
        rule: "messages",
        problem: "`nsp` is \"/elsewhere\"",
    },
    Mutant {
        name: "counts_one_too_many",
        cluster: "RCR",
        scenario: "acknowledgements: no client",
        rule: "11-broadcast_client_count",
        problem: "no answer",
    },
    Mutant {
        name: "writes_null",
        cluster: "RCR",
        scenario: "emit to all",
        rule: "messages",
        problem: "`data` is null",
    },
    Mutant {
        name: "header_names_another_row",
        cluster: "CRC",
        scenario: "large and binary events",
        rule: "attachments",
        problem: "there is no row",
    },
    Mutant {
        name: "binary_inline",
        cluster: "CRC",
        scenario: "large and binary events",
        rule: "attachments",
        problem: "\"large and binary events\"",
    },
    Mutant {
        name: "long_inline",
        cluster: "CRC",
        scenario: "large and binary events",
        rule: "attachments",
        problem: "payload string too long",
    },
    Mutant {
        name: "hashes_channels",
        cluster: "RCR",
        scenario: "emit to all",
        rule: "joining",
        problem: "no usable message of yours came on",
    },
    Mutant {
        name: "binary_inline",
        cluster: "CRC",
        scenario: "prefix, table",
        rule: "transport",
        problem: "has another outcome",
    },
    Mutant {
        name: "never_joins",
        cluster: "CRC",
        scenario: "a namespace in Unicode",
        rule: "channels",
        problem: "`socketsJoin` has no effect",
    },
    Mutant {
        name: "answers_beside_the_reply_channel",
        cluster: "RCR",
        scenario: "requests of all kinds",
        rule: "reply-channels",
        problem: "has another outcome",
    },
    Mutant {
        name: "exits_on_bad_input",
        cluster: "RCR",
        scenario: "messages from strangers",
        rule: "messages",
        problem: "has another outcome",
    },
    Mutant {
        name: "forwards_any_packet",
        cluster: "RCR",
        scenario: "messages from strangers",
        rule: "messages",
        problem: "an acknowledgement",
    },
    Mutant {
        name: "ignores_nsp",
        cluster: "RCR",
        scenario: "messages from strangers",
        rule: "messages",
        problem: "another",
    },
    Mutant {
        name: "needs_nsp",
        cluster: "RCR",
        scenario: "messages from strangers",
        rule: "messages",
        problem: "without nsp",
    },
    Mutant {
        name: "mixes_requests",
        cluster: "CRC",
        scenario: "two requests at the same time",
        rule: "messages",
        problem: "of the first",
    },
    Mutant {
        name: "never_listens_again",
        cluster: "RCR",
        scenario: "the listening session is ended",
        rule: "what-postgresql-must-allow",
        problem: "hears again",
    },
    Mutant {
        name: "has_one_uid",
        cluster: "RCR",
        scenario: "emit to all",
        rule: "messages",
        problem: "is also that of the node in",
    },
];
