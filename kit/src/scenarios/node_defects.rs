//! In which scenarios Node.js shows a defect of its own, so that their outcome is not the right one.

/// Whether a cluster shows a defect of Node.js in a scenario. `is_node` says which of its three
/// servers are Node.js; the first one acts. Servers are single ones, and clients have the common
/// parser.
///
/// The conformance suite, which knows what Node.js shows instead, checks this table.
pub fn shows_node_defect(scenario: &str, is_node: [bool; 3]) -> bool {
    let count = is_node.into_iter().filter(|is_node| *is_node).count();
    match scenario {
        "sizes around the limit" | "acknowledgements: local" | "acknowledgements: a node dies meanwhile" => is_node[0],
        "the key __proto__ in attachments"
        | "order of small and large events"
        | "a namespace of over 63 bytes"
        | "a namespace with a quote"
        | "official emitter"
        | "what Node.js sent in attachments" => count > 0,
        // One Node.js server tells another of it.
        "fetchSockets: binary data" => count > 1,
        _ => false,
    }
}
