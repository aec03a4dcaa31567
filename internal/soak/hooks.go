package main

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/aigateway-go/aigateway"
)

// hooks are those of a service that keeps what it is given, and that panics at times.
type hooks struct {
	s *soak

	mu   sync.Mutex
	kept [256]kept
	n    int
}

// kept is an argument of a hook, and its text when the hook got it.
type kept struct {
	value any
	text  string
}

// hooks returns the hooks of the gateway.
func (h *hooks) hooks() *aigateway.Hooks {
	return &aigateway.Hooks{
		RequestStart: func(ctx context.Context, r aigateway.ClientRequest) context.Context {
			h.keep(r)
			return ctx
		},
		AttemptStart: func(ctx context.Context, _ aigateway.Attempt) context.Context {
			if h.s.random.intN(200) == 0 {
				panic("a hook panics")
			}
			return ctx
		},
		AttemptDone: func(_ context.Context, a aigateway.Attempt) { h.keep(a) },
		RequestDone: func(_ context.Context, res *aigateway.Result) { h.keep(res) },
	}
}

// keep keeps a value in the place of an older one, which must still be as it was.
func (h *hooks) keep(v any) {
	text := h.text(v)
	h.mu.Lock()
	at := h.n % len(h.kept)
	older := h.kept[at]
	h.kept[at], h.n = kept{v, text}, h.n+1
	h.mu.Unlock()
	if older.value != nil && h.text(older.value) != older.text {
		h.s.fault("what a hook was given has changed: from %s to %s", older.text, h.text(older.value))
	}
}

func (h *hooks) text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		h.s.fault("what a hook was given is no JSON: %v", err)
	}
	return string(b)
}
