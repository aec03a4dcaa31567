package aigateway

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"

	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// maxStreamHabits bounds the (provider, model) pairs whose habit is remembered.
const maxStreamHabits = 1 << 14

// streamHabit says how a model sends usage in chat streams.
type streamHabit uint8

const (
	habitUnknown streamHabit = iota
	// habitAsk: usage comes only if it is asked for.
	habitAsk
	// habitUnasked: usage comes by itself.
	habitUnasked
	// habitRefuse: the model must not be asked. It refuses stream_options, or its
	// provider compresses the stream.
	habitRefuse
)

// streamHabits remembers the habit of each (provider, model). It belongs to a
// gateway and outlives its settings. Pairs beyond maxStreamHabits stay unknown.
type streamHabits struct {
	mu    sync.RWMutex
	known map[streamRoute]streamHabit
}

// streamRoute is a model at an address. An overlay with another address is another
// route.
type streamRoute struct{ host, path, model string }

func (m *model) streamRoute() streamRoute {
	return streamRoute{m.provider.base.Host, m.provider.base.Path, m.id}
}

func (h *streamHabits) of(m *model) streamHabit {
	if m.provider.sendsUsage {
		return habitUnasked
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if habit := h.known[m.streamRoute()]; habit != habitUnknown || !m.provider.known {
		return habit
	}
	return habitAsk
}

func (h *streamHabits) learn(m *model, habit streamHabit) {
	route := m.streamRoute()
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.known[route]; !ok && len(h.known) >= maxStreamHabits {
		return
	}
	if h.known == nil {
		h.known = map[streamRoute]streamHabit{}
	}
	h.known[route] = habit
}

// askForUsage asks for usage in a stream whose client did not. The stream is then
// relayed without it. A client that asks for it in a wrong way keeps its mistake.
func (o *outbound) askForUsage(e *edits) {
	o.usageAsk = usageUnasked
	if _, isJSON := o.in.body.(*reqbody.Document); !isJSON || !o.in.sel.Stream || !o.surface.usageOption {
		return
	}
	options, ok := withUsage(o.outgoing(*e, "stream_options"))
	switch {
	case !ok:
		o.usageAsk = usageForClient
	case o.s.askUsage && o.refuser != o.model && o.s.habits.of(o.model) == habitAsk && o.passes("stream_options"):
		e.set("stream_options", options)
		o.usageAsk = usageForGateway
	}
}

// usageAsk says who asks for usage in a stream.
type usageAsk uint8

const (
	usageUnasked    usageAsk = iota
	usageForClient           // the client or the config does, or has stream_options of its own kind
	usageForGateway          // the gateway does, and the client is not to see it
)

// passes reports whether a field may reach the model.
func (o *outbound) passes(name string) bool {
	a, _ := o.model.provider.speaks(o.surface)
	if a != nil && a.params != nil && !a.params[name] {
		return false
	}
	for _, denied := range o.model.denied {
		if denied == name {
			return false
		}
	}
	return true
}

// withUsage returns stream_options with include_usage, and all other options as they
// were. It is false if the options ask for usage already, or are not an object.
func withUsage(options []byte) ([]byte, bool) {
	options = bytes.TrimSpace(options)
	if len(options) == 0 || string(options) == "null" {
		return []byte(`{"include_usage":true}`), true
	}
	var given struct {
		IncludeUsage json.RawMessage `json:"include_usage"`
	}
	if options[0] != '{' || json.Unmarshal(options, &given) != nil || string(given.IncludeUsage) == "true" {
		return nil, false
	}
	var doc reqbody.Document
	if reqbody.Scan(options, &doc) != nil {
		return nil, false
	}
	body, err := doc.Splice([]reqbody.Edit{{Name: "include_usage", Value: []byte("true")}})
	if err != nil {
		return nil, false
	}
	return body.Bytes(), true
}

// learn notes the habit that a stream of nobody's asking shows. Without usage it
// shows one only at its end.
func (h *held) learn() {
	m := h.a.model
	if !h.surface.usageOption || h.usageAsk != usageUnasked || h.s.habits.of(m) != habitUnknown {
		return
	}
	switch {
	case h.meter.Tokens().Known:
		h.s.habits.learn(m, habitUnasked)
	case h.stream.Whole():
		h.s.habits.learn(m, habitAsk)
	}
}

// hidesUsage prepares a stream that the gateway asked for usage. A compressed one
// goes on decoded, and its model is not asked again: its users had compressed
// streams before.
func (h *held) hidesUsage() (hide, decode bool) {
	if h.usageAsk != usageForGateway {
		return false, false
	}
	encoding := h.resp.Header.Get("Content-Encoding")
	if encoding == "" || strings.EqualFold(encoding, "identity") {
		return true, false
	}
	h.s.habits.learn(h.a.model, habitRefuse)
	if !relay.CanDecode(encoding) {
		return false, false
	}
	h.resp.Header.Del("Content-Encoding")
	return true, true
}
