package standin

import (
	"fmt"
	"net/http"
	"strings"
)

// event is one server-sent event.
type event struct {
	name    string // empty in the chat format
	data    string
	content bool // a client shows it, and can say that it saw it
}

// stream sends the events. In a watched scenario, or one with a bad end, it goes on
// after each piece of content only when the client has seen it.
func (c *call) stream(events []event) {
	c.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	c.w.Header().Set("Cache-Control", "no-cache")
	watched := c.scenario != "" && c.scenario != "vendor" && c.scenario != "rich"
	if c.scenario == "errorfirst" {
		c.send(c.errorEvent())
		return
	}
	shown := 0
	for i := 0; i < len(events); i++ {
		e := events[i]
		c.send(e)
		if !e.content {
			continue
		}
		shown++
		if watched && !c.scene.await(c.r.Context(), func(s *scene) bool { return s.seen >= shown }) {
			return // the client has left, or does not get to see what was sent
		}
		if c.scenario == "endless" {
			i-- // the same piece again, until the client leaves
			continue
		}
		if shown < 2 {
			continue
		}
		switch c.scenario {
		case "errormid":
			c.send(c.errorEvent())
			return
		case "cut":
			panic(http.ErrAbortHandler)
		case "end":
			return
		}
	}
}

func (c *call) send(e event) {
	if e.name != "" {
		fmt.Fprintf(c.w, "event: %s\n", e.name)
	}
	fmt.Fprintf(c.w, "data: %s\n\n", strings.ReplaceAll(e.data, "$MODEL", c.model))
	http.NewResponseController(c.w).Flush() //nolint:errcheck // the client is gone
}
