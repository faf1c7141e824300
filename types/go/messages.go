// Code generated from protocol/schema by types/generate.py. DO NOT EDIT.

package messages

import "fmt"

// Message is a message from one node to all others of its namespace.
type Message struct {
	// The name of the session on which the node listens, and in which others can see that it lives. It is optional
	// to write and to read: a node that does not write it sends heartbeats, and gets them.
	Session *string
	// That the node has to hear heartbeats although it has a `session`. Missing: it has not.
	Heartbeats *string
	// That the node takes packed messages: binary in notifications. It is optional to write and to read: to a node
	// that does not write it, binary is sent as attachments.
	Binary *string
	// The sender.
	UID *string
	// The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop a message without
	// it. Node.js's emitter does not write it, so readers take it from the channel where it is missing.
	Nsp *string
	// Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore messages without it.
	// Adapters of Node.js outside such a cluster do not write it; other readers ignore it. Write it, so that every
	// node reads the message.
	Source *string
	// The node that sent the request. Only the workers of a Node.js cluster write it; other readers ignore it.
	RequesterUID *string
	// The primary process that passed the message on. Only the primary of a Node.js cluster writes it, and ignores
	// messages that have its own id; other readers ignore it.
	NodeID *string
	// Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal notifications of one
	// transaction into one. Only needed for messages that are published in a transaction of the application, and for
	// those that are also kept in a log; other readers ignore it.
	Nonce *string
	// Where the requester wants the responses, so that they do not go to all nodes: `<prefix>?` and 16 digits, a
	// channel on which only its process listens. It is optional to write and to read: a node that does not know it
	// responds on the channel of the namespace, and the requester listens on both.
	ReplyTo *string
	// Body is what the message says.
	Body Body
}

// New is a message that every node hears, also the workers of a Node.js cluster.
func New(uid, nsp string, body Body) *Message {
	source := "_sio_adapter"
	return &Message{UID: &uid, Nsp: &nsp, Source: &source, Body: body}
}

// Read reads a message. Keys that it does not know are ignored.
func Read(value any) (*Message, error) {
	in, err := read(value)
	if err != nil {
		return nil, err
	}
	message := &Message{
		Session:      in.text("session", rule{optional: true, lenient: true}),
		Heartbeats:   in.text("heartbeats", rule{optional: true, lenient: true}),
		Binary:       in.text("binary", rule{optional: true, lenient: true}),
		UID:          in.text("uid", rule{optional: true, null: true, limit: 256}),
		Nsp:          in.text("nsp", rule{optional: true, null: true}),
		Source:       in.text("source", rule{optional: true, lenient: true}),
		RequesterUID: in.text("requesterUid", rule{optional: true, lenient: true, limit: 256}),
		NodeID:       in.text("nodeId", rule{optional: true, lenient: true, limit: 256}),
		Nonce:        in.text("nonce", rule{optional: true, lenient: true, limit: 256}),
		ReplyTo:      in.text("replyTo", rule{optional: true, lenient: true}),
	}
	kind := in.whole("type", rule{})
	if *in.err != nil {
		return nil, fmt.Errorf("not a message: %w", *in.err)
	}
	switch *kind {
	case 1:
		message.Body = &InitialHeartbeat{}
	case 2:
		message.Body = &Heartbeat{}
	case 3:
		message.Body = readBroadcast(in.object("data", rule{}))
	case 4:
		message.Body = readSocketsJoin(in.object("data", rule{}))
	case 5:
		message.Body = readSocketsLeave(in.object("data", rule{}))
	case 6:
		message.Body = readDisconnectSockets(in.object("data", rule{}))
	case 7:
		message.Body = readFetchSockets(in.object("data", rule{}))
	case 8:
		message.Body = readFetchSocketsResponse(in.object("data", rule{}))
	case 9:
		message.Body = readServerSideEmit(in.object("data", rule{}))
	case 10:
		message.Body = readServerSideEmitResponse(in.object("data", rule{}))
	case 11:
		message.Body = readBroadcastClientCount(in.object("data", rule{}))
	case 12:
		message.Body = readBroadcastAck(in.object("data", rule{}))
	case 13:
		message.Body = &AdapterClose{}
	default:
		message.Body = &Unknown{Type: *kind, Data: in.any("data", rule{optional: true})}
	}
	if *in.err != nil {
		return nil, fmt.Errorf("not a message: %w", *in.err)
	}
	return message, nil
}

// Map is the message for an encoder. It is an error if no other node would understand it.
func (message *Message) Map() (map[string]any, error) {
	out := &output{values: map[string]any{}}
	if message.Body == nil {
		return nil, fmt.Errorf("not a message: it has no body")
	}
	out.put("type", message.Body.Kind())
	data, err := message.Body.write()
	if err != nil {
		return nil, fmt.Errorf("not a message: data/%w", err)
	}
	if data != nil {
		out.put("data", data.values)
	}
	out.text("session", message.Session, false, "")
	out.text("heartbeats", message.Heartbeats, false, "needed")
	out.text("binary", message.Binary, false, "packed")
	out.text("uid", message.UID, true, "")
	out.text("nsp", message.Nsp, true, "")
	out.text("source", message.Source, false, "_sio_adapter")
	out.text("requesterUid", message.RequesterUID, false, "")
	out.text("nodeId", message.NodeID, false, "")
	out.text("nonce", message.Nonce, false, "")
	out.text("replyTo", message.ReplyTo, false, "")
	if out.err != nil {
		return nil, fmt.Errorf("not a message: %w", out.err)
	}
	return out.values, nil
}

// InitialHeartbeat is 1: INITIAL_HEARTBEAT. A node joins. It is sent once the node listens, and again when it
// listens again after it was disconnected. Every other node answers with 2, HEARTBEAT.
type InitialHeartbeat struct{}

// Kind is 1.
func (*InitialHeartbeat) Kind() uint64 { return 1 }

func (object *InitialHeartbeat) write() (*output, error) {
	return nil, nil
}

// Heartbeat is 2: HEARTBEAT. A node lives. It is sent after the heartbeat interval (5 s by default) in which the
// node published nothing, and in answer to 1, INITIAL_HEARTBEAT. Nothing answers it.
type Heartbeat struct{}

// Kind is 2.
func (*Heartbeat) Kind() uint64 { return 2 }

func (object *Heartbeat) write() (*output, error) {
	return nil, nil
}

// Broadcast is 3: BROADCAST. An event for the selected sockets of every other node. With a `requestId` each of
// them answers with one 11, BROADCAST_CLIENT_COUNT, and with a 12, BROADCAST_ACK, for each client that
// acknowledges. Without, nothing answers it.
type Broadcast struct {
	// The event.
	Packet *EventPacket
	// There when acknowledgements are wanted.
	RequestID *string
	// Which sockets it is for. The `timeout` flag says how long clients may take to acknowledge.
	Opts *Selector
}

// Kind is 3.
func (*Broadcast) Kind() uint64 { return 3 }

func readBroadcast(in *input) *Broadcast {
	return &Broadcast{
		Packet:    readEventPacket(in.object("packet", rule{})),
		RequestID: in.text("requestId", rule{optional: true, null: true, limit: 256}),
		Opts:      readSelector(in.object("opts", rule{})),
	}
}

func (object *Broadcast) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.object("packet", object.Packet.output())
	out.text("requestId", object.RequestID, false, "")
	out.object("opts", object.Opts.output())
	return out
}

func (object *Broadcast) write() (*output, error) {
	out := object.output()
	return out, out.err
}

// SocketsJoin is 4: SOCKETS_JOIN. The selected sockets of the other nodes join rooms. Nothing answers it.
type SocketsJoin struct {
	// Which sockets.
	Opts *Selector
	// The rooms to join, always an array.
	Rooms []any
}

// Kind is 4.
func (*SocketsJoin) Kind() uint64 { return 4 }

func readSocketsJoin(in *input) *SocketsJoin {
	return &SocketsJoin{
		Opts:  readSelector(in.object("opts", rule{})),
		Rooms: in.list("rooms", rule{}),
	}
}

func (object *SocketsJoin) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.object("opts", object.Opts.output())
	out.list("rooms", object.Rooms)
	return out
}

func (object *SocketsJoin) write() (*output, error) {
	out := object.output()
	return out, out.err
}

// SocketsLeave is 5: SOCKETS_LEAVE. The selected sockets of the other nodes leave rooms. Nothing answers it.
type SocketsLeave struct {
	// Which sockets.
	Opts *Selector
	// The rooms to leave, always an array.
	Rooms []any
}

// Kind is 5.
func (*SocketsLeave) Kind() uint64 { return 5 }

func readSocketsLeave(in *input) *SocketsLeave {
	return &SocketsLeave{
		Opts:  readSelector(in.object("opts", rule{})),
		Rooms: in.list("rooms", rule{}),
	}
}

func (object *SocketsLeave) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.object("opts", object.Opts.output())
	out.list("rooms", object.Rooms)
	return out
}

func (object *SocketsLeave) write() (*output, error) {
	out := object.output()
	return out, out.err
}

// DisconnectSockets is 6: DISCONNECT_SOCKETS. The selected sockets of the other nodes are disconnected. Nothing
// answers it.
type DisconnectSockets struct {
	// Which sockets.
	Opts *Selector
	// True: the whole connection is closed; false: only this namespace is left.
	Close bool
}

// Kind is 6.
func (*DisconnectSockets) Kind() uint64 { return 6 }

func readDisconnectSockets(in *input) *DisconnectSockets {
	return &DisconnectSockets{
		Opts:  readSelector(in.object("opts", rule{})),
		Close: in.bool("close", rule{optional: true}),
	}
}

func (object *DisconnectSockets) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.object("opts", object.Opts.output())
	out.put("close", object.Close)
	return out
}

func (object *DisconnectSockets) write() (*output, error) {
	out := object.output()
	return out, out.err
}

// FetchSockets is 7: FETCH_SOCKETS. Asks for the sockets that match. Every other node answers with one 8,
// FETCH_SOCKETS_RESPONSE.
type FetchSockets struct {
	// Which sockets. The `timeout` flag tells how long the requester waits.
	Opts *Selector
	// To be repeated in the response.
	RequestID string
	// What the requester needs of the sockets, when it does not need descriptions.
	Only *string
}

// Kind is 7.
func (*FetchSockets) Kind() uint64 { return 7 }

func readFetchSockets(in *input) *FetchSockets {
	return &FetchSockets{
		Opts:      readSelector(in.object("opts", rule{})),
		RequestID: value(in.text("requestId", rule{limit: 256})),
		Only:      in.text("only", rule{optional: true, lenient: true}),
	}
}

func (object *FetchSockets) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.object("opts", object.Opts.output())
	out.text("requestId", &object.RequestID, true, "")
	out.text("only", object.Only, false, "")
	return out
}

func (object *FetchSockets) write() (*output, error) {
	out := object.output()
	return out, out.err
}

// FetchSocketsResponse is 8: FETCH_SOCKETS_RESPONSE. The response of one node to 7, FETCH_SOCKETS. Sent also
// when no socket matches.
type FetchSocketsResponse struct {
	// The request it answers.
	RequestID *string
	// The sockets that match; none in an answer that has `count` or `ids`.
	Sockets []*SocketDescription
	// The number of the sockets that match, instead of the sockets.
	Count *uint64
	// The ids of the sockets that match, instead of the sockets.
	Ids []string
}

// Kind is 8.
func (*FetchSocketsResponse) Kind() uint64 { return 8 }

func readFetchSocketsResponse(in *input) *FetchSocketsResponse {
	var sockets []*SocketDescription
	for at, value := range in.list("sockets", rule{}) {
		inner := in.inner(fmt.Sprintf("sockets/%d", at), value)
		sockets = append(sockets, readSocketDescription(inner))
	}
	return &FetchSocketsResponse{
		RequestID: in.text("requestId", rule{optional: true, null: true, limit: 256}),
		Sockets:   sockets,
		Count:     in.whole("count", rule{optional: true, null: true}),
		Ids:       in.texts("ids", rule{optional: true, null: true, limit: 256}),
	}
}

func (object *FetchSocketsResponse) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.text("requestId", object.RequestID, true, "")
	sockets := make([]*output, len(object.Sockets))
	for at, each := range object.Sockets {
		sockets[at] = each.output()
	}
	out.objects("sockets", sockets)
	out.wholeIfAny("count", object.Count)
	out.texts("ids", object.Ids)
	return out
}

func (object *FetchSocketsResponse) write() (*output, error) {
	out := object.output()
	return out, out.err
}

// ServerSideEmit is 9: SERVER_SIDE_EMIT. An event for the other servers. With a `requestId` each of them answers
// with one 10, SERVER_SIDE_EMIT_RESPONSE, when its application acknowledges. Without, nothing answers it.
type ServerSideEmit struct {
	// There when responses are wanted.
	RequestID *string
	// The event's name and its arguments, an array.
	Packet any
}

// Kind is 9.
func (*ServerSideEmit) Kind() uint64 { return 9 }

func readServerSideEmit(in *input) *ServerSideEmit {
	return &ServerSideEmit{
		RequestID: in.text("requestId", rule{optional: true, null: true, limit: 256}),
		Packet:    value(in.any("packet", rule{})),
	}
}

func (object *ServerSideEmit) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.text("requestId", object.RequestID, false, "")
	out.any("packet", &object.Packet, true, 1)
	return out
}

func (object *ServerSideEmit) write() (*output, error) {
	out := object.output()
	return out, out.err
}

// ServerSideEmitResponse is 10: SERVER_SIDE_EMIT_RESPONSE. The response of one server to 9, SERVER_SIDE_EMIT.
type ServerSideEmitResponse struct {
	// The request it answers.
	RequestID *string
	// The one value of the response, missing when it was empty.
	Packet *any
}

// Kind is 10.
func (*ServerSideEmitResponse) Kind() uint64 { return 10 }

func readServerSideEmitResponse(in *input) *ServerSideEmitResponse {
	return &ServerSideEmitResponse{
		RequestID: in.text("requestId", rule{optional: true, null: true, limit: 256}),
		Packet:    in.any("packet", rule{optional: true}),
	}
}

func (object *ServerSideEmitResponse) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.text("requestId", object.RequestID, true, "")
	out.any("packet", object.Packet, false, 0)
	return out
}

func (object *ServerSideEmitResponse) write() (*output, error) {
	out := object.output()
	return out, out.err
}

// BroadcastClientCount is 11: BROADCAST_CLIENT_COUNT. How many clients of one node got a 3, BROADCAST, that
// wants acknowledgements. Sent exactly once by every node that got it, also when there are none.
type BroadcastClientCount struct {
	// The broadcast it answers.
	RequestID *string
	// The number of clients, 0 included.
	ClientCount uint64
}

// Kind is 11.
func (*BroadcastClientCount) Kind() uint64 { return 11 }

func readBroadcastClientCount(in *input) *BroadcastClientCount {
	return &BroadcastClientCount{
		RequestID:   in.text("requestId", rule{optional: true, null: true, limit: 256}),
		ClientCount: value(in.whole("clientCount", rule{})),
	}
}

func (object *BroadcastClientCount) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.text("requestId", object.RequestID, true, "")
	out.whole("clientCount", object.ClientCount, 0)
	return out
}

func (object *BroadcastClientCount) write() (*output, error) {
	out := object.output()
	return out, out.err
}

// BroadcastAck is 12: BROADCAST_ACK. The acknowledgement of one client to a 3, BROADCAST. It may overtake the
// 11, BROADCAST_CLIENT_COUNT, of its own node.
type BroadcastAck struct {
	// The broadcast it answers.
	RequestID *string
	// The first argument of the acknowledgement, missing when there was none.
	Packet *any
}

// Kind is 12.
func (*BroadcastAck) Kind() uint64 { return 12 }

func readBroadcastAck(in *input) *BroadcastAck {
	return &BroadcastAck{
		RequestID: in.text("requestId", rule{optional: true, null: true, limit: 256}),
		Packet:    in.any("packet", rule{optional: true}),
	}
}

func (object *BroadcastAck) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.text("requestId", object.RequestID, true, "")
	out.any("packet", object.Packet, false, 0)
	return out
}

func (object *BroadcastAck) write() (*output, error) {
	out := object.output()
	return out, out.err
}

// AdapterClose is 13: ADAPTER_CLOSE. A node leaves in good order. The others forget it at once and wait for it
// no longer. Nothing answers it.
type AdapterClose struct{}

// Kind is 13.
func (*AdapterClose) Kind() uint64 { return 13 }

func (object *AdapterClose) write() (*output, error) {
	return nil, nil
}

// EventPacket is a Socket.IO packet of type EVENT: `{"type":2,"data":[event, ...args]}`.
type EventPacket struct {
	// The packet's type. Only 2, EVENT, may be sent: clients disconnect on anything else.
	Type uint64
	// The event's name and its arguments, an array.
	Data any
	// Written by the emitter, but no reader uses it: the message's own `nsp` counts.
	Nsp *string
}

func readEventPacket(in *input) *EventPacket {
	return &EventPacket{
		Type: value(in.whole("type", rule{optional: true})),
		Data: value(in.any("data", rule{optional: true})),
		Nsp:  in.text("nsp", rule{optional: true, lenient: true}),
	}
}

func (object *EventPacket) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.whole("type", object.Type, 2)
	out.any("data", &object.Data, true, 1)
	out.text("nsp", object.Nsp, false, "")
	return out
}

// Selector is the `opts` of a message: the sockets it selects, and flags.
type Selector struct {
	// Rooms whose sockets are selected.
	Rooms []any
	// Rooms whose sockets are left out.
	Except []any
	// Flags. Node.js's emitter leaves the key out of messages 4, 5 and 6.
	Flags *any
}

func readSelector(in *input) *Selector {
	return &Selector{
		Rooms:  in.list("rooms", rule{optional: true, null: true}),
		Except: in.list("except", rule{optional: true, null: true}),
		Flags:  in.any("flags", rule{optional: true}),
	}
}

func (object *Selector) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.list("rooms", object.Rooms)
	out.list("except", object.Except)
	out.any("flags", object.Flags, false, 0)
	return out
}

// SocketDescription is a socket, as its node describes it to the others.
type SocketDescription struct {
	// The socket's id.
	ID string
	// How the client connected, see `Handshake`. Node.js always sends it and its applications rely on it.
	Handshake *any
	// The rooms it is in, its own id among them.
	Rooms []any
	// What the application stored on the socket; `{}` when it stored nothing.
	Data *any
}

func readSocketDescription(in *input) *SocketDescription {
	return &SocketDescription{
		ID:        value(in.text("id", rule{limit: 256})),
		Handshake: in.any("handshake", rule{optional: true}),
		Rooms:     in.list("rooms", rule{optional: true, null: true}),
		Data:      in.any("data", rule{optional: true}),
	}
}

func (object *SocketDescription) output() *output {
	out := &output{values: map[string]any{}}
	if object == nil {
		out.err = errMissing
		return out
	}
	out.text("id", &object.ID, true, "")
	out.any("handshake", object.Handshake, true, 0)
	out.list("rooms", object.Rooms)
	out.any("data", object.Data, false, 0)
	return out
}

// NotificationHeader is a header: which node sent what kind of message, and where it is.
type NotificationHeader struct {
	// The sender.
	UID *string
	// The type of the message: `type` on the wire.
	Type *uint64
	// The namespace, where the sender names it.
	Nsp *string
	// The row: `attachmentId` on the wire, its number as a decimal string.
	AttachmentID int64
}

// ReadNotificationHeader reads a header.
func ReadNotificationHeader(value any) (*NotificationHeader, error) {
	in, err := read(value)
	if err != nil {
		return nil, err
	}
	header := &NotificationHeader{
		UID:          in.text("uid", rule{optional: true, null: true, limit: 256}),
		Type:         in.whole("type", rule{optional: true}),
		Nsp:          in.text("nsp", rule{optional: true, null: true}),
		AttachmentID: in.row("attachmentId", rule{}),
	}
	if *in.err != nil {
		return nil, fmt.Errorf("not a header: %w", *in.err)
	}
	return header, nil
}
