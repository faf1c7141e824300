// Generated from protocol/schema by types/generate.py: do not edit.
#pragma warning disable CS1591

using System;
using System.Collections.Generic;

namespace SocketIO.Postgres
{
    /// <summary>
    /// A message from one node to all others of its namespace.
    ///
    /// <see cref="Read"/> takes what a decoder of JSON or MessagePack returns: dictionaries, lists, strings, booleans,
    /// numbers, null, and in application data also byte arrays and dates. <see cref="ToDictionary"/> returns the same, for
    /// an encoder.
    /// </summary>
    public sealed class Message
    {
        /// <summary>The name of the session on which the node listens, and in which others can see that it lives. It is
        /// optional to write and to read: a node that does not write it sends heartbeats, and gets them.</summary>
        public string Session { get; set; }

        /// <summary>That the node has to hear heartbeats although it has a `session`. Missing: it has not.</summary>
        public string Heartbeats { get; set; }

        /// <summary>That the node takes packed messages: binary in notifications. It is optional to write and to read: to
        /// a node that does not write it, binary is sent as attachments.</summary>
        public string Binary { get; set; }

        /// <summary>The sender.</summary>
        public string Uid { get; set; }

        /// <summary>The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message
        /// without it. Node.js's emitter does not write it, so readers take it from the channel where it is
        /// missing.</summary>
        public string Nsp { get; set; }

        /// <summary>Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages
        /// without it. Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so
        /// that every node reads the message.</summary>
        public string Source { get; set; }

        /// <summary>The node that sent the request. Only the workers of a Node.js cluster write it; other readers ignore
        /// it.</summary>
        public string RequesterUid { get; set; }

        /// <summary>The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and
        /// ignores messages that have its own id; other readers ignore it.</summary>
        public string NodeId { get; set; }

        /// <summary>Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of
        /// one transaction into one. Only needed for messages that are published in a transaction of the application, and
        /// for those that are also kept in a log; other readers ignore it.</summary>
        public string Nonce { get; set; }

        /// <summary>Where the requester wants the responses, so that they do not go to all nodes: `&lt;prefix&gt;?` and
        /// 16 digits, a channel on which only its process listens. It is optional to write and to read: a node that does
        /// not know it responds on the channel of the namespace, and the requester listens on both.</summary>
        public string ReplyTo { get; set; }

        /// <summary>What the message says.</summary>
        public Body Body { get; set; }

        public Message() { }

        /// <summary>A message that every node hears, also the workers of a Node.js cluster.</summary>
        public Message(string uid, string nsp, Body body)
        {
            Uid = uid;
            Nsp = nsp;
            Source = "_sio_adapter";
            Body = body;
        }

        /// <summary>Reads a message. Keys that it does not know are ignored.</summary>
        /// <exception cref="InvalidMessageException">It is not a message. Report it, and go on with the next one.</exception>
        public static Message Read(object value)
        {
            var input = Input.Of(value);
            var kind = input.Whole("type").Value;
            return new Message
            {
                Session = input.Text("session", 0, Rule.Optional | Rule.Lenient),
                Heartbeats = input.Text("heartbeats", 0, Rule.Optional | Rule.Lenient),
                Binary = input.Text("binary", 0, Rule.Optional | Rule.Lenient),
                Uid = input.Text("uid", 256, Rule.Optional | Rule.Null),
                Nsp = input.Text("nsp", 0, Rule.Optional | Rule.Null),
                Source = input.Text("source", 0, Rule.Optional | Rule.Lenient),
                RequesterUid = input.Text("requesterUid", 256, Rule.Optional | Rule.Lenient),
                NodeId = input.Text("nodeId", 256, Rule.Optional | Rule.Lenient),
                Nonce = input.Text("nonce", 256, Rule.Optional | Rule.Lenient),
                ReplyTo = input.Text("replyTo", 0, Rule.Optional | Rule.Lenient),
                Body = Read(kind, input),
            };
        }

        /// <summary>The message for an encoder.</summary>
        /// <exception cref="InvalidMessageException">No other node would understand it.</exception>
        public Dictionary<string, object> ToDictionary()
        {
            if (Body == null) throw new InvalidMessageException("it has no body");
            var output = new Output("");
            output.Put("type", Body.Kind);
            var data = Body.ToDictionary("/data");
            if (data != null) output.Put("data", data);
            output.Text("session", Session, false, null);
            output.Text("heartbeats", Heartbeats, false, "needed");
            output.Text("binary", Binary, false, "packed");
            output.Text("uid", Uid, true, null);
            output.Text("nsp", Nsp, true, null);
            output.Text("source", Source, false, "_sio_adapter");
            output.Text("requesterUid", RequesterUid, false, null);
            output.Text("nodeId", NodeId, false, null);
            output.Text("nonce", Nonce, false, null);
            output.Text("replyTo", ReplyTo, false, null);
            return output.Values;
        }

        private static Body Read(long kind, Input input)
        {
            switch (kind)
            {
                case 1: return new InitialHeartbeat();
                case 2: return new Heartbeat();
                case 3: return Broadcast.Read(input.Object("data"));
                case 4: return SocketsJoin.Read(input.Object("data"));
                case 5: return SocketsLeave.Read(input.Object("data"));
                case 6: return DisconnectSockets.Read(input.Object("data"));
                case 7: return FetchSockets.Read(input.Object("data"));
                case 8: return FetchSocketsResponse.Read(input.Object("data"));
                case 9: return ServerSideEmit.Read(input.Object("data"));
                case 10: return ServerSideEmitResponse.Read(input.Object("data"));
                case 11: return BroadcastClientCount.Read(input.Object("data"));
                case 12: return BroadcastAck.Read(input.Object("data"));
                case 13: return new AdapterClose();
                default: return new Unknown(kind, input.Any("data", Rule.Optional));
            }
        }
    }

    /// <summary>What a message says: one of the types below, or <see cref="Unknown"/>.</summary>
    public abstract class Body
    {
        internal Body() { }

        /// <summary>The number of the message's type.</summary>
        public abstract long Kind { get; }

        internal abstract Dictionary<string, object> ToDictionary(string place);
    }

    /// <summary>A message of a type that is not known here. Its node lives; ignore the rest.</summary>
    public sealed class Unknown : Body
    {
        internal Unknown(long kind, object data)
        {
            Kind = kind;
            Data = data;
        }

        public override long Kind { get; }

        public object Data { get; }

        internal override Dictionary<string, object> ToDictionary(string place)
        {
            throw new InvalidMessageException("/type " + Kind + " is unknown");
        }
    }

    /// <summary>1: INITIAL_HEARTBEAT. A node joins. It is sent once the node listens, and again when it listens again
    /// after it was disconnected. Every other node answers with 2, HEARTBEAT.</summary>
    public sealed class InitialHeartbeat : Body
    {
        public override long Kind => 1;

        internal override Dictionary<string, object> ToDictionary(string place) => null;
    }

    /// <summary>2: HEARTBEAT. A node lives. It is sent after the heartbeat interval (5 s by default) in which the
    /// node published nothing, and in answer to 1, INITIAL_HEARTBEAT. Nothing answers it.</summary>
    public sealed class Heartbeat : Body
    {
        public override long Kind => 2;

        internal override Dictionary<string, object> ToDictionary(string place) => null;
    }

    /// <summary>3: BROADCAST. An event for the selected sockets of every other node. With a `requestId` each of them
    /// answers with one 11, BROADCAST_CLIENT_COUNT, and with a 12, BROADCAST_ACK, for each client that acknowledges.
    /// Without, nothing answers it.</summary>
    public sealed class Broadcast : Body
    {
        public override long Kind => 3;

        /// <summary>The event.</summary>
        public EventPacket Packet { get; set; }

        /// <summary>There when acknowledgements are wanted.</summary>
        public string RequestId { get; set; }

        /// <summary>Which sockets it is for. The `timeout` flag says how long clients may take to acknowledge.</summary>
        public Selector Opts { get; set; }

        internal static Broadcast Read(Input input) => new Broadcast
        {
            Packet = EventPacket.Read(input.Object("packet")),
            RequestId = input.Text("requestId", 256, Rule.Optional | Rule.Null),
            Opts = Selector.Read(input.Object("opts")),
        };

        internal override Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Object("packet", Packet, (each, at) => each.ToDictionary(at));
            output.Text("requestId", RequestId, false, null);
            output.Object("opts", Opts, (each, at) => each.ToDictionary(at));
            return output.Values;
        }
    }

    /// <summary>4: SOCKETS_JOIN. The selected sockets of the other nodes join rooms. Nothing answers it.</summary>
    public sealed class SocketsJoin : Body
    {
        public override long Kind => 4;

        /// <summary>Which sockets.</summary>
        public Selector Opts { get; set; }

        /// <summary>The rooms to join, always an array.</summary>
        public List<object> Rooms { get; set; } = new List<object>();

        internal static SocketsJoin Read(Input input) => new SocketsJoin
        {
            Opts = Selector.Read(input.Object("opts")),
            Rooms = input.List("rooms"),
        };

        internal override Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Object("opts", Opts, (each, at) => each.ToDictionary(at));
            output.List("rooms", Rooms);
            return output.Values;
        }
    }

    /// <summary>5: SOCKETS_LEAVE. The selected sockets of the other nodes leave rooms. Nothing answers it.</summary>
    public sealed class SocketsLeave : Body
    {
        public override long Kind => 5;

        /// <summary>Which sockets.</summary>
        public Selector Opts { get; set; }

        /// <summary>The rooms to leave, always an array.</summary>
        public List<object> Rooms { get; set; } = new List<object>();

        internal static SocketsLeave Read(Input input) => new SocketsLeave
        {
            Opts = Selector.Read(input.Object("opts")),
            Rooms = input.List("rooms"),
        };

        internal override Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Object("opts", Opts, (each, at) => each.ToDictionary(at));
            output.List("rooms", Rooms);
            return output.Values;
        }
    }

    /// <summary>6: DISCONNECT_SOCKETS. The selected sockets of the other nodes are disconnected. Nothing answers
    /// it.</summary>
    public sealed class DisconnectSockets : Body
    {
        public override long Kind => 6;

        /// <summary>Which sockets.</summary>
        public Selector Opts { get; set; }

        /// <summary>True: the whole connection is closed; false: only this namespace is left.</summary>
        public bool Close { get; set; }

        internal static DisconnectSockets Read(Input input) => new DisconnectSockets
        {
            Opts = Selector.Read(input.Object("opts")),
            Close = input.Bool("close", Rule.Optional),
        };

        internal override Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Object("opts", Opts, (each, at) => each.ToDictionary(at));
            output.Put("close", Close);
            return output.Values;
        }
    }

    /// <summary>7: FETCH_SOCKETS. Asks for the sockets that match. Every other node answers with one 8,
    /// FETCH_SOCKETS_RESPONSE.</summary>
    public sealed class FetchSockets : Body
    {
        public override long Kind => 7;

        /// <summary>Which sockets. The `timeout` flag tells how long the requester waits.</summary>
        public Selector Opts { get; set; }

        /// <summary>To be repeated in the response.</summary>
        public string RequestId { get; set; }

        /// <summary>What the requester needs of the sockets, when it does not need descriptions.</summary>
        public string Only { get; set; }

        internal static FetchSockets Read(Input input) => new FetchSockets
        {
            Opts = Selector.Read(input.Object("opts")),
            RequestId = input.Text("requestId", 256),
            Only = input.Text("only", 0, Rule.Optional | Rule.Lenient),
        };

        internal override Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Object("opts", Opts, (each, at) => each.ToDictionary(at));
            output.Text("requestId", RequestId, true, null);
            output.Text("only", Only, false, null);
            return output.Values;
        }
    }

    /// <summary>8: FETCH_SOCKETS_RESPONSE. The response of one node to 7, FETCH_SOCKETS. Sent also when no socket
    /// matches.</summary>
    public sealed class FetchSocketsResponse : Body
    {
        public override long Kind => 8;

        /// <summary>The request it answers.</summary>
        public string RequestId { get; set; }

        /// <summary>The sockets that match; none in an answer that has `count` or `ids`.</summary>
        public List<SocketDescription> Sockets { get; set; } = new List<SocketDescription>();

        /// <summary>The number of the sockets that match, instead of the sockets.</summary>
        public long? Count { get; set; }

        /// <summary>The ids of the sockets that match, instead of the sockets.</summary>
        public List<string> Ids { get; set; }

        internal static FetchSocketsResponse Read(Input input) => new FetchSocketsResponse
        {
            RequestId = input.Text("requestId", 256, Rule.Optional | Rule.Null),
            Sockets = input.List("sockets", SocketDescription.Read),
            Count = input.Whole("count", Rule.Optional | Rule.Null),
            Ids = input.Texts("ids", 256, Rule.Optional | Rule.Null),
        };

        internal override Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Text("requestId", RequestId, true, null);
            output.List("sockets", Sockets, (each, at) => each.ToDictionary(at));
            output.PutIfAny("count", Count);
            output.PutIfAny("ids", Ids);
            return output.Values;
        }
    }

    /// <summary>9: SERVER_SIDE_EMIT. An event for the other servers. With a `requestId` each of them answers with one
    /// 10, SERVER_SIDE_EMIT_RESPONSE, when its application acknowledges. Without, nothing answers it.</summary>
    public sealed class ServerSideEmit : Body
    {
        public override long Kind => 9;

        /// <summary>There when responses are wanted.</summary>
        public string RequestId { get; set; }

        /// <summary>The event's name and its arguments, an array.</summary>
        public object Packet { get; set; } = Absent.Value;

        internal static ServerSideEmit Read(Input input) => new ServerSideEmit
        {
            RequestId = input.Text("requestId", 256, Rule.Optional | Rule.Null),
            Packet = input.Any("packet"),
        };

        internal override Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Text("requestId", RequestId, false, null);
            output.Any("packet", Packet, true, 1);
            return output.Values;
        }
    }

    /// <summary>10: SERVER_SIDE_EMIT_RESPONSE. The response of one server to 9, SERVER_SIDE_EMIT.</summary>
    public sealed class ServerSideEmitResponse : Body
    {
        public override long Kind => 10;

        /// <summary>The request it answers.</summary>
        public string RequestId { get; set; }

        /// <summary>The one value of the response, missing when it was empty.</summary>
        public object Packet { get; set; } = Absent.Value;

        internal static ServerSideEmitResponse Read(Input input) => new ServerSideEmitResponse
        {
            RequestId = input.Text("requestId", 256, Rule.Optional | Rule.Null),
            Packet = input.Any("packet", Rule.Optional),
        };

        internal override Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Text("requestId", RequestId, true, null);
            output.Any("packet", Packet, false, 0);
            return output.Values;
        }
    }

    /// <summary>11: BROADCAST_CLIENT_COUNT. How many clients of one node got a 3, BROADCAST, that wants
    /// acknowledgements. Sent exactly once by every node that got it, also when there are none.</summary>
    public sealed class BroadcastClientCount : Body
    {
        public override long Kind => 11;

        /// <summary>The broadcast it answers.</summary>
        public string RequestId { get; set; }

        /// <summary>The number of clients, 0 included.</summary>
        public long ClientCount { get; set; }

        internal static BroadcastClientCount Read(Input input) => new BroadcastClientCount
        {
            RequestId = input.Text("requestId", 256, Rule.Optional | Rule.Null),
            ClientCount = input.Whole("clientCount").Value,
        };

        internal override Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Text("requestId", RequestId, true, null);
            output.Whole("clientCount", ClientCount, 0);
            return output.Values;
        }
    }

    /// <summary>12: BROADCAST_ACK. The acknowledgement of one client to a 3, BROADCAST. It may overtake the 11,
    /// BROADCAST_CLIENT_COUNT, of its own node.</summary>
    public sealed class BroadcastAck : Body
    {
        public override long Kind => 12;

        /// <summary>The broadcast it answers.</summary>
        public string RequestId { get; set; }

        /// <summary>The first argument of the acknowledgement, missing when there was none.</summary>
        public object Packet { get; set; } = Absent.Value;

        internal static BroadcastAck Read(Input input) => new BroadcastAck
        {
            RequestId = input.Text("requestId", 256, Rule.Optional | Rule.Null),
            Packet = input.Any("packet", Rule.Optional),
        };

        internal override Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Text("requestId", RequestId, true, null);
            output.Any("packet", Packet, false, 0);
            return output.Values;
        }
    }

    /// <summary>13: ADAPTER_CLOSE. A node leaves in good order. The others forget it at once and wait for it no
    /// longer. Nothing answers it.</summary>
    public sealed class AdapterClose : Body
    {
        public override long Kind => 13;

        internal override Dictionary<string, object> ToDictionary(string place) => null;
    }

    /// <summary>A Socket.IO packet of type EVENT: `{"type":2,"data":[event, ...args]}`.</summary>
    public sealed class EventPacket
    {
        /// <summary>The packet's type. Only 2, EVENT, may be sent: clients disconnect on anything else.</summary>
        public long Type { get; set; } = 2;

        /// <summary>The event's name and its arguments, an array.</summary>
        public object Data { get; set; } = Absent.Value;

        /// <summary>Written by the emitter, but no reader uses it: the message's own `nsp` counts.</summary>
        public string Nsp { get; set; }

        internal static EventPacket Read(Input input) => new EventPacket
        {
            Type = input.Whole("type", Rule.Optional).GetValueOrDefault(),
            Data = input.Any("data", Rule.Optional),
            Nsp = input.Text("nsp", 0, Rule.Optional | Rule.Lenient),
        };

        internal Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Whole("type", Type, 2);
            output.Any("data", Data, true, 1);
            output.Text("nsp", Nsp, false, null);
            return output.Values;
        }
    }

    /// <summary>The `opts` of a message: the sockets it selects, and flags.</summary>
    public sealed class Selector
    {
        /// <summary>Rooms whose sockets are selected.</summary>
        public List<object> Rooms { get; set; } = new List<object>();

        /// <summary>Rooms whose sockets are left out.</summary>
        public List<object> Except { get; set; } = new List<object>();

        /// <summary>Flags. Node.js's emitter leaves the key out of messages 4, 5 and 6.</summary>
        public object Flags { get; set; } = Absent.Value;

        internal static Selector Read(Input input) => new Selector
        {
            Rooms = input.List("rooms", Rule.Optional | Rule.Null),
            Except = input.List("except", Rule.Optional | Rule.Null),
            Flags = input.Any("flags", Rule.Optional),
        };

        internal Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.List("rooms", Rooms);
            output.List("except", Except);
            output.Any("flags", Flags, false, 0);
            return output.Values;
        }
    }

    /// <summary>A socket, as its node describes it to the others.</summary>
    public sealed class SocketDescription
    {
        /// <summary>The socket's id.</summary>
        public string Id { get; set; }

        /// <summary>How the client connected, see `Handshake`. Node.js always sends it and its applications rely on
        /// it.</summary>
        public object Handshake { get; set; } = Absent.Value;

        /// <summary>The rooms it is in, its own id among them.</summary>
        public List<object> Rooms { get; set; } = new List<object>();

        /// <summary>What the application stored on the socket; `{}` when it stored nothing.</summary>
        public object Data { get; set; } = Absent.Value;

        internal static SocketDescription Read(Input input) => new SocketDescription
        {
            Id = input.Text("id", 256),
            Handshake = input.Any("handshake", Rule.Optional),
            Rooms = input.List("rooms", Rule.Optional | Rule.Null),
            Data = input.Any("data", Rule.Optional),
        };

        internal Dictionary<string, object> ToDictionary(string place)
        {
            var output = new Output(place);
            output.Text("id", Id, true, null);
            output.Any("handshake", Handshake, true, 0);
            output.List("rooms", Rooms);
            output.Any("data", Data, false, 0);
            return output.Values;
        }
    }

    /// <summary>A header: which node sent what kind of message, and where it is.</summary>
    public sealed class NotificationHeader
    {
        /// <summary>The sender.</summary>
        public string Uid { get; set; }

        /// <summary>The type of the message: `type` on the wire.</summary>
        public long? Type { get; set; }

        /// <summary>The namespace, where the sender names it.</summary>
        public string Nsp { get; set; }

        /// <summary>The row: `attachmentId` on the wire, its number as a decimal string.</summary>
        public long AttachmentId { get; set; }

        /// <summary>Reads a header.</summary>
        /// <exception cref="InvalidMessageException">It is none.</exception>
        public static NotificationHeader Read(object value)
        {
            var input = Input.Of(value);
            return new NotificationHeader
            {
                Uid = input.Text("uid", 256, Rule.Optional | Rule.Null),
                Type = input.Whole("type", Rule.Optional),
                Nsp = input.Text("nsp", 0, Rule.Optional | Rule.Null),
                AttachmentId = input.Row("attachmentId"),
            };
        }
    }
}
