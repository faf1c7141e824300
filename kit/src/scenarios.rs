//! The scenarios: behaviours that are the same on every cluster, whatever its servers are written in.
//!
//! A scenario is written once. It drives three servers and clients of each from outside, and gives
//! what it observed and the right outcome, which is what three Node.js servers show. The conformance
//! suite of this project plays all of them on its own compositions, `check` plays them with a node
//! that it has never seen.

mod acknowledgements;
mod broadcast;
mod capability;
mod cluster;
mod differences;
mod emitters;
mod fixture;
mod membership;
mod namespaces;
mod node_defects;
mod options;
mod order;
mod raw;
mod remote_sockets;
mod requests;
mod rooms;
mod scenario;
mod server_side;
mod sessions;
mod sizes;
mod sockets;
mod stage;
mod strangers;
mod values;

pub(crate) use self::cluster::namespaces;
pub use self::{
    capability::Capability,
    cluster::{Cluster, Names, Settings},
    differences::differences,
    fixture::Fixture,
    node_defects::shows_node_defect,
    scenario::{Observation, Outcome, Scenario},
    stage::{Emitter, Server, Stage},
    values::refused_by_node,
};

use serde_json::Value;

/// `[name, ...args]`.
pub(crate) fn one_list(name: &Value, args: &Value) -> Value {
    std::iter::once(name).chain(args.as_array().into_iter().flatten()).cloned().collect()
}

/// A list without an order.
pub fn sorted(values: impl IntoIterator<Item = Value>) -> Value {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by_key(Value::to_string);
    values.into()
}

/// The array's values without an order; other values as they are.
pub(crate) fn unordered(value: Value) -> Value {
    match value {
        Value::Array(values) => sorted(values),
        other => other,
    }
}
