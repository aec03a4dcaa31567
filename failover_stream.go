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

// stream holds an event stream until its first content, or until it is whole,
// and relays it.
func (x *exchange) stream(ctx context.Context, w *watch, a *attemptRecord, resp *http.Response) (bool, *failure) {
	body := &watchedBody{body: resp.Body, w: w, limit: a.model.provider.timeout}
	var s *relay.Stream
	s = relay.NewStream(body, relay.Options{
		Dialect:  x.surface.stream,
		Encoding: resp.Header.Get("Content-Encoding"),
		Tap:      x.meterEvent,
		Choices:  x.choices,
		Progress: func(p relay.Phase) { body.progress(p, s.Said(), s.AllFinished()) },
	})
	defer s.Release()
	if err := s.Hold(); err != nil {
		return false, x.heldBroke(ctx, err)
	}
	a.firstToken = time.Since(a.start)
	a.turn.Answers()
	w.disarm()
	body.each = true
	if x.s.holdWhole {
		body.deadline, body.total = x.deadline, x.s.total
		if err := s.HoldWhole(); err != nil && !finished(ctx, s) {
			return false, x.heldBroke(ctx, err)
		}
		body.deadline = time.Time{}
	}
	resp.Header.Del("Content-Length")
	x.commit(a, resp)
	err := s.Relay(x.w, x.flush)
	return true, x.afterCommit(ctx, err, s)
}

// finished reports whether a stream was ended by its silence after a finish
// reason. In the midst of an event that is no end.
func finished(ctx context.Context, s *relay.Stream) bool {
	return s.Finished() && !s.InEvent() && errors.Is(context.Cause(ctx), errFinished)
}

// heldBroke is the failure of a stream that broke before it was committed.
func (x *exchange) heldBroke(ctx context.Context, err error) *failure {
	var event *relay.EventError
	switch {
	case errors.As(err, &event):
		code, message := upstreamError(event.Data)
		f := wrongAnswer("the stream began with an error" + x.quoted(given(message, code)))
		f.Code = string(x.scrub([]byte(code)))
		return f
	case errors.Is(err, relay.ErrCut), errors.Is(context.Cause(ctx), errFinished):
		return wrongAnswer("the stream ended before it was complete")
	}
	return x.broke(ctx, FailureAnswer, err)
}

// afterCommit says whether a relayed answer reached its end. Where it did not,
// the client is told by an event, if one may stand there, and must in any case
// not be left to believe that it has the whole answer.
func (x *exchange) afterCommit(ctx context.Context, err error, s *relay.Stream) *failure {
	var write *relay.WriteError
	switch {
	case err == nil && s != nil && s.SawError(), s != nil && s.SawError() && errors.Is(err, relay.ErrCut):
		// The client has the upstream's own word for it, which aborting could lose.
		return wrongAnswer("the upstream sent an error in its stream")
	case err == nil, s != nil && finished(ctx, s):
		return nil
	case errors.As(err, &write), x.ctx.Err() != nil:
		if s != nil && s.Finished() {
			return nil // it stopped reading where the model stopped writing
		}
		return x.clientGone()
	}
	var f *failure
	if errors.Is(err, relay.ErrCut) || errors.Is(context.Cause(ctx), errFinished) {
		f = wrongAnswer("the stream ended before it was complete")
	} else {
		f = x.broke(ctx, FailureAnswer, err)
	}
	x.abort = true
	if s != nil && s.AtBoundary() && !s.SawError() {
		e := errorf(CodeStreamBroken, "the upstream's stream broke off: %s", f.reason)
		e.Status = http.StatusBadGateway
		x.w.Write(errorEvent(x.surface, e, x.id)) //nolint:errcheck // the connection is aborted either way
		x.flush()                                 //nolint:errcheck // likewise
	}
	return f
}

// clientGone is the failure of an answer that nobody reads any more.
func (x *exchange) clientGone() *failure {
	x.abort = true
	return &failure{Failure: Failure{Kind: FailureNetwork, RetryAfter: -1}, reason: reasonClientGone}
}

// watchedBody arms the watch for each read of a committed answer, so that the
// time that a slow client takes to read does not count against the upstream.
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
