//! How much memory a message takes, for limits on what waits.

use super::{Body, Message, Room, Selector, SocketDescription, selector::Flags};
use crate::{Payload, Value};

/// What an allocation takes beside its bytes.
const OVERHEAD: usize = 16;

impl Message {
    /// About how many bytes the message takes in memory.
    ///
    /// They are more than it has on the wire: a room with a name of one letter takes 4 bytes there,
    /// and about 60 here.
    pub fn memory(&self) -> usize {
        let texts = [&self.nsp, &self.nonce, &self.relay.node_id].into_iter().flatten().map(|text| block(text.len()));
        let ids = [&self.uid, &self.relay.requester_uid].into_iter().flatten().map(|id| block(id.as_str().len()));
        size_of::<Self>() + texts.chain(ids).sum::<usize>() + self.body.heap()
    }
}

impl Body {
    fn heap(&self) -> usize {
        let optional = |data: &Option<Payload>| data.as_ref().map_or(0, payload);
        match self {
            Self::InitialHeartbeat | Self::Heartbeat | Self::AdapterClose => 0,
            Self::Broadcast(data) => payload(&data.packet.data) + selector(&data.opts),
            Self::SocketsJoin(data) => selector(&data.opts) + rooms(&data.rooms),
            Self::SocketsLeave(data) => selector(&data.opts) + rooms(&data.rooms),
            Self::DisconnectSockets(data) => selector(&data.opts),
            Self::FetchSockets(data) => selector(&data.opts),
            Self::FetchSocketsResponse(data) => {
                let ids = data.ids.as_ref().map_or(0, |ids| list(ids, |id| block(id.as_str().len())));
                list(&data.sockets, socket) + ids
            }
            Self::ServerSideEmit(data) => payload(&data.packet),
            Self::ServerSideEmitResponse(data) => optional(&data.packet),
            Self::BroadcastClientCount(_) => 0,
            Self::BroadcastAck(data) => optional(&data.packet),
            Self::Unknown { data, .. } => optional(data),
        }
    }
}

fn block(bytes: usize) -> usize {
    bytes + OVERHEAD
}

fn list<T>(list: &[T], heap: impl Fn(&T) -> usize) -> usize {
    block(size_of_val(list)) + list.iter().map(heap).sum::<usize>()
}

fn rooms(rooms: &[Room]) -> usize {
    list(rooms, |room| match room {
        Room::Name(name) => block(name.len()),
        Room::Other(other) => value(other),
    })
}

fn selector(opts: &Selector) -> usize {
    let flags = |flags: &Flags| {
        flags.iter().map(|(name, flag)| size_of::<(String, Value)>() + block(name.len()) + value(flag)).sum::<usize>()
    };
    rooms(&opts.rooms) + rooms(&opts.except) + opts.flags.as_ref().map_or(0, flags)
}

fn socket(socket: &SocketDescription) -> usize {
    let data = [&socket.handshake, &socket.data].into_iter().flatten().map(payload).sum::<usize>();
    block(socket.id.as_str().len()) + data + socket.rooms.as_deref().map_or(0, rooms)
}

fn payload(data: &Payload) -> usize {
    match data {
        Payload::Json(text) => block(text.get().len()),
        Payload::Value(data) => value(data),
    }
}

fn value(data: &Value) -> usize {
    match data {
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Float32(_) => 0,
        Value::Str(text) => block(text.len()),
        Value::BrokenStr(bytes) | Value::Bin(bytes) | Value::Ext(_, bytes) => block(bytes.len()),
        Value::Array(values) => list(values, value),
        Value::Map(entries) => list(entries, |(key, entry)| value(key) + value(entry)),
    }
}

#[cfg(test)]
mod tests {
    use crate::Notification;

    fn memory(payload: &str) -> usize {
        let Ok(Notification::Inline(message)) = Notification::decode(payload) else { panic!("{payload}") };
        message.memory()
    }

    #[test]
    fn many_short_rooms_take_far_more_than_their_text() {
        let rooms = vec![r#""a""#; 1000].join(",");
        let text = format!(r#"{{"type":4,"data":{{"opts":{{"rooms":[],"except":[]}},"rooms":[{rooms}]}},"uid":"a"}}"#);
        assert!(memory(&text) > 10 * text.len(), "{} of {}", memory(&text), text.len());
    }

    #[test]
    fn application_data_that_stays_text_takes_about_its_length() {
        let data = vec!["1"; 2000].join(",");
        let text = format!(r#"{{"type":9,"data":{{"packet":["e",{data}]}},"uid":"a"}}"#);
        assert!((text.len()..2 * text.len()).contains(&memory(&text)), "{} of {}", memory(&text), text.len());
    }
}
