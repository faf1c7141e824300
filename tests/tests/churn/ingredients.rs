//! What makes a churn hostile, each of which can be left out.

use crate::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ingredient {
    /// NUL in the name of a dynamic namespace.
    Nul,
    /// Clients enter a fresh dynamic namespace of one server at the same moment.
    Crush,
    /// The server stops to wait for an emit.
    GivenUp,
    /// A client's event name that Socket.IO reserves is passed on.
    Reserved,
    /// Sockets of other servers are joined to rooms as an application does it that has fetched
    /// them.
    RemoteJoin,
    /// Clients of one server speak at the same time: everybody must hear them in one order.
    OneOrder,
    /// A namespace is deleted, and entered again at once.
    ComeBack,
    /// Quotes, backslashes and what else means something to somebody, in the names of namespaces.
    Quotes,
    /// Names of 200 bytes, and such that differ only behind the 63rd.
    Long,
    /// Every plane of Unicode, in the names of namespaces.
    Planes,
    /// Servers end with SIGTERM.
    Terminate,
    /// Servers are killed (SIGKILL).
    Kill,
    /// Some clients poll.
    Polling,
}

use Ingredient::*;

const ALL: [Ingredient; 13] =
    [Nul, Crush, GivenUp, Reserved, RemoteJoin, OneOrder, ComeBack, Quotes, Long, Planes, Terminate, Kill, Polling];

/// All but those that `CHURN_WITHOUT=Nul,Crush` names.
pub(crate) fn chosen() -> Result<Vec<Ingredient>> {
    let without = named("CHURN_WITHOUT")?;
    Ok(ALL.into_iter().filter(|it| !without.contains(it)).collect())
}

fn named(variable: &str) -> Result<Vec<Ingredient>> {
    let names = std::env::var(variable).unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let ingredient = |name: &str| {
        let found = ALL.into_iter().find(|it| format!("{it:?}") == name);
        found.ok_or_else(|| format!("{variable} names {name}, which is none of {ALL:?}").into())
    };
    names.map(ingredient).collect()
}
