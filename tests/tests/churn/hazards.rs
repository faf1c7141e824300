//! Hazards of the churn, each of which can be left out.

use crate::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hazard {
    /// NUL in the name of a dynamic namespace.
    Nul,
    /// Several clients enter a new dynamic namespace of one server at the same moment.
    Crush,
    /// The server drops the future of an emit, or the handle that waits for acknowledgements.
    GivenUp,
    /// A server passes on an event name of a client that Socket.IO reserves.
    Reserved,
    /// A server makes sockets of other servers join rooms, as an application does it that has
    /// fetched them.
    RemoteJoin,
    /// Clients of one server emit at the same time: all clients must get the events in one order.
    OneOrder,
    /// A namespace is deleted, and entered again at once.
    ComeBack,
    /// Quotes, backslashes and other special characters in the names of namespaces.
    Quotes,
    /// Names of 200 bytes, and names that differ only after the 63rd byte.
    Long,
    /// Characters of every plane of Unicode in the names of namespaces.
    Planes,
    /// Servers end with SIGTERM.
    Terminate,
    /// Servers are killed (SIGKILL).
    Kill,
    /// Some clients poll.
    Polling,
}

use Hazard::*;

const ALL: [Hazard; 13] =
    [Nul, Crush, GivenUp, Reserved, RemoteJoin, OneOrder, ComeBack, Quotes, Long, Planes, Terminate, Kill, Polling];

/// All hazards but those that `CHURN_WITHOUT=Nul,Crush` names.
pub(crate) fn chosen() -> Result<Vec<Hazard>> {
    let without = named("CHURN_WITHOUT")?;
    Ok(ALL.into_iter().filter(|it| !without.contains(it)).collect())
}

fn named(variable: &str) -> Result<Vec<Hazard>> {
    let names = std::env::var(variable).unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let hazard = |name: &str| {
        let found = ALL.into_iter().find(|it| format!("{it:?}") == name);
        found.ok_or_else(|| format!("{variable} names {name}, which is none of {ALL:?}").into())
    };
    names.map(hazard).collect()
}
