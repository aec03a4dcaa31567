package aigateway

import "sync"

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
