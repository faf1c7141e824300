//! What each scenario is about, and which level it belongs to.

use crate::judge::Level::{self, Answers, Complete, Hears, Speaks};

/// A scenario, as the kit plays it.
pub(super) struct Part {
    pub(super) scenario: &'static str,
    /// The level at which a node must pass it while another node acts.
    pub(super) hearing: Level,
    /// The level at which a node must pass it when it acts itself.
    pub(super) acting: Level,
    /// The heading of the specification.
    pub(super) heading: &'static str,
}

const fn part(scenario: &'static str, hearing: Level, acting: Level, heading: &'static str) -> Part {
    Part { scenario, hearing, acting, heading }
}

/// The part of a scenario; `None` when the kit does not play it.
pub(super) fn of(scenario: &str) -> Option<&'static Part> {
    PARTS.iter().find(|part| part.scenario == scenario)
}

const PARTS: &[Part] = &[
    part("emit to all", Hears, Speaks, "3-broadcast"),
    part("emit to rooms and except rooms", Hears, Speaks, "which-sockets-opts"),
    part("emit as a socket's broadcast", Hears, Speaks, "which-sockets-opts"),
    part("emit with flags", Hears, Speaks, "which-sockets-opts"),
    part("private messages by socket id", Speaks, Speaks, "which-sockets-opts"),
    part("reserved event names", Answers, Complete, "3-broadcast"),
    part("sizes around the limit", Hears, Speaks, "payloads"),
    part("large and binary events", Hears, Speaks, "attachments"),
    part("many equal events", Hears, Speaks, "channels"),
    part("values inline", Hears, Speaks, "values"),
    part("values in attachments", Hears, Speaks, "messagepack"),
    part("the key __proto__ inline", Hears, Speaks, "values"),
    part("the key __proto__ in attachments", Hears, Speaks, "messagepack"),
    part("deep nesting", Complete, Complete, "values"),
    part("order of small and large events", Hears, Speaks, "attachments"),
    part("prefix, table and threshold of one's own", Hears, Complete, "transport"),
    part("acknowledgements: small values", Answers, Complete, "acknowledgements"),
    part("acknowledgements: large and binary", Answers, Complete, "12-broadcast_ack"),
    part("acknowledgements: who is asked", Answers, Complete, "11-broadcast_client_count"),
    part("acknowledgements: some come too late", Answers, Complete, "acknowledgements"),
    part("acknowledgements: no client", Answers, Complete, "11-broadcast_client_count"),
    part("acknowledgements: local", Answers, Complete, "which-sockets-opts"),
    part("acknowledgements: a node dies meanwhile", Answers, Complete, "which-nodes-a-request-waits-for"),
    part("socketsJoin by every selector", Answers, Complete, "4-sockets_join"),
    part("socketsLeave by every selector", Answers, Complete, "5-sockets_leave"),
    part("rooms named like sockets", Answers, Complete, "which-sockets-opts"),
    part("rooms named by numbers", Complete, Complete, "which-sockets-opts"),
    part("disconnectSockets by every selector", Answers, Complete, "6-disconnect_sockets"),
    part("fetchSockets by every selector", Answers, Complete, "7-fetch_sockets"),
    part("fetchSockets: number and ids", Answers, Complete, "counting-sockets"),
    part("fetchSockets: rooms", Complete, Complete, "8-fetch_sockets_response"),
    part("fetchSockets: data", Complete, Complete, "8-fetch_sockets_response"),
    part("fetchSockets: binary data", Complete, Complete, "8-fetch_sockets_response"),
    part("fetchSockets: large data", Complete, Complete, "8-fetch_sockets_response"),
    part("fetchSockets: clients come and go", Answers, Complete, "8-fetch_sockets_response"),
    part("fetchSockets: a node is dead", Answers, Complete, "which-nodes-a-request-waits-for"),
    part("remote sockets: emit", Complete, Complete, "which-sockets-opts"),
    part("remote sockets: emitWithAck", Complete, Complete, "acknowledgements"),
    part("remote sockets: binary acknowledgements", Complete, Complete, "12-broadcast_ack"),
    part("remote sockets: join and leave", Complete, Complete, "4-sockets_join"),
    part("remote sockets: disconnect", Complete, Complete, "6-disconnect_sockets"),
    part("remote sockets: one that is not there", Answers, Complete, "8-fetch_sockets_response"),
    part("serverSideEmit", Complete, Complete, "9-server_side_emit"),
    part("serverSideEmit: large and binary", Complete, Complete, "9-server_side_emit"),
    part("serverSideEmit with answers", Answers, Complete, "10-server_side_emit_response"),
    part("serverSideEmit: large and binary answers", Answers, Complete, "10-server_side_emit_response"),
    part("serverSideEmit: a node never answers", Answers, Complete, "server-to-server"),
    part("serverSideEmit: alone in the cluster", Answers, Complete, "which-nodes-a-request-waits-for"),
    part("serverSideEmit: a node leaves meanwhile", Answers, Complete, "which-nodes-a-request-waits-for"),
    part("serverSideEmit: a node dies meanwhile", Answers, Complete, "which-nodes-a-request-waits-for"),
    part("requests of all kinds", Answers, Complete, "reply-channels"),
    part("two requests at the same time", Answers, Complete, "messages"),
    part("messages from strangers", Answers, Complete, "messages"),
    part("the listening session is ended", Answers, Complete, "what-postgresql-must-allow"),
    part("serverCount: servers join and leave", Complete, Complete, "which-nodes-are-there"),
    part("serverCount: servers die", Complete, Complete, "which-nodes-are-there"),
    part("serverCount in each namespace", Complete, Complete, "which-nodes-are-there"),
    part("namespaces are apart", Hears, Speaks, "channels"),
    part("a namespace in Unicode", Complete, Complete, "channels"),
    part("a namespace with odd characters", Complete, Complete, "channels"),
    part("a namespace of over 63 bytes", Speaks, Speaks, "channels"),
    part("a namespace with a quote", Speaks, Speaks, "channels"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::{Capability, Scenario};

    /// What is about clients and their transports, recordings and emitters, is not a matter of a
    /// node's protocol.
    fn is_left_out(scenario: &Scenario) -> bool {
        const CLIENTS: [Capability; 4] = [
            Capability::Handshakes,
            Capability::SharedConnections,
            Capability::DynamicNamespaces,
            Capability::AuthChecked,
        ];
        scenario.needs.is_some_and(|need| CLIENTS.contains(&need))
            || ["emitter", "SQL functions", "what Node.js sent"].iter().any(|word| scenario.name.contains(word))
    }

    #[test]
    fn every_scenario_has_its_part() {
        for scenario in Scenario::all() {
            assert_eq!(of(scenario.name).is_none(), is_left_out(&scenario), "{}", scenario.name);
        }
        for part in PARTS {
            assert!(Scenario::all().iter().any(|it| it.name == part.scenario), "{}", part.scenario);
        }
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
        let page = std::fs::read_to_string(page).expect("the specification is there");
        let anchor = |line: &str| -> Option<String> {
            let text = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))?;
            let kept = text
                .to_lowercase()
                .chars()
                .filter(|char| char.is_alphanumeric() || "-_ ".contains(*char))
                .collect::<String>();
            Some(kept.replace(' ', "-"))
        };
        let anchors: Vec<String> = page.lines().filter_map(anchor).collect();
        let headings =
            PARTS.iter().map(|part| part.heading).chain(crate::judge::Rule::ALL.iter().map(|it| it.heading()));
        for heading in headings {
            assert!(anchors.iter().any(|anchor| anchor == heading), "the specification has no #{heading}");
        }
    }
}
