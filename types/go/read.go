// Package messages has the messages between Socket.IO servers over PostgreSQL.
//
// Read takes what a JSON or MessagePack decoder returns: map[string]any, []any, string, bool, numbers, nil, and in
// application data also []byte and time.Time. Map returns the same, for an encoder. Parse and JSON do both for JSON.
package messages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Body is what a message says: one of the types in messages.go, or Unknown. A type switch tells which.
type Body interface {
	// Kind is the number of the message's type.
	Kind() uint64
	write() (*output, error)
}

// Unknown is a message of a type that this package does not know. Its node lives; ignore the rest.
type Unknown struct {
	Type uint64
	// Data is nil if there is none.
	Data *any
}

// Kind is the number of the message's type.
func (body *Unknown) Kind() uint64 { return body.Type }

func (body *Unknown) write() (*output, error) {
	return nil, fmt.Errorf("type %d is unknown: it is not known what may be written", body.Type)
}

// Parse reads a message from JSON.
func Parse(text []byte) (*Message, error) {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return Read(value)
}

// JSON writes the message as JSON.
func (message *Message) JSON() ([]byte, error) {
	values, err := message.Map()
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(values); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// rule says what is read of a key.
type rule struct {
	// Whether it may be missing, whether null counts as missing, and whether a value of another type does.
	optional, null, lenient bool
	// The most bytes of a text; 0: any number.
	limit int
}

// input is an object that is read, and the first thing that is wrong in it.
type input struct {
	values map[string]any
	place  string
	err    *error
}

func read(value any) (*input, error) {
	values, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("not a message: it is not an object, but %T", value)
	}
	var err error
	return &input{values, "", &err}, nil
}

func (in *input) fail(key, format string, arguments ...any) {
	if *in.err == nil {
		*in.err = fmt.Errorf("%s/%s %s", in.place, key, fmt.Sprintf(format, arguments...))
	}
}

// value finds a key. It reports one that must be there and is missing.
func (in *input) value(key string, rule rule) (any, bool) {
	value, ok := in.values[key]
	if ok && !(value == nil && (rule.null || rule.lenient)) {
		return value, true
	}
	if !ok && !rule.optional {
		in.fail(key, "is missing")
	}
	return nil, false
}

func (in *input) text(key string, rule rule) *string {
	value, ok := in.value(key, rule)
	if !ok {
		return nil
	}
	text, ok := value.(string)
	if !ok {
		if !rule.lenient {
			in.fail(key, "is not a string")
		}
		return nil
	}
	if rule.limit > 0 && len(text) > rule.limit {
		in.fail(key, "has more than %d bytes", rule.limit)
	}
	return &text
}

func (in *input) bool(key string, rule rule) bool {
	value, ok := in.value(key, rule)
	if !ok {
		return false
	}
	truth, ok := value.(bool)
	if !ok {
		in.fail(key, "is not a boolean")
	}
	return truth
}

func (in *input) whole(key string, rule rule) *uint64 {
	value, ok := in.value(key, rule)
	if !ok {
		return nil
	}
	number, ok := whole(value)
	if !ok || number < 0 {
		in.fail(key, "is not a whole number that is not negative")
		return nil
	}
	positive := uint64(number)
	return &positive
}

// row is the number of a row: a text or a number, with white space as PostgreSQL takes it.
func (in *input) row(key string, rule rule) int64 {
	value, ok := in.value(key, rule)
	if !ok {
		return 0
	}
	if text, ok := value.(string); ok {
		if number, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
			return number
		}
	} else if number, ok := whole(value); ok {
		return number
	}
	in.fail(key, "is not the number of a row")
	return 0
}

func (in *input) any(key string, rule rule) *any {
	value, ok := in.values[key]
	if !ok {
		if !rule.optional {
			in.fail(key, "is missing")
		}
		return nil
	}
	return &value
}

func (in *input) list(key string, rule rule) []any {
	value, ok := in.value(key, rule)
	if !ok {
		return nil
	}
	items, ok := value.([]any)
	if !ok {
		in.fail(key, "is not an array")
	}
	return items
}

// texts is nil if it is missing.
func (in *input) texts(key string, rule rule) []string {
	if _, ok := in.value(key, rule); !ok {
		return nil
	}
	texts := []string{}
	for at, item := range in.list(key, rule) {
		text, ok := item.(string)
		if !ok {
			in.fail(fmt.Sprintf("%s/%d", key, at), "is not a string")
		}
		if rule.limit > 0 && len(text) > rule.limit {
			in.fail(fmt.Sprintf("%s/%d", key, at), "has more than %d bytes", rule.limit)
		}
		texts = append(texts, text)
	}
	return texts
}

func (in *input) object(key string, rule rule) *input {
	value, ok := in.value(key, rule)
	if !ok {
		return &input{nil, in.place + "/" + key, in.err}
	}
	return in.inner(key, value)
}

func (in *input) inner(key string, value any) *input {
	values, ok := value.(map[string]any)
	if !ok {
		in.fail(key, "is not an object")
	}
	return &input{values, in.place + "/" + key, in.err}
}

// whole takes 3.0 for 3, as JavaScript does. Decoders return numbers of many types.
func whole(value any) (int64, bool) {
	switch number := value.(type) {
	case float64:
		return int64(number), number == math.Trunc(number) && math.Abs(number) <= 1<<53
	case float32:
		return whole(float64(number))
	case int:
		return int64(number), true
	case int8:
		return int64(number), true
	case int16:
		return int64(number), true
	case int32:
		return int64(number), true
	case int64:
		return number, true
	case uint:
		return whole(uint64(number))
	case uint8:
		return int64(number), true
	case uint16:
		return int64(number), true
	case uint32:
		return int64(number), true
	case uint64:
		return int64(number), number <= math.MaxInt64
	case json.Number:
		if integer, err := number.Int64(); err == nil {
			return integer, true
		}
		float, err := number.Float64()
		if err != nil {
			return 0, false
		}
		return whole(float)
	}
	return 0, false
}

var errMissing = errors.New("is missing")

// output is an object that is written, and the first thing that is wrong in it.
type output struct {
	values map[string]any
	err    error
}

func (out *output) put(key string, value any) { out.values[key] = value }

func (out *output) fail(key, what string) {
	if out.err == nil {
		out.err = fmt.Errorf("%s %s", key, what)
	}
}

func (out *output) text(key string, value *string, required bool, constant string) {
	switch {
	case value == nil && required:
		out.fail(key, "is missing: no other node would hear the message")
	case value != nil && constant != "" && *value != constant:
		out.fail(key, "must be "+constant)
	case value != nil:
		out.put(key, *value)
	}
}

func (out *output) whole(key string, value uint64, constant uint64) {
	if constant != 0 && value != constant {
		out.fail(key, fmt.Sprintf("must be %d", constant))
	}
	out.put(key, value)
}

func (out *output) wholeIfAny(key string, value *uint64) {
	if value != nil {
		out.put(key, *value)
	}
}

func (out *output) texts(key string, value []string) {
	if value != nil {
		out.put(key, value)
	}
}

// any writes a value that may be missing. With items it must be an array, of at least so many.
func (out *output) any(key string, value *any, required bool, items int) {
	if value == nil {
		if required {
			out.fail(key, "is missing")
		}
		return
	}
	if list, ok := (*value).([]any); items > 0 && (!ok || len(list) < items) {
		out.fail(key, fmt.Sprintf("must be an array of at least %d", items))
	}
	out.put(key, *value)
}

func (out *output) list(key string, items []any) {
	if items == nil {
		// Not null.
		items = []any{}
	}
	out.put(key, items)
}

func (out *output) object(key string, inner *output) {
	if inner.err != nil && out.err == nil {
		out.err = fmt.Errorf("%s/%w", key, inner.err)
	}
	out.put(key, inner.values)
}

func (out *output) objects(key string, inner []*output) {
	items := make([]any, len(inner))
	for at, each := range inner {
		if each.err != nil && out.err == nil {
			out.err = fmt.Errorf("%s/%d/%w", key, at, each.err)
		}
		items[at] = each.values
	}
	out.put(key, items)
}

// value is the value, or none if it is missing, which is then reported.
func value[T any](found *T) T {
	if found == nil {
		var none T
		return none
	}
	return *found
}
