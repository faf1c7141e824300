"""The messages between the servers of a cluster, as types.

Generated from protocol/schema by scripts/generate_messages.py: do not edit.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from typing_extensions import NotRequired

NodeId = str
"""Who sent a message: the `uid` of one node in one namespace."""


class InitialHeartbeatMessage(TypedDict):
    """1: INITIAL_HEARTBEAT. A node joins. It is sent once the node listens, and again when it
    listens again after it was disconnected. Every other node answers with 2, HEARTBEAT.
    """

    type: Literal[1]
    session: NotRequired[str]
    heartbeats: NotRequired[Literal["needed"]]
    binary: NotRequired[Literal["packed"]]
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]


class HeartbeatMessage(TypedDict):
    """2: HEARTBEAT. A node lives. It is sent after the heartbeat interval (5 s by default) in
    which the node published nothing, and in answer to 1, INITIAL_HEARTBEAT. Nothing answers it.
    """

    type: Literal[2]
    session: NotRequired[str]
    heartbeats: NotRequired[Literal["needed"]]
    binary: NotRequired[Literal["packed"]]
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]


ApplicationData = Any
"""Data of the application: any JSON value, of which the protocol reads nothing. In an attachment
it is any MessagePack value, which may also hold binary (`bin`) and dates (extension type -1); see
`MessagePackBinary` and `MessagePackTimestamp` in common.json.
"""


class EventPacket(TypedDict):
    """A Socket.IO packet of type EVENT: `{"type":2,"data":[event, ...args]}`."""

    type: Literal[2]
    data: list[ApplicationData]
    nsp: NotRequired[str]


RequestId = str
"""What ties a response to its request. Chosen by the requester, in the form of a `NodeId`, unique
while the request waits.
"""


Room = str | float | None
"""The name of a room: a string or a number. The number 7 and the string "7" name two rooms. A
Node.js application that says `io.to(undefined)` sends null, which readers must survive.
"""


class Flags(TypedDict):
    """Flags of a message, in the order in which the sender set them. All are optional, and others
    may occur.
    """

    volatile: NotRequired[bool]
    compress: NotRequired[bool]
    timeout: NotRequired[float]
    expectSingleResponse: NotRequired[bool]
    local: NotRequired[bool]


Selector = TypedDict("Selector", {"rooms": list[Room], "except": list[Room], "flags": NotRequired[Flags]})
"""The `opts` of a message: the sockets it selects, and flags."""


class BroadcastData(TypedDict):
    """Type 3, BROADCAST: an event for the selected sockets of every node."""

    packet: EventPacket
    requestId: NotRequired[RequestId]
    opts: Selector


class BroadcastMessage(TypedDict):
    """3: BROADCAST. An event for the selected sockets of every other node. With a `requestId` each
    of them answers with one 11, BROADCAST_CLIENT_COUNT, and with a 12, BROADCAST_ACK, for each
    client that acknowledges. Without, nothing answers it.
    """

    type: Literal[3]
    data: BroadcastData
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]
    replyTo: NotRequired[str]


class SocketsJoinData(TypedDict):
    """Type 4, SOCKETS_JOIN: the selected sockets join rooms."""

    opts: Selector
    rooms: list[Room]


class SocketsJoinMessage(TypedDict):
    """4: SOCKETS_JOIN. The selected sockets of the other nodes join rooms. Nothing answers it."""

    type: Literal[4]
    data: SocketsJoinData
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]


class SocketsLeaveData(TypedDict):
    """Type 5, SOCKETS_LEAVE: the selected sockets leave rooms. The form is the same as for
    `SocketsJoin`.
    """

    opts: Selector
    rooms: list[Room]


class SocketsLeaveMessage(TypedDict):
    """5: SOCKETS_LEAVE. The selected sockets of the other nodes leave rooms. Nothing answers it."""

    type: Literal[5]
    data: SocketsLeaveData
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]


class DisconnectSocketsData(TypedDict):
    """Type 6, DISCONNECT_SOCKETS: the selected sockets are disconnected."""

    opts: Selector
    close: bool


class DisconnectSocketsMessage(TypedDict):
    """6: DISCONNECT_SOCKETS. The selected sockets of the other nodes are disconnected. Nothing
    answers it.
    """

    type: Literal[6]
    data: DisconnectSocketsData
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]


class FetchSocketsData(TypedDict):
    """Type 7, FETCH_SOCKETS: asks for the sockets that match."""

    opts: Selector
    requestId: RequestId
    only: NotRequired[Literal["count", "ids"]]


class FetchSocketsMessage(TypedDict):
    """7: FETCH_SOCKETS. Asks for the sockets that match. Every other node answers with one 8,
    FETCH_SOCKETS_RESPONSE.
    """

    type: Literal[7]
    data: FetchSocketsData
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]
    replyTo: NotRequired[str]


SocketId = str
"""The id of a client's socket: 20 characters from Node.js, 16 from socketioxide; readers take any
string.
"""


class Handshake(TypedDict):
    """The keys of a handshake that Node.js sends. In what readers get, any of them may be missing,
    and there may be more.
    """

    headers: dict[str, str | list[str]]
    time: str
    address: str
    xdomain: bool
    secure: bool
    issued: int
    url: str
    query: dict[str, str | list[str]]
    auth: dict[str, Any]


class SocketDescription(TypedDict):
    """A socket, as its node describes it to the others."""

    id: SocketId
    handshake: Handshake
    rooms: list[Room]
    data: NotRequired[ApplicationData]


class FetchSocketsResponseData(TypedDict):
    """Type 8, FETCH_SOCKETS_RESPONSE: the sockets of one node."""

    requestId: RequestId
    sockets: list[SocketDescription]
    count: NotRequired[int]
    ids: NotRequired[list[SocketId]]


class FetchSocketsResponseMessage(TypedDict):
    """8: FETCH_SOCKETS_RESPONSE. The response of one node to 7, FETCH_SOCKETS. Sent also when no
    socket matches.
    """

    type: Literal[8]
    data: FetchSocketsResponseData
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    requesterUid: NotRequired[NodeId]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]


class ServerSideEmitData(TypedDict):
    """Type 9, SERVER_SIDE_EMIT: an event for the other servers."""

    requestId: NotRequired[RequestId]
    packet: list[ApplicationData]


class ServerSideEmitMessage(TypedDict):
    """9: SERVER_SIDE_EMIT. An event for the other servers. With a `requestId` each of them answers
    with one 10, SERVER_SIDE_EMIT_RESPONSE, when its application acknowledges. Without, nothing
    answers it.
    """

    type: Literal[9]
    data: ServerSideEmitData
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]
    replyTo: NotRequired[str]


class ServerSideEmitResponseData(TypedDict):
    """Type 10, SERVER_SIDE_EMIT_RESPONSE: one server's response."""

    requestId: RequestId
    packet: NotRequired[ApplicationData]


class ServerSideEmitResponseMessage(TypedDict):
    """10: SERVER_SIDE_EMIT_RESPONSE. The response of one server to 9, SERVER_SIDE_EMIT."""

    type: Literal[10]
    data: ServerSideEmitResponseData
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    requesterUid: NotRequired[NodeId]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]


class BroadcastClientCountData(TypedDict):
    """Type 11, BROADCAST_CLIENT_COUNT: how many clients of this node got the broadcast and may
    acknowledge it.
    """

    requestId: RequestId
    clientCount: int


class BroadcastClientCountMessage(TypedDict):
    """11: BROADCAST_CLIENT_COUNT. How many clients of one node got a 3, BROADCAST, that wants
    acknowledgements. Sent exactly once by every node that got it, also when there are none.
    """

    type: Literal[11]
    data: BroadcastClientCountData
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    requesterUid: NotRequired[NodeId]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]


class BroadcastAckData(TypedDict):
    """Type 12, BROADCAST_ACK: one client's acknowledgement."""

    requestId: RequestId
    packet: NotRequired[ApplicationData]


class BroadcastAckMessage(TypedDict):
    """12: BROADCAST_ACK. The acknowledgement of one client to a 3, BROADCAST. It may overtake the
    11, BROADCAST_CLIENT_COUNT, of its own node.
    """

    type: Literal[12]
    data: BroadcastAckData
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    requesterUid: NotRequired[NodeId]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]


class AdapterCloseMessage(TypedDict):
    """13: ADAPTER_CLOSE. A node leaves in good order. The others forget it at once and wait for it
    no longer. Nothing answers it.
    """

    type: Literal[13]
    uid: NodeId
    nsp: str
    source: NotRequired[Literal["_sio_adapter"]]
    nodeId: NotRequired[str]
    nonce: NotRequired[str]


class NotificationHeader(TypedDict):
    """A header: which node sent what kind of message, and where it is."""

    uid: NodeId
    type: int
    nsp: NotRequired[str]
    attachmentId: str


ClusterMessage = (
    InitialHeartbeatMessage
    | HeartbeatMessage
    | BroadcastMessage
    | SocketsJoinMessage
    | SocketsLeaveMessage
    | DisconnectSocketsMessage
    | FetchSocketsMessage
    | FetchSocketsResponseMessage
    | ServerSideEmitMessage
    | ServerSideEmitResponseMessage
    | BroadcastClientCountMessage
    | BroadcastAckMessage
    | AdapterCloseMessage
)
"""A message from one node to all others that listen on the channel of its namespace. `type` tells
what it is. Writers keep to the order of keys that is given here, as Node.js does; readers take any
order, and ignore keys and types that they do not know.
"""
