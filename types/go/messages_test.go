package messages

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The same values as the Rust crate: CASES has {"json","read"} in each line, a message, and whether it is read.
func TestCases(t *testing.T) {
	path := os.Getenv("CASES")
	if path == "" {
		t.Skip("CASES is not set: cargo test -p socketio-pg-tests --test language_types")
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	read, refused, written := 0, 0, 0
	for lines.Scan() {
		var sample struct {
			JSON          string
			Read, Written bool
		}
		if err := json.Unmarshal(lines.Bytes(), &sample); err != nil {
			t.Fatal(err)
		}
		message, err := Parse([]byte(sample.JSON))
		if sample.Read != (err == nil) {
			t.Fatalf("read: %v, %v: %.500s", sample.Read, err, sample.JSON)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "not ") {
				t.Fatal(err)
			}
			refused++
			continue
		}
		read++
		if !sample.Written {
			continue
		}
		text, err := message.JSON()
		if err != nil {
			t.Fatalf("%v: %.500s", err, sample.JSON)
		}
		if !reflect.DeepEqual(tree(t, text), tree(t, []byte(sample.JSON))) {
			t.Fatalf("%.500s became %.500s", sample.JSON, text)
		}
		written++
	}
	t.Logf("{\"read\":%d,\"refused\":%d,\"written\":%d}", read, refused, written)
}

func tree(t *testing.T, text []byte) (value any) {
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return
}

func TestAMessageThatNoNodeHearsIsNotWritten(t *testing.T) {
	uid, nsp := "8f42b1c09d5e7a36", "/"
	heartbeat := Message{UID: &uid, Nsp: &nsp, Body: &Heartbeat{}}
	if text, err := heartbeat.JSON(); err != nil || string(text) != `{"nsp":"/","type":2,"uid":"8f42b1c09d5e7a36"}` {
		t.Fatal(string(text), err)
	}
	source := "me"
	packet := &EventPacket{Type: 2, Data: []any{"hello"}}
	for expected, message := range map[string]Message{
		"nsp is missing":                   {UID: &uid, Body: &Heartbeat{}},
		"source must be _sio_adapter":      {UID: &uid, Nsp: &nsp, Source: &source, Body: &Heartbeat{}},
		"data/opts/is missing":             {UID: &uid, Nsp: &nsp, Body: &Broadcast{Packet: packet}},
		"data/packet/type must be 2":       {UID: &uid, Nsp: &nsp, Body: &Broadcast{Packet: &EventPacket{Data: []any{"e"}}, Opts: &Selector{}}},
		"data/packet must be an array of ": {UID: &uid, Nsp: &nsp, Body: &ServerSideEmit{Packet: "e"}},
		"data/type 99 is unknown":          {UID: &uid, Nsp: &nsp, Body: &Unknown{Type: 99}},
		"it has no body":                   {UID: &uid, Nsp: &nsp},
	} {
		if _, err := message.Map(); err == nil || !strings.Contains(err.Error(), expected) {
			t.Fatalf("%v: %v", expected, err)
		}
	}
}

func TestNullIsAValueOfTheApplication(t *testing.T) {
	uid, nsp, request := "a", "/", "r"
	var null any
	for expected, packet := range map[string]*any{
		`{"data":{"requestId":"r"},"nsp":"/","type":10,"uid":"a"}`:               nil,
		`{"data":{"packet":null,"requestId":"r"},"nsp":"/","type":10,"uid":"a"}`: &null,
	} {
		message := Message{UID: &uid, Nsp: &nsp, Body: &ServerSideEmitResponse{RequestID: &request, Packet: packet}}
		text, err := message.JSON()
		if err != nil || string(text) != expected {
			t.Fatal(string(text), err)
		}
		read, err := Parse(text)
		if err != nil || (read.Body.(*ServerSideEmitResponse).Packet == nil) != (packet == nil) {
			t.Fatal(read, err)
		}
	}
}

// As decoders of MessagePack return them.
func TestOtherValuesThanThoseOfJSONArePassedOn(t *testing.T) {
	event := []any{"picture", []byte{1, 2}, time.Unix(17, 0), int8(-1), uint64(1 << 60)}
	value := map[string]any{
		"type": int8(3), "uid": "a", "nsp": "/",
		"data": map[string]any{
			"packet": map[string]any{"type": uint64(2), "data": event},
			"opts":   map[string]any{"rooms": []any{}, "except": []any{}, "flags": map[string]any{}},
		},
	}
	message, err := Read(value)
	if err != nil {
		t.Fatal(err)
	}
	written, err := message.Map()
	if err != nil || !reflect.DeepEqual(written["data"].(map[string]any)["packet"].(map[string]any)["data"], any(event)) {
		t.Fatal(written, err)
	}
	for _, kind := range []any{1.5, -1, math.NaN(), math.Inf(1), 1e300, json.Number("x"), "3", nil, true} {
		value["type"] = kind
		if _, err := Read(value); err == nil {
			t.Fatal(kind)
		}
	}
}

func TestAHeaderIsRead(t *testing.T) {
	header, err := ReadNotificationHeader(map[string]any{"uid": "a", "type": 3, "attachmentId": " +17\n"})
	if err != nil || header.AttachmentID != 17 || *header.Type != 3 || header.Nsp != nil {
		t.Fatal(header, err)
	}
	for _, id := range []any{"x", "", 1.5, nil, true, "9223372036854775808"} {
		if _, err := ReadNotificationHeader(map[string]any{"uid": "a", "attachmentId": id}); err == nil {
			t.Fatal(id)
		}
	}
}
