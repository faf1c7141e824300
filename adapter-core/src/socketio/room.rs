//! Names for rooms whose names are not strings.
//!
//! In Node.js any value may name a room, and `42` and `"42"` are two rooms. In socketioxide strings
//! name rooms, so a room with another name gets a string that begins with a random mark. A client
//! that chooses the name of a room therefore cannot choose one of these. Names with the mark do not
//! leave the process.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use socketio_pg_protocol::{
    Value,
    message::{Room, SocketDescription},
};
use socketioxide_core::adapter::Room as ServerRoom;

/// The mark. Other names seldom begin with its first character.
static MARK: LazyLock<String> = LazyLock::new(|| format!("\0{:016x}:", RandomState::new().hash_one(())));

/// The room that Node.js's applications name by a number, such as a user's id: `io.to(42)` of
/// Node.js is `io.to(number_room(42))` here. It is another room than `"42"`.
///
/// The name works with all of socketioxide's operations, which return it for that room, as
/// [`ClusterSocket::rooms`](crate::ClusterSocket::rooms) does. It is valid in this process only: do
/// not store it, nor show it to clients. [`room_number`] converts it back.
///
/// ```
/// # use socketio_pg_core::{number_room, room_number};
/// use socketioxide::{adapter::Adapter, extract::SocketRef};
/// use std::future::{Ready, ready};
///
/// fn on_connect<A: Adapter>(socket: SocketRef<A>) -> Ready<()> {
///     socket.join(number_room(42));
///     ready(())
/// }
///
/// assert_eq!(room_number(&number_room(42)), Some(42));
/// assert_eq!(room_number("42"), None);
/// ```
#[must_use]
pub fn number_room(number: i64) -> String {
    marked(&Value::Int(number))
}

/// The number that names a room; `None` when the room has another kind of name.
#[must_use]
pub fn room_number(name: &str) -> Option<i64> {
    match to_wire(name) {
        Room::Other(value) => value.as_i64(),
        Room::Name(_) => None,
    }
}

/// The name in this process of a room on the wire. `None` for objects: sent over the wire, an
/// object equals no other value in JavaScript.
pub(crate) fn name(room: &Room) -> Option<Cow<'_, str>> {
    match room {
        Room::Name(name) => Some(name.into()),
        Room::Other(Value::Array(_) | Value::Map(_) | Value::Bin(_) | Value::Ext(..)) => None,
        Room::Other(value) => Some(marked(value).into()),
    }
}

/// The name on the wire of a room in this process.
pub(crate) fn to_wire(name: &str) -> Room {
    // Nearly all names end the search here.
    let value = name.starts_with('\0').then(|| name.strip_prefix(&**MARK)).flatten().map(Value::from_json);
    match value {
        Some(Ok(value)) => Room::Other(value),
        _ => Room::from(name),
    }
}

/// The names on the wire of rooms in this process.
pub(crate) fn all_to_wire(names: &[ServerRoom]) -> Vec<Room> {
    names.iter().map(|name| to_wire(name)).collect()
}

/// The names in this process of rooms on the wire.
pub(crate) fn names(rooms: &[Room]) -> Vec<ServerRoom> {
    rooms.iter().filter_map(name).map(|name| ServerRoom::from(name.into_owned())).collect()
}

/// The rooms that a socket of another node has joined. It is in the room of its own id anyway; when
/// it has joined that room as well, the room is in the list twice.
pub(crate) fn joined(socket: &SocketDescription) -> Vec<ServerRoom> {
    let mut rooms = socket.rooms.clone().unwrap_or_default();
    if let Some(own) = rooms.iter().position(|room| room.as_str() == Some(socket.id.as_str())) {
        rooms.remove(own);
    }
    names(&rooms)
}

/// The name on the wire of a room that an application named.
pub(crate) fn named_to_wire(room: impl Into<Room>) -> Room {
    match room.into() {
        Room::Name(name) if name.starts_with('\0') => to_wire(&name),
        room => room,
    }
}

/// JavaScript's text of a value is the same for all values that it treats as equal: 42 and 42.0, 0
/// and -0.
fn marked(value: &Value) -> String {
    format!("{}{}", *MARK, value.to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_of_any_name_is_itself_on_the_way_there_and_back() {
        let all = [
            Room::from("42"),
            Room::from(""),
            Room::from("\0x"),
            Room::from(42),
            Room::Other(Value::Float(1.5)),
            Room::Other(Value::Float(1e300)),
            Room::Other(Value::Nil),
            Room::Other(Value::Bool(true)),
            Room::Other(Value::BrokenStr(b"a\xed\xa0\x80".to_vec())),
        ];
        let mut names: Vec<_> = all.iter().map(|room| name(room).expect("it has a name").into_owned()).collect();
        for (room, name) in all.iter().zip(&names) {
            assert_eq!(to_wire(name), *room);
            assert_eq!(named_to_wire(name.as_str()), *room);
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len(), "no two are one");
    }

    #[test]
    fn numbers_that_javascript_takes_for_equal_name_one_room() {
        for (one, other) in [(Value::Int(42), Value::Float(42.0)), (Value::Float(-0.0), Value::Int(0))] {
            assert_eq!(name(&Room::Other(one)), name(&Room::Other(other)));
        }
        assert_eq!(name(&Room::from(42)).as_deref(), Some(&*number_room(42)));
        assert_eq!(room_number(&number_room(-7)), Some(-7));
    }

    #[test]
    fn a_name_that_only_looks_like_one_of_these_is_a_string() {
        let guessed = "\x000000000000000000:42";
        assert_eq!(to_wire(guessed), Room::from(guessed));
        assert_eq!(room_number(guessed), None);
    }

    #[test]
    fn an_object_names_no_room() {
        assert_eq!(name(&Room::Other(Value::Map(Vec::new()))), None);
    }
}
