//! Which messages are shown.

use socketio_pg_core::protocol::{
    Body,
    message::{Room, Selector},
};

use crate::{arguments::Watch, payload, session::Heard, survey::Survey};

/// What the command line asks for. Conditions of different kinds hold together; of those of one
/// kind, one must hold.
pub(super) struct Filter<'a> {
    command: &'a Watch,
}

impl<'a> Filter<'a> {
    pub(super) fn new(command: &'a Watch) -> Self {
        Self { command }
    }

    pub(super) fn matches(&self, heard: &Heard, survey: &Survey) -> bool {
        let Watch { kinds, room, event, sender, all, .. } = self.command;
        // Whatever the filters, a message that cannot be read is worth a line.
        let Ok(message) = &heard.message else { return true };
        let is_heartbeat = matches!(message.body, Body::Heartbeat | Body::InitialHeartbeat);
        let is_of_kind = if kinds.is_empty() { *all || !is_heartbeat } else { kinds.contains(&message.body.kind()) };
        let is_of_sender = sender.is_empty()
            || message.uid.as_ref().is_some_and(|uid| {
                let name = survey.name(uid);
                sender.iter().any(|wanted| wanted == uid.as_str() || Some(wanted.as_str()) == name)
            });
        let is_for_room = room.is_empty()
            || selector(&message.body).is_some_and(|selector| {
                selector.rooms.iter().any(|selected| room.contains(&payload::room(selected)))
                    || changed_rooms(&message.body).iter().any(|changed| room.contains(&payload::room(changed)))
            });
        let is_event = event.is_empty() || event_name(&message.body).is_some_and(|name| event.contains(&name));
        is_of_kind && is_of_sender && is_for_room && is_event
    }
}

/// The sockets that a message is for.
pub(super) fn selector(body: &Body) -> Option<&Selector> {
    match body {
        Body::Broadcast(data) => Some(&data.opts),
        Body::SocketsJoin(data) => Some(&data.opts),
        Body::SocketsLeave(data) => Some(&data.opts),
        Body::DisconnectSockets(data) => Some(&data.opts),
        Body::FetchSockets(data) => Some(&data.opts),
        _ => None,
    }
}

/// The rooms that sockets join or leave.
pub(super) fn changed_rooms(body: &Body) -> &[Room] {
    match body {
        Body::SocketsJoin(data) => &data.rooms,
        Body::SocketsLeave(data) => &data.rooms,
        _ => &[],
    }
}

/// The name of the event that a message carries.
pub(super) fn event_name(body: &Body) -> Option<String> {
    let payload = match body {
        Body::Broadcast(data) => &data.packet.data,
        Body::ServerSideEmit(data) => &data.packet,
        _ => return None,
    };
    payload::event(payload).map(|(name, _)| name)
}
