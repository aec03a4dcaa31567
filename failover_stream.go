package aigateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/aigateway-go/aigateway/internal/relay"
)

const (
	// finishGrace is how long a stream may be silent after a finish reason
	// before it counts as ended: some servers never send [DONE].
	finishGrace = 2 * time.Second
	// drainGrace is how long the end of the body is waited for after the last
	// event, so that the connection can be used again.
	drainGrace = 50 * time.Millisecond
)

// errFinished and errDrained end the reading of a stream that has said all.
var (
	errFinished = errors.New("silent after its finish reason")
	errDrained  = errors.New("ended")
)

// holdStream holds an event stream until its first content, or until it is whole.
func (h *held) holdStream(ctx context.Context) *failure {
	h.body = &watchedBody{body: h.resp.Body, w: h.limit, limit: h.a.model.provider.timeout}
	h.stream = relay.NewStream(h.body, relay.Options{
		Dialect:  h.surface.stream,
		Encoding: h.resp.Header.Get("Content-Encoding"),
		Tap:      h.meterEvent,
		Choices:  h.choices,
		Progress: func(p relay.Phase) { h.body.progress(p, h.stream.Said(), h.stream.AllFinished()) },
	})
	if err := h.stream.Hold(); err != nil {
		return h.streamBroke(ctx, err)
	}
	h.a.firstToken = time.Since(h.a.start)
	h.limit.disarm()
	h.body.each = true
	if h.s.holdWhole {
		h.body.deadline, h.body.total = h.deadline, h.s.total
		if err := h.stream.HoldWhole(); err != nil && !finished(ctx, h.stream) {
			return h.streamBroke(ctx, err)
		}
		h.body.deadline = time.Time{}
	}
	return nil
}

// meterEvent meters an event of the stream.
func (h *held) meterEvent(data []byte) {
	h.meter.Event(data)
	if h.s.selector.usesEstimates {
		h.written.Event(data)
	}
}

// relayStream commits the stream and carries it to its end.
func (h *held) relayStream(ctx context.Context, w http.ResponseWriter) *failure {
	h.resp.Header.Del("Content-Length")
	h.commit(w)
	return h.ended(ctx, w, h.stream.Relay(w, func() error { return flush(w) }))
}

// finished reports whether a stream was ended by its silence after a finish
// reason. Half an event is not an end.
func finished(ctx context.Context, s *relay.Stream) bool {
	return s.Finished() && !s.InEvent() && errors.Is(context.Cause(ctx), errFinished)
}

// streamBroke is the failure of a stream that broke before it was committed.
func (h *held) streamBroke(ctx context.Context, err error) *failure {
	var event *relay.EventError
	switch {
	case errors.As(err, &event):
		return h.errorAnswer("the stream began with an error", event.Data)
	case errors.Is(err, relay.ErrCut), errors.Is(context.Cause(ctx), errFinished):
		return wrongAnswer("the stream ended before it was complete")
	}
	return h.interrupted(ctx, err)
}

// ended says whether a relayed answer reached its end. If it did not, an event
// tells the client, where an event may stand. The client must never believe that
// it has the whole answer.
func (h *held) ended(ctx context.Context, w http.ResponseWriter, err error) *failure {
	s := h.stream
	var write *relay.WriteError
	switch {
	case err == nil && s != nil && s.SawError(), s != nil && s.SawError() && errors.Is(err, relay.ErrCut):
		// The client has the upstream's own error event, which aborting could lose.
		return wrongAnswer("the upstream sent an error in its stream")
	case err == nil, s != nil && finished(ctx, s):
		return nil
	case errors.As(err, &write), h.in.ctx.Err() != nil:
		if s != nil && s.Finished() {
			return nil // it stopped reading where the model stopped writing
		}
		return clientGone()
	}
	var f *failure
	if errors.Is(err, relay.ErrCut) || errors.Is(context.Cause(ctx), errFinished) {
		f = wrongAnswer("the stream ended before it was complete")
	} else {
		f = h.interrupted(ctx, err)
	}
	f.abort = true
	if s != nil && s.AtBoundary() && !s.SawError() {
		e := errorf(CodeStreamBroken, "the upstream's stream broke off: %s", f.reason)
		e.Status = http.StatusBadGateway
		w.Write(errorEvent(h.in.surface, e, h.in.id)) //nolint:errcheck // the connection is aborted either way
		flush(w)                                      //nolint:errcheck // likewise
	}
	return f
}

// watchedBody arms the watch for each read of a committed answer. The time of a
// slow client then does not count against the upstream.
type watchedBody struct {
	body  io.Reader
	w     *watch
	limit time.Duration // per_request_timeout
	each  bool          // whether each read is bounded, or another limit is at work
	phase relay.Phase
	// said counts the events that said something, and silent is how long was waited
	// for the next one after a finish reason. What else comes, comments and pings,
	// does not count: a server that only keeps the connection alive has nothing
	// more to say. Unless all choices have finished, it may take as long as ever.
	said   int
	silent time.Duration
	all    bool
	// drainBy bounds all reads after the stream's end.
	drainBy time.Time
	// deadline bounds the reads of a stream that is held until it is whole, by
	// total_timeout. Zero once it is committed.
	deadline time.Time
	total    time.Duration
	silence  *timeoutError // made by the first read, for all of them
}

// progress notes how far the stream has come.
func (b *watchedBody) progress(p relay.Phase, said int, all bool) {
	if p != b.phase || said != b.said {
		b.phase, b.said, b.silent = p, said, 0
	}
	b.all = all
}

// Read reads under the limit that the phase of the stream sets.
func (b *watchedBody) Read(p []byte) (int, error) {
	if !b.each {
		return b.body.Read(p)
	}
	limit, cause := b.limit, error(nil)
	switch b.phase {
	case relay.Ended:
		if b.drainBy.IsZero() {
			b.drainBy = time.Now().Add(drainGrace)
		}
		limit, cause = time.Until(b.drainBy), errDrained
	case relay.Finished:
		grace := limit
		if b.all {
			grace = min(limit, finishGrace)
		}
		limit, cause = grace-b.silent, errFinished
	}
	if !b.deadline.IsZero() {
		if left := time.Until(b.deadline); left < limit {
			limit, cause = left, errTotal(b.total)
		}
	}
	if cause == nil {
		if b.silence == nil {
			b.silence = &timeoutError{"silent for per_request_timeout", limit}
		}
		cause = b.silence
	}
	b.w.arm(limit, cause)
	begin := time.Now()
	n, err := b.body.Read(p)
	b.w.disarm()
	b.silent += time.Since(begin)
	return n, err
}
