// Generated from protocol/schema/reader-types.json by scripts/generate.mjs: do not edit.

/**
 * A message from one node to all others that listen on the channel of its namespace. `type` tells what it is. Writers keep to the order of keys that is given here, as Node.js does; readers take any order, and ignore keys and types that they do not know.
 */
export type ClusterMessage =
  | InitialHeartbeatMessage
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
  | AdapterCloseMessage;
/**
 * Who sent a message: the `uid` of one node in one namespace.
 *
 * Node.js draws 8 random bytes and writes them as 16 lower-case hex digits; readers take any string.
 */
export type NodeId = string;
/**
 * What ties a response to its request. Chosen by the requester, in the form of a `NodeId`, unique while the request waits.
 */
export type RequestId = string;
/**
 * The name of a room: a string or a number. The number 7 and the string "7" name two rooms. A Node.js application that says `io.to(undefined)` sends null, which readers must survive.
 */
export type Room = unknown;
/**
 * The id of a client's socket: 20 characters from Node.js, 16 from socketioxide; readers take any string.
 */
export type SocketId = string;
/**
 * Data of the application: any JSON value, of which the protocol reads nothing. In an attachment it is any MessagePack value, which may also hold binary (`bin`) and dates (extension type -1); see `MessagePackBinary` and `MessagePackTimestamp` in common.json.
 */
export type ApplicationData =
  null | boolean | number | string | Uint8Array | Date | ApplicationData[] | {[key: string]: ApplicationData};

/**
 * 1: INITIAL_HEARTBEAT. A node joins. It is sent once the node listens, and again when it listens again after it was disconnected. Every other node answers with 2, HEARTBEAT.
 */
export interface InitialHeartbeatMessage {
  /**
   * 1: INITIAL_HEARTBEAT.
   */
  type: 1;
  /**
   * The name of the session on which the node listens, and in which others can see that it lives. It is optional to write and to read: a node that does not write it sends heartbeats, and gets them.
   */
  session?: unknown;
  /**
   * That the node has to hear heartbeats although it has a `session`. Missing: it has not.
   */
  heartbeats?: unknown;
  /**
   * That the node takes packed messages: binary in notifications. It is optional to write and to read: to a node that does not write it, binary is sent as attachments.
   */
  binary?: unknown;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  [k: string]: unknown;
}
/**
 * 2: HEARTBEAT. A node lives. It is sent after the heartbeat interval (5 s by default) in which the node published nothing, and in answer to 1, INITIAL_HEARTBEAT. Nothing answers it.
 */
export interface HeartbeatMessage {
  /**
   * 2: HEARTBEAT.
   */
  type: 2;
  /**
   * The name of the session on which the node listens, and in which others can see that it lives. It is optional to write and to read: a node that does not write it sends heartbeats, and gets them.
   */
  session?: unknown;
  /**
   * That the node has to hear heartbeats although it has a `session`. Missing: it has not.
   */
  heartbeats?: unknown;
  /**
   * That the node takes packed messages: binary in notifications. It is optional to write and to read: to a node that does not write it, binary is sent as attachments.
   */
  binary?: unknown;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  [k: string]: unknown;
}
/**
 * 3: BROADCAST. An event for the selected sockets of every other node. With a `requestId` each of them answers with one 11, BROADCAST_CLIENT_COUNT, and with a 12, BROADCAST_ACK, for each client that acknowledges. Without, nothing answers it.
 */
export interface BroadcastMessage {
  /**
   * 3: BROADCAST.
   */
  type: 3;
  data: BroadcastData;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  /**
   * Where the requester wants the responses, so that they do not go to all nodes: `<prefix>?` and 16 digits, a channel on which only its process listens. It is optional to write and to read: a node that does not know it responds on the channel of the namespace, and the requester listens on both.
   */
  replyTo?: unknown;
  [k: string]: unknown;
}
/**
 * Type 3, BROADCAST: an event for the selected sockets of every node.
 *
 * Answered by 11 and 12 when `requestId` is there, else by nothing.
 */
export interface BroadcastData {
  /**
   * The event.
   */
  packet: EventPacket;
  /**
   * There when acknowledgements are wanted.
   */
  requestId?: RequestId | null;
  /**
   * Which sockets it is for. The `timeout` flag says how long clients may take to acknowledge.
   */
  opts: Selector;
  [k: string]: unknown;
}
/**
 * A Socket.IO packet of type EVENT: `{"type":2,"data":[event, ...args]}`.
 */
export interface EventPacket {
  /**
   * The packet's type. Only 2, EVENT, may be sent: clients disconnect on anything else.
   */
  type?: number;
  /**
   * The event's name and its arguments, an array.
   */
  data?: unknown;
  /**
   * Written by the emitter, but no reader uses it: the message's own `nsp` counts.
   */
  nsp?: unknown;
  [k: string]: unknown;
}
/**
 * The `opts` of a message: the sockets it selects, and flags.
 *
 * Empty `rooms` selects every socket of the namespace; otherwise a socket is selected when it is in any of `rooms`. A socket in any of `except` is not selected. Every socket counts as being in a room named by its own id.
 *
 * Wire form: `{"rooms":["a"],"except":[],"flags":{"volatile":true}}`. Missing or null lists are read as empty.
 */
export interface Selector {
  /**
   * Rooms whose sockets are selected.
   */
  rooms?: Room[] | null;
  /**
   * Rooms whose sockets are left out.
   */
  except?: Room[] | null;
  /**
   * Flags. Node.js's emitter leaves the key out of messages 4, 5 and 6.
   */
  flags?: unknown;
  [k: string]: unknown;
}
/**
 * 4: SOCKETS_JOIN. The selected sockets of the other nodes join rooms. Nothing answers it.
 */
export interface SocketsJoinMessage {
  /**
   * 4: SOCKETS_JOIN.
   */
  type: 4;
  data: SocketsJoinData;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  [k: string]: unknown;
}
/**
 * Type 4, SOCKETS_JOIN: the selected sockets join rooms.
 */
export interface SocketsJoinData {
  /**
   * Which sockets.
   */
  opts: Selector;
  /**
   * The rooms to join, always an array.
   */
  rooms: Room[];
  [k: string]: unknown;
}
/**
 * 5: SOCKETS_LEAVE. The selected sockets of the other nodes leave rooms. Nothing answers it.
 */
export interface SocketsLeaveMessage {
  /**
   * 5: SOCKETS_LEAVE.
   */
  type: 5;
  data: SocketsLeaveData;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  [k: string]: unknown;
}
/**
 * Type 5, SOCKETS_LEAVE: the selected sockets leave rooms. The form is the same as for `SocketsJoin`.
 */
export interface SocketsLeaveData {
  /**
   * Which sockets.
   */
  opts: Selector;
  /**
   * The rooms to leave, always an array.
   */
  rooms: Room[];
  [k: string]: unknown;
}
/**
 * 6: DISCONNECT_SOCKETS. The selected sockets of the other nodes are disconnected. Nothing answers it.
 */
export interface DisconnectSocketsMessage {
  /**
   * 6: DISCONNECT_SOCKETS.
   */
  type: 6;
  data: DisconnectSocketsData;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  [k: string]: unknown;
}
/**
 * Type 6, DISCONNECT_SOCKETS: the selected sockets are disconnected.
 */
export interface DisconnectSocketsData {
  /**
   * Which sockets.
   */
  opts: Selector;
  /**
   * True: the whole connection is closed; false: only this namespace is left.
   */
  close?: boolean;
  [k: string]: unknown;
}
/**
 * 7: FETCH_SOCKETS. Asks for the sockets that match. Every other node answers with one 8, FETCH_SOCKETS_RESPONSE.
 */
export interface FetchSocketsMessage {
  /**
   * 7: FETCH_SOCKETS.
   */
  type: 7;
  data: FetchSocketsData;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  /**
   * Where the requester wants the responses, so that they do not go to all nodes: `<prefix>?` and 16 digits, a channel on which only its process listens. It is optional to write and to read: a node that does not know it responds on the channel of the namespace, and the requester listens on both.
   */
  replyTo?: unknown;
  [k: string]: unknown;
}
/**
 * Type 7, FETCH_SOCKETS: asks for the sockets that match.
 */
export interface FetchSocketsData {
  /**
   * Which sockets. The `timeout` flag tells how long the requester waits.
   */
  opts: Selector;
  /**
   * To be repeated in the response.
   */
  requestId: RequestId;
  /**
   * What the requester needs of the sockets, when it does not need descriptions.
   *
   * An extension of ours: Node.js ignores it, and answers in full. Any value that a node does not know counts as missing.
   */
  only?: unknown;
  [k: string]: unknown;
}
/**
 * 8: FETCH_SOCKETS_RESPONSE. The response of one node to 7, FETCH_SOCKETS. Sent also when no socket matches.
 */
export interface FetchSocketsResponseMessage {
  /**
   * 8: FETCH_SOCKETS_RESPONSE.
   */
  type: 8;
  data: FetchSocketsResponseData;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The node that sent the request. Only the workers of a Node.js cluster write it; other readers ignore it.
   */
  requesterUid?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  [k: string]: unknown;
}
/**
 * Type 8, FETCH_SOCKETS_RESPONSE: the sockets of one node.
 */
export interface FetchSocketsResponseData {
  /**
   * The request it answers.
   */
  requestId?: RequestId | null;
  /**
   * The sockets that match; none in an answer that has `count` or `ids`.
   */
  sockets: SocketDescription[];
  /**
   * The number of the sockets that match, instead of the sockets.
   *
   * An extension of ours: only for requesters that ask for it by `only`.
   */
  count?: number | null;
  /**
   * The ids of the sockets that match, instead of the sockets.
   *
   * An extension of ours: only for requesters that ask for them by `only`.
   */
  ids?: SocketId[] | null;
  [k: string]: unknown;
}
/**
 * A socket, as its node describes it to the others.
 *
 * A key `server` must never be sent: Node.js then hands the application a plain object instead of a socket.
 */
export interface SocketDescription {
  /**
   * The socket's id.
   */
  id: SocketId;
  /**
   * How the client connected, see `Handshake`. Node.js always sends it and its applications rely on it.
   */
  handshake?: unknown;
  /**
   * The rooms it is in, its own id among them.
   */
  rooms?: Room[] | null;
  /**
   * What the application stored on the socket; `{}` when it stored nothing.
   */
  data?: ApplicationData;
  [k: string]: unknown;
}
/**
 * 9: SERVER_SIDE_EMIT. An event for the other servers. With a `requestId` each of them answers with one 10, SERVER_SIDE_EMIT_RESPONSE, when its application acknowledges. Without, nothing answers it.
 */
export interface ServerSideEmitMessage {
  /**
   * 9: SERVER_SIDE_EMIT.
   */
  type: 9;
  data: ServerSideEmitData;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  /**
   * Where the requester wants the responses, so that they do not go to all nodes: `<prefix>?` and 16 digits, a channel on which only its process listens. It is optional to write and to read: a node that does not know it responds on the channel of the namespace, and the requester listens on both.
   */
  replyTo?: unknown;
  [k: string]: unknown;
}
/**
 * Type 9, SERVER_SIDE_EMIT: an event for the other servers.
 */
export interface ServerSideEmitData {
  /**
   * There when responses are wanted.
   */
  requestId?: RequestId | null;
  /**
   * The event's name and its arguments, an array.
   */
  packet: unknown;
  [k: string]: unknown;
}
/**
 * 10: SERVER_SIDE_EMIT_RESPONSE. The response of one server to 9, SERVER_SIDE_EMIT.
 */
export interface ServerSideEmitResponseMessage {
  /**
   * 10: SERVER_SIDE_EMIT_RESPONSE.
   */
  type: 10;
  data: ServerSideEmitResponseData;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The node that sent the request. Only the workers of a Node.js cluster write it; other readers ignore it.
   */
  requesterUid?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  [k: string]: unknown;
}
/**
 * Type 10, SERVER_SIDE_EMIT_RESPONSE: one server's response.
 */
export interface ServerSideEmitResponseData {
  /**
   * The request it answers.
   */
  requestId?: RequestId | null;
  /**
   * The one value of the response, missing when it was empty.
   */
  packet?: ApplicationData;
  [k: string]: unknown;
}
/**
 * 11: BROADCAST_CLIENT_COUNT. How many clients of one node got a 3, BROADCAST, that wants acknowledgements. Sent exactly once by every node that got it, also when there are none.
 */
export interface BroadcastClientCountMessage {
  /**
   * 11: BROADCAST_CLIENT_COUNT.
   */
  type: 11;
  data: BroadcastClientCountData;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The node that sent the request. Only the workers of a Node.js cluster write it; other readers ignore it.
   */
  requesterUid?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  [k: string]: unknown;
}
/**
 * Type 11, BROADCAST_CLIENT_COUNT: how many clients of this node got the broadcast and may acknowledge it.
 *
 * Sent exactly once by every node that got a `Broadcast` with a `requestId`.
 */
export interface BroadcastClientCountData {
  /**
   * The broadcast it answers.
   */
  requestId?: RequestId | null;
  /**
   * The number of clients, 0 included.
   */
  clientCount: number;
  [k: string]: unknown;
}
/**
 * 12: BROADCAST_ACK. The acknowledgement of one client to a 3, BROADCAST. It may overtake the 11, BROADCAST_CLIENT_COUNT, of its own node.
 */
export interface BroadcastAckMessage {
  /**
   * 12: BROADCAST_ACK.
   */
  type: 12;
  data: BroadcastAckData;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The node that sent the request. Only the workers of a Node.js cluster write it; other readers ignore it.
   */
  requesterUid?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  [k: string]: unknown;
}
/**
 * Type 12, BROADCAST_ACK: one client's acknowledgement.
 */
export interface BroadcastAckData {
  /**
   * The broadcast it answers.
   */
  requestId?: RequestId | null;
  /**
   * The first argument of the acknowledgement, missing when there was none.
   */
  packet?: ApplicationData;
  [k: string]: unknown;
}
/**
 * 13: ADAPTER_CLOSE. A node leaves in good order. The others forget it at once and wait for it no longer. Nothing answers it.
 */
export interface AdapterCloseMessage {
  /**
   * 13: ADAPTER_CLOSE.
   */
  type: 13;
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
   */
  nsp?: string | null;
  /**
   * Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every node reads the message.
   */
  source?: unknown;
  /**
   * The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores messages that have its own id; other readers ignore it.
   */
  nodeId?: unknown;
  /**
   * Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one transaction into one. Only needed for messages that are published in a transaction of the application, and for those that are also kept in a log; other readers ignore it.
   */
  nonce?: unknown;
  [k: string]: unknown;
}

/**
 * A header: which node sent what kind of message, and where it is.
 *
 * Node.js writes `{"uid":"…","type":3,"attachmentId":"17"}`, with the id as a string and without a namespace. We write `nsp` as well, so that a node can recognize its own headers without fetching the row.
 */
export interface NotificationHeader {
  /**
   * The sender.
   */
  uid?: NodeId | null;
  /**
   * The type of the message: `type` on the wire.
   */
  type?: number;
  /**
   * The namespace, where the sender names it.
   */
  nsp?: string | null;
  /**
   * The row: `attachmentId` on the wire, its number as a decimal string.
   */
  attachmentId: string | number;
  [k: string]: unknown;
}
