//! Selects the local sockets that a message is for.
//!
//! In Node.js every socket is in a room named by its own id, and nodes rely on it: `io.to(<id>)`
//! addresses one socket, `except: [<id>]` leaves out a sender. socketioxide does not have such
//! rooms, so names that are ids of local sockets are resolved here.

use std::{borrow::Cow, collections::HashSet};

use socketio_pg_protocol::message::{Room, Selector};
use socketioxide_core::{
    Sid,
    adapter::{BroadcastFlags, BroadcastOptions, CoreLocalAdapter, SocketEmitter},
};

use crate::socketio::room;

/// Selected local sockets.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives for one call")]
pub(crate) enum Selection {
    /// The sockets that match, by socketioxide's own rules.
    Matching(BroadcastOptions),
    /// The sockets with these ids.
    Listed { sids: Vec<Sid>, volatile: bool },
}

impl Selection {
    /// The local sockets that a message of another node selects.
    pub(crate) fn of_message<E: SocketEmitter>(local: &CoreLocalAdapter<E>, options: &Selector) -> Self {
        let volatile = options.flags.as_ref().is_some_and(|flags| flags.volatile());
        let all = options.rooms.is_empty();
        let names = |rooms: &'_ [Room]| rooms.iter().filter_map(room::name).map(Cow::into_owned).collect::<Vec<_>>();
        let (rooms, except) = (names(&options.rooms), names(&options.except));
        if !all && rooms.is_empty() {
            return Self::Listed { sids: Vec::new(), volatile };
        }
        let [all_rooms, all_except] =
            [&rooms, &except].map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
        Self::resolve(local, &all_rooms, &all_except, volatile).unwrap_or_else(|| {
            let mut native = everyone(volatile);
            native.rooms = rooms.into_iter().map(Into::into).collect();
            native.except = except.into_iter().map(Into::into).collect();
            Self::Matching(native)
        })
    }

    /// The local sockets that the application selects.
    pub(crate) fn of_application<E: SocketEmitter>(local: &CoreLocalAdapter<E>, options: BroadcastOptions) -> Self {
        let rooms: Vec<&str> = options.rooms.iter().map(AsRef::as_ref).collect();
        let mut except: Vec<&str> = options.except.iter().map(AsRef::as_ref).collect();
        if rooms.is_empty() && !options.has_flag(BroadcastFlags::Broadcast) {
            // One socket, or none. The id may belong to another node: socketioxide would keep it
            // for ever.
            return match options.sid.filter(|sid| is_local(local, *sid)) {
                Some(_) => Self::Matching(options),
                None => Self::Listed { sids: Vec::new(), volatile: false },
            };
        }
        if let Some(sender) = &options.sid
            && options.has_flag(BroadcastFlags::Broadcast)
            && rooms.iter().chain(&except).any(|name| local_socket(local, name).is_some())
        {
            except.push(sender.as_str());
        }
        let volatile = options.has_flag(BroadcastFlags::Volatile);
        Self::resolve(local, &rooms, &except, volatile).unwrap_or(Self::Matching(options))
    }

    /// Lists the sockets when ids of local sockets are among the names; `None` when there are none.
    fn resolve<E: SocketEmitter>(
        local: &CoreLocalAdapter<E>,
        rooms: &[&str],
        except: &[&str],
        volatile: bool,
    ) -> Option<Self> {
        let ids = |names: &[&str]| names.iter().filter_map(|name| local_socket(local, name)).collect::<Vec<_>>();
        let (selected, excluded) = (ids(rooms), ids(except));
        if selected.is_empty() && excluded.is_empty() {
            return None;
        }
        let mut native = everyone(false);
        native.rooms = rooms.iter().map(|room| (*room).to_owned().into()).collect();
        native.except = except.iter().map(|room| (*room).to_owned().into()).collect();
        let mut sids = local.sockets(native);
        if !selected.is_empty() {
            // An id that is selected may still be in an excluded room.
            let mut banned = everyone(false);
            banned.rooms = except.iter().map(|room| (*room).to_owned().into()).collect();
            let banned = if except.is_empty() { Vec::new() } else { local.sockets(banned) };
            let banned: HashSet<Sid> = banned.into_iter().collect();
            sids.extend(selected.into_iter().filter(|sid| !banned.contains(sid)));
        }
        // Always in the same order, and each once.
        sids.sort_unstable();
        sids.dedup();
        let excluded: HashSet<Sid> = excluded.into_iter().collect();
        sids.retain(|sid| !excluded.contains(sid));
        Some(Self::Listed { sids, volatile })
    }

    /// The selection as options for the operations of [`CoreLocalAdapter`]: each item selects other
    /// sockets.
    pub(crate) fn into_options(self) -> impl Iterator<Item = BroadcastOptions> {
        let (matching, sids, volatile) = match self {
            Self::Matching(options) => (Some(options), Vec::new(), false),
            Self::Listed { sids, volatile } => (None, sids, volatile),
        };
        let listed = sids.into_iter().map(move |sid| {
            let mut options = BroadcastOptions::new(sid);
            if volatile {
                options.add_flag(BroadcastFlags::Volatile);
            }
            options
        });
        matching.into_iter().chain(listed)
    }

    /// The selected sockets.
    pub(crate) fn sids<E: SocketEmitter>(self, local: &CoreLocalAdapter<E>) -> Vec<Sid> {
        match self {
            Self::Matching(options) => local.fetch_sockets(options).into_iter().map(|socket| socket.id).collect(),
            Self::Listed { sids, .. } => sids,
        }
    }
}

fn everyone(volatile: bool) -> BroadcastOptions {
    let mut options = BroadcastOptions::default();
    options.add_flag(BroadcastFlags::Broadcast);
    if volatile {
        options.add_flag(BroadcastFlags::Volatile);
    }
    options
}

/// Whether it is the id of a local socket.
pub(crate) fn is_local<E: SocketEmitter>(local: &CoreLocalAdapter<E>, sid: Sid) -> bool {
    !local.fetch_sockets(BroadcastOptions::new(sid)).is_empty()
}

/// The local socket with this id, if there is one.
fn local_socket<E: SocketEmitter>(local: &CoreLocalAdapter<E>, id: &str) -> Option<Sid> {
    let sid: Sid = id.parse().ok()?;
    is_local(local, sid).then_some(sid)
}
