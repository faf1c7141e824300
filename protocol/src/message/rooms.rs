//! Messages that change the sockets of other nodes: 4, 5 and 6. Nothing answers them.

use serde::{Deserialize, Serialize};

use super::{Room, Selector};

/// Type 4, SOCKETS_JOIN: the selected sockets join rooms.
///
/// ```json
/// {"type":4,"data":{"opts":{"rooms":[],"except":[],"flags":{}},"rooms":["news"]},
/// "uid":"8f42b1c09d5e7a36","nsp":"/"}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "SocketsJoinData"))]
pub struct SocketsJoin {
    /// Which sockets.
    pub opts: Selector,
    /// The rooms to join, always an array.
    pub rooms: Vec<Room>,
}

/// Type 5, SOCKETS_LEAVE: the selected sockets leave rooms. The form is the same as for
/// [`SocketsJoin`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "SocketsLeaveData"))]
pub struct SocketsLeave {
    /// Which sockets.
    pub opts: Selector,
    /// The rooms to leave, always an array.
    pub rooms: Vec<Room>,
}

/// Type 6, DISCONNECT_SOCKETS: the selected sockets are disconnected.
///
/// ```json
/// {"type":6,"data":{"opts":{"rooms":["idle"],"except":[],"flags":{}},"close":true},
/// "uid":"8f42b1c09d5e7a36","nsp":"/"}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "DisconnectSocketsData"))]
pub struct DisconnectSockets {
    /// Which sockets.
    pub opts: Selector,
    /// True: the whole connection is closed; false: only this namespace is left.
    #[serde(default)]
    pub close: bool,
}
