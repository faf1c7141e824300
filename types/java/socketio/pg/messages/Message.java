// Generated from protocol/schema by types/generate.py: do not edit.
package socketio.pg.messages;

import java.util.List;
import java.util.Map;
import socketio.pg.messages.Input.Rule;

/**
 * A message from one node to all others of its namespace.
 *
 * <p>{@link #read} takes what a decoder of JSON or MessagePack returns: maps, lists, strings, booleans, numbers, null,
 * and in application data also byte arrays and dates. {@link #toMap} returns the same, for an encoder.
 *
 * @param session The name of the session on which the node listens, and in which others can see that it lives.
 * It is optional to write and to read: a node that does not write it sends heartbeats, and gets them.
 * @param heartbeats That the node has to hear heartbeats although it has a `session`. Missing: it has not.
 * @param binary That the node takes packed messages: binary in notifications. It is optional to write and to
 * read: to a node that does not write it, binary is sent as attachments.
 * @param uid The sender.
 * @param nsp The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a
 * message without it. Node.js's emitter does not write it, so readers take it from the channel where it is
 * missing.
 * @param source Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages
 * without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so
 * that every node reads the message.
 * @param requesterUid The node that sent the request. Only the workers of a Node.js cluster write it; other
 * readers ignore it.
 * @param nodeId The primary process that passed the message on. Only the primary of a Node.js cluster writes it,
 * and ignores messages that have its own id; other readers ignore it.
 * @param nonce Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal
 * notifications of one transaction into one. Only needed for messages that are published in a transaction of the
 * application, and for those that are also kept in a log; other readers ignore it.
 * @param replyTo Where the requester wants the responses, so that they do not go to all nodes: `&lt;prefix&gt;?`
 * and 16 digits, a channel on which only its process listens. It is optional to write and to read: a node that
 * does not know it responds on the channel of the namespace, and the requester listens on both.
 * @param body What the message says.
 */
public record Message(String session, String heartbeats, String binary, String uid, String nsp, String source, String requesterUid, String nodeId, String nonce, String replyTo, Body body) {
    /** Stands for a value of the application that is missing. Null is a value. */
    public static final Object ABSENT = new Object() {
        @Override
        public String toString() {
            return "absent";
        }
    };

    /** A message that every node hears, also the workers of a Node.js cluster. */
    public Message(String uid, String nsp, Body body) {
        this(null, null, null, uid, nsp, "_sio_adapter", null, null, null, null, body);
    }

    /**
     * Reads a message. Keys that it does not know are ignored.
     *
     * @throws InvalidMessage if it is not a message. Report it, and go on with the next one.
     */
    public static Message read(Object value) {
        Input in = Input.of(value);
        long kind = in.whole("type");
        return new Message(in.text("session", 0, Rule.OPTIONAL, Rule.LENIENT), in.text("heartbeats", 0, Rule.OPTIONAL, Rule.LENIENT), in.text("binary", 0, Rule.OPTIONAL, Rule.LENIENT), in.text("uid", 256, Rule.OPTIONAL, Rule.NULL), in.text("nsp", 0, Rule.OPTIONAL, Rule.NULL), in.text("source", 0, Rule.OPTIONAL, Rule.LENIENT), in.text("requesterUid", 256, Rule.OPTIONAL, Rule.LENIENT), in.text("nodeId", 256, Rule.OPTIONAL, Rule.LENIENT), in.text("nonce", 256, Rule.OPTIONAL, Rule.LENIENT), in.text("replyTo", 0, Rule.OPTIONAL, Rule.LENIENT), Body.read(kind, in));
    }

    /**
     * The message for an encoder, with its keys in the order in which Node.js writes them.
     *
     * @throws InvalidMessage if no other node would understand it.
     */
    public Map<String, Object> toMap() {
        Output out = new Output("");
        if (body == null) {
            throw new InvalidMessage("not a message: it has no body");
        }
        out.put("type", body.kind());
        Map<String, Object> data = body.toMap("/data");
        if (data != null) {
            out.put("data", data);
        }
        out.text("session", session, false, null);
        out.text("heartbeats", heartbeats, false, "needed");
        out.text("binary", binary, false, "packed");
        out.text("uid", uid, true, null);
        out.text("nsp", nsp, true, null);
        out.text("source", source, false, "_sio_adapter");
        out.text("requesterUid", requesterUid, false, null);
        out.text("nodeId", nodeId, false, null);
        out.text("nonce", nonce, false, null);
        out.text("replyTo", replyTo, false, null);
        return out.values();
    }

    /** What a message says. */
    public sealed interface Body {
        /** The number of the message's type. */
        long kind();

        /** Its data; null if it has none. */
        Map<String, Object> toMap(String place);

        private static Body read(long kind, Input in) {
            if (kind < 1 || kind > 13) {
                return new Unknown(kind, in.any("data", Rule.OPTIONAL));
            }
            return switch ((int) kind) {
                case 1 -> new InitialHeartbeat();
                case 2 -> new Heartbeat();
                case 3 -> Broadcast.read(in.object("data"));
                case 4 -> SocketsJoin.read(in.object("data"));
                case 5 -> SocketsLeave.read(in.object("data"));
                case 6 -> DisconnectSockets.read(in.object("data"));
                case 7 -> FetchSockets.read(in.object("data"));
                case 8 -> FetchSocketsResponse.read(in.object("data"));
                case 9 -> ServerSideEmit.read(in.object("data"));
                case 10 -> ServerSideEmitResponse.read(in.object("data"));
                case 11 -> BroadcastClientCount.read(in.object("data"));
                case 12 -> BroadcastAck.read(in.object("data"));
                case 13 -> new AdapterClose();
                default -> throw new IllegalStateException();
            };
        }
    }

    /** A message of a type that is not known here. Its node lives; ignore the rest. */
    public record Unknown(long kind, Object data) implements Body {
        @Override
        public Map<String, Object> toMap(String place) {
            throw new InvalidMessage("not a message: /type " + kind + " is unknown");
        }
    }

    /**
     * 1: INITIAL_HEARTBEAT. A node joins. It is sent once the node listens, and again when it listens again after it
     * was disconnected. Every other node answers with 2, HEARTBEAT.
     */
    public record InitialHeartbeat() implements Body {
        @Override
        public long kind() {
            return 1;
        }

        @Override
        public Map<String, Object> toMap(String place) {
            return null;
        }
    }

    /**
     * 2: HEARTBEAT. A node lives. It is sent after the heartbeat interval (5 s by default) in which the node
     * published nothing, and in answer to 1, INITIAL_HEARTBEAT. Nothing answers it.
     */
    public record Heartbeat() implements Body {
        @Override
        public long kind() {
            return 2;
        }

        @Override
        public Map<String, Object> toMap(String place) {
            return null;
        }
    }

    /**
     * 3: BROADCAST. An event for the selected sockets of every other node. With a `requestId` each of them answers
     * with one 11, BROADCAST_CLIENT_COUNT, and with a 12, BROADCAST_ACK, for each client that acknowledges. Without,
     * nothing answers it.
     *
     * @param packet The event.
     * @param requestId There when acknowledgements are wanted.
     * @param opts Which sockets it is for. The `timeout` flag says how long clients may take to acknowledge.
     */
    public record Broadcast(EventPacket packet, String requestId, Selector opts) implements Body {
        @Override
        public long kind() {
            return 3;
        }

        private static Broadcast read(Input in) {
            return new Broadcast(
                EventPacket.read(in.object("packet")),
                in.text("requestId", 256, Rule.OPTIONAL, Rule.NULL),
                Selector.read(in.object("opts")));
        }

        @Override
        public Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.object("packet", packet, EventPacket::toMap);
            out.text("requestId", requestId, false, null);
            out.object("opts", opts, Selector::toMap);
            return out.values();
        }
    }

    /**
     * 4: SOCKETS_JOIN. The selected sockets of the other nodes join rooms. Nothing answers it.
     *
     * @param opts Which sockets.
     * @param rooms The rooms to join, always an array.
     */
    public record SocketsJoin(Selector opts, List<Object> rooms) implements Body {
        @Override
        public long kind() {
            return 4;
        }

        private static SocketsJoin read(Input in) {
            return new SocketsJoin(
                Selector.read(in.object("opts")),
                in.list("rooms"));
        }

        @Override
        public Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.object("opts", opts, Selector::toMap);
            out.list("rooms", rooms);
            return out.values();
        }
    }

    /**
     * 5: SOCKETS_LEAVE. The selected sockets of the other nodes leave rooms. Nothing answers it.
     *
     * @param opts Which sockets.
     * @param rooms The rooms to leave, always an array.
     */
    public record SocketsLeave(Selector opts, List<Object> rooms) implements Body {
        @Override
        public long kind() {
            return 5;
        }

        private static SocketsLeave read(Input in) {
            return new SocketsLeave(
                Selector.read(in.object("opts")),
                in.list("rooms"));
        }

        @Override
        public Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.object("opts", opts, Selector::toMap);
            out.list("rooms", rooms);
            return out.values();
        }
    }

    /**
     * 6: DISCONNECT_SOCKETS. The selected sockets of the other nodes are disconnected. Nothing answers it.
     *
     * @param opts Which sockets.
     * @param close True: the whole connection is closed; false: only this namespace is left.
     */
    public record DisconnectSockets(Selector opts, boolean close) implements Body {
        @Override
        public long kind() {
            return 6;
        }

        private static DisconnectSockets read(Input in) {
            return new DisconnectSockets(
                Selector.read(in.object("opts")),
                in.bool("close", Rule.OPTIONAL));
        }

        @Override
        public Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.object("opts", opts, Selector::toMap);
            out.put("close", close);
            return out.values();
        }
    }

    /**
     * 7: FETCH_SOCKETS. Asks for the sockets that match. Every other node answers with one 8,
     * FETCH_SOCKETS_RESPONSE.
     *
     * @param opts Which sockets. The `timeout` flag tells how long the requester waits.
     * @param requestId To be repeated in the response.
     * @param only What the requester needs of the sockets, when it does not need descriptions.
     */
    public record FetchSockets(Selector opts, String requestId, String only) implements Body {
        @Override
        public long kind() {
            return 7;
        }

        private static FetchSockets read(Input in) {
            return new FetchSockets(
                Selector.read(in.object("opts")),
                in.text("requestId", 256),
                in.text("only", 0, Rule.OPTIONAL, Rule.LENIENT));
        }

        @Override
        public Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.object("opts", opts, Selector::toMap);
            out.text("requestId", requestId, true, null);
            out.text("only", only, false, null);
            return out.values();
        }
    }

    /**
     * 8: FETCH_SOCKETS_RESPONSE. The response of one node to 7, FETCH_SOCKETS. Sent also when no socket matches.
     *
     * @param requestId The request it answers.
     * @param sockets The sockets that match; none in an answer that has `count` or `ids`.
     * @param count The number of the sockets that match, instead of the sockets.
     * @param ids The ids of the sockets that match, instead of the sockets.
     */
    public record FetchSocketsResponse(String requestId, List<SocketDescription> sockets, Long count, List<String> ids) implements Body {
        @Override
        public long kind() {
            return 8;
        }

        private static FetchSocketsResponse read(Input in) {
            return new FetchSocketsResponse(
                in.text("requestId", 256, Rule.OPTIONAL, Rule.NULL),
                in.list("sockets", SocketDescription::read),
                in.whole("count", Rule.OPTIONAL, Rule.NULL),
                in.texts("ids", 256, Rule.OPTIONAL, Rule.NULL));
        }

        @Override
        public Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.text("requestId", requestId, true, null);
            out.list("sockets", sockets, SocketDescription::toMap);
            out.putIfAny("count", count);
            out.putIfAny("ids", ids);
            return out.values();
        }
    }

    /**
     * 9: SERVER_SIDE_EMIT. An event for the other servers. With a `requestId` each of them answers with one 10,
     * SERVER_SIDE_EMIT_RESPONSE, when its application acknowledges. Without, nothing answers it.
     *
     * @param requestId There when responses are wanted.
     * @param packet The event's name and its arguments, an array.
     */
    public record ServerSideEmit(String requestId, Object packet) implements Body {
        @Override
        public long kind() {
            return 9;
        }

        private static ServerSideEmit read(Input in) {
            return new ServerSideEmit(
                in.text("requestId", 256, Rule.OPTIONAL, Rule.NULL),
                in.any("packet"));
        }

        @Override
        public Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.text("requestId", requestId, false, null);
            out.any("packet", packet, true, 1);
            return out.values();
        }
    }

    /**
     * 10: SERVER_SIDE_EMIT_RESPONSE. The response of one server to 9, SERVER_SIDE_EMIT.
     *
     * @param requestId The request it answers.
     * @param packet The one value of the response, missing when it was empty.
     */
    public record ServerSideEmitResponse(String requestId, Object packet) implements Body {
        @Override
        public long kind() {
            return 10;
        }

        private static ServerSideEmitResponse read(Input in) {
            return new ServerSideEmitResponse(
                in.text("requestId", 256, Rule.OPTIONAL, Rule.NULL),
                in.any("packet", Rule.OPTIONAL));
        }

        @Override
        public Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.text("requestId", requestId, true, null);
            out.any("packet", packet, false, 0);
            return out.values();
        }
    }

    /**
     * 11: BROADCAST_CLIENT_COUNT. How many clients of one node got a 3, BROADCAST, that wants acknowledgements. Sent
     * exactly once by every node that got it, also when there are none.
     *
     * @param requestId The broadcast it answers.
     * @param clientCount The number of clients, 0 included.
     */
    public record BroadcastClientCount(String requestId, long clientCount) implements Body {
        @Override
        public long kind() {
            return 11;
        }

        private static BroadcastClientCount read(Input in) {
            return new BroadcastClientCount(
                in.text("requestId", 256, Rule.OPTIONAL, Rule.NULL),
                in.whole("clientCount"));
        }

        @Override
        public Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.text("requestId", requestId, true, null);
            out.whole("clientCount", clientCount, 0);
            return out.values();
        }
    }

    /**
     * 12: BROADCAST_ACK. The acknowledgement of one client to a 3, BROADCAST. It may overtake the 11,
     * BROADCAST_CLIENT_COUNT, of its own node.
     *
     * @param requestId The broadcast it answers.
     * @param packet The first argument of the acknowledgement, missing when there was none.
     */
    public record BroadcastAck(String requestId, Object packet) implements Body {
        @Override
        public long kind() {
            return 12;
        }

        private static BroadcastAck read(Input in) {
            return new BroadcastAck(
                in.text("requestId", 256, Rule.OPTIONAL, Rule.NULL),
                in.any("packet", Rule.OPTIONAL));
        }

        @Override
        public Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.text("requestId", requestId, true, null);
            out.any("packet", packet, false, 0);
            return out.values();
        }
    }

    /**
     * 13: ADAPTER_CLOSE. A node leaves in good order. The others forget it at once and wait for it no longer.
     * Nothing answers it.
     */
    public record AdapterClose() implements Body {
        @Override
        public long kind() {
            return 13;
        }

        @Override
        public Map<String, Object> toMap(String place) {
            return null;
        }
    }

    /**
     * A Socket.IO packet of type EVENT: `{"type":2,"data":[event, ...args]}`.
     *
     * @param type The packet's type. Only 2, EVENT, may be sent: clients disconnect on anything else.
     * @param data The event's name and its arguments, an array.
     * @param nsp Written by the emitter, but no reader uses it: the message's own `nsp` counts.
     */
    public record EventPacket(long type, Object data, String nsp) {
        private static EventPacket read(Input in) {
            return new EventPacket(
                java.util.Objects.requireNonNullElse(in.whole("type", Rule.OPTIONAL), 0L),
                in.any("data", Rule.OPTIONAL),
                in.text("nsp", 0, Rule.OPTIONAL, Rule.LENIENT));
        }

        Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.whole("type", type, 2);
            out.any("data", data, true, 1);
            out.text("nsp", nsp, false, null);
            return out.values();
        }
    }

    /**
     * The `opts` of a message: the sockets it selects, and flags.
     *
     * @param rooms Rooms whose sockets are selected.
     * @param except Rooms whose sockets are left out.
     * @param flags Flags. Node.js's emitter leaves the key out of messages 4, 5 and 6.
     */
    public record Selector(List<Object> rooms, List<Object> except, Object flags) {
        private static Selector read(Input in) {
            return new Selector(
                in.list("rooms", Rule.OPTIONAL, Rule.NULL),
                in.list("except", Rule.OPTIONAL, Rule.NULL),
                in.any("flags", Rule.OPTIONAL));
        }

        Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.list("rooms", rooms);
            out.list("except", except);
            out.any("flags", flags, false, 0);
            return out.values();
        }
    }

    /**
     * A socket, as its node describes it to the others.
     *
     * @param id The socket's id.
     * @param handshake How the client connected, see `Handshake`. Node.js always sends it and its applications rely
     * on it.
     * @param rooms The rooms it is in, its own id among them.
     * @param data What the application stored on the socket; `{}` when it stored nothing.
     */
    public record SocketDescription(String id, Object handshake, List<Object> rooms, Object data) {
        private static SocketDescription read(Input in) {
            return new SocketDescription(
                in.text("id", 256),
                in.any("handshake", Rule.OPTIONAL),
                in.list("rooms", Rule.OPTIONAL, Rule.NULL),
                in.any("data", Rule.OPTIONAL));
        }

        Map<String, Object> toMap(String place) {
            Output out = new Output(place);
            out.text("id", id, true, null);
            out.any("handshake", handshake, true, 0);
            out.list("rooms", rooms);
            out.any("data", data, false, 0);
            return out.values();
        }
    }

    /**
     * A header: which node sent what kind of message, and where it is.
     *
     * @param uid The sender.
     * @param type The type of the message: `type` on the wire.
     * @param nsp The namespace, where the sender names it.
     * @param attachmentId The row: `attachmentId` on the wire, its number as a decimal string.
     */
    public record NotificationHeader(String uid, Long type, String nsp, long attachmentId) {
        /**
         * Reads a header.
         *
         * @throws InvalidMessage if it is none.
         */
        public static NotificationHeader read(Object value) {
            Input in = Input.of(value);
            return new NotificationHeader(
                in.text("uid", 256, Rule.OPTIONAL, Rule.NULL),
                in.whole("type", Rule.OPTIONAL),
                in.text("nsp", 0, Rule.OPTIONAL, Rule.NULL),
                in.row("attachmentId"));
        }
    }
}
