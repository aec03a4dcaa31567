package aigateway

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// maxErrorBody bounds the body of a failed answer that is kept for relaying, in
// bytes.
const maxErrorBody = 1 << 20

// call is one candidate with one key: its requests, its turn, and the answer.
type call struct {
	outbound
	deadline time.Time // total_timeout
	turn     stats.Turn
	keyTurn  stats.Turn
	held     held
}

// attempt sends the request once. It returns committed once a part of the answer
// has gone to the client; a failure then means that the answer broke on the way.
func (c *call) attempt(w http.ResponseWriter) (committed bool, f *failure) {
	a := c.trail.begin()
	c.held = held{}
	if c.key != nil {
		a.keyID = c.key.id
	}
	c.beginTurn(a)
	parent := c.in.ctx
	if hook := c.s.hooks.AttemptStart; hook != nil {
		if ctx := hook(parent, a.public()); ctx != nil {
			parent = ctx
		}
	}
	ctx, cancel := context.WithCancelCause(parent)
	limit := watch{cancel: cancel}
	defer func() {
		limit.disarm()
		cancel(nil)
		c.end(a, f)
		if hook := c.s.hooks.AttemptDone; hook != nil {
			hook(parent, a.public())
		}
	}()
	limit.arm(c.limit(a.start))

	var conn dial.Watch
	req, err := c.newRequest(conn.Context(ctx), a)
	if err != nil {
		if kind, ok := isRequestError(err); ok && ctx.Err() == nil {
			return false, notMade(kind, a.secrets.scrubText(err.Error()))
		}
		return false, interrupted(ctx, c.in, &a.secrets, FailureTimeout, err)
	}
	c.trail.send(a)
	c.model.track.Begin()
	if c.key != nil {
		c.key.track.Begin()
	}
	resp, err := c.s.transport.RoundTrip(req)
	if err != nil && ctx.Err() == nil && conn.Stale(err, a.sentAt) {
		c.trail.note("%s: sent once more, as the kept connection was closed", c.model.name())
		resp, err = c.s.transport.RoundTrip(dial.Again(req))
	}
	if err != nil {
		return false, interrupted(ctx, c.in, &a.secrets, FailureNetwork, err)
	}
	defer resp.Body.Close()
	a.firstByte = time.Since(a.start)
	a.status, a.header = resp.StatusCode, resp.Header
	if c.key != nil {
		c.key.allows(resp.Header, time.Now())
	}
	if resp.StatusCode/100 != 2 {
		return false, c.refused(ctx, a, resp)
	}
	c.held = held{
		s: c.s, in: c.in, surface: c.surface, choices: c.choices, deadline: c.deadline,
		a: a, resp: resp, limit: &limit,
	}
	defer c.held.release()
	if f := c.held.hold(ctx); f != nil {
		return false, f
	}
	c.turn.Answers()
	return true, c.held.relay(ctx, w)
}

// limit returns how long an attempt may take until it is committed, and the
// error that names this limit.
func (c *call) limit(start time.Time) (time.Duration, error) {
	limit, what := c.model.provider.timeout, "no answer within per_request_timeout"
	if c.in.sel.Stream && c.s.firstToken > 0 && c.s.firstToken < limit {
		limit, what = c.s.firstToken, "no first token within first_token_timeout"
	}
	if left := c.deadline.Sub(start); left < limit {
		return left, errTotal(c.s.total)
	}
	return limit, &timeoutError{what, limit}
}

// notMade is the failure of an attempt whose request could not be made. The
// detail is about the config and the secret store, and not for the client.
func notMade(kind FailureKind, detail string) *failure {
	f := &failure{Failure: Failure{Kind: kind, RetryAfter: -1}, detail: detail}
	if kind == FailureSecret {
		f.reason = "a secret could not be resolved"
	} else {
		f.reason = "its request could not be made from the config"
	}
	return f
}

// refused is the failure of an attempt that got an error status. Its answer is
// kept, to be relayed if nothing else answers.
func (c *call) refused(ctx context.Context, a *attempt, resp *http.Response) *failure {
	f := &failure{Failure: Failure{Kind: FailureStatus, Status: resp.StatusCode, RetryAfter: -1}}
	if after, ok := usage.RetryAfter(resp.Header, time.Now()); ok {
		f.RetryAfter = after
	}
	f.reason = strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
	switch resp.StatusCode / 100 {
	case 3:
		// To follow it would take the credentials along. Relayed, it would have
		// the client do so.
		f.reason += ": redirects are not followed; set base_url to where it points"
		return f
	case 4, 5, 6, 7, 8, 9:
	default:
		// After a 101 the connection does not carry HTTP any more: relayed, the
		// client would misread the rest of its connection. And a server cannot
		// send a status such as 042 on.
		return f
	}
	data, complete, err := relay.HoldBody(resp.Body, resp.ContentLength, maxErrorBody)
	if err != nil {
		broken := interrupted(ctx, c.in, &a.secrets, FailureNetwork, err)
		f.reason += "; " + broken.reason
		if broken.Kind == FailureTimeout {
			f.Kind = FailureTimeout
		}
		return f
	}
	plain, err := relay.Decode(data, resp.Header.Get("Content-Encoding"), maxErrorBody)
	if err != nil {
		plain = nil
	}
	var message string
	f.Code, message = upstreamError(plain)
	f.Code = a.secrets.scrubText(f.Code)
	f.reason += a.secrets.quoted(message)
	a.body = a.secrets.scrub(plain)
	if !complete {
		return f
	}
	f.answer = &upstreamAnswer{resp.StatusCode, a.secrets.scrubHeader(resp.Header), a.secrets.scrub(data)}
	switch {
	case err != nil && len(data) > 0 && len(a.secrets.used) > 0:
		// A key that it echoes could not be found here, but a client may well
		// decode it.
		e := errorf(CodeUpstreamError, "the provider's error came in an encoding that cannot be read here")
		e.Status = resp.StatusCode
		f.answer.body = errorBody(c.in.surface.format, e, c.in.id)
		f.answer.header.Set("Content-Type", "application/json")
		f.answer.header.Del("Content-Encoding")
	case !bytes.Equal(a.body, plain):
		// It echoes a key, perhaps behind a compression.
		f.answer.body = a.body
		f.answer.header.Del("Content-Encoding")
	}
	return f
}

// refreshed resolves the secrets of an attempt anew, and reports whether one of
// them has changed.
func (c *call) refreshed(ctx context.Context, a *attempt) bool {
	changed := false
	for _, u := range a.secrets.used {
		if u.name == "" {
			continue
		}
		value, err := c.s.secrets.Refresh(ctx, u.vault, u.name)
		if err == nil && value != u.value.Reveal() {
			changed = true
		}
	}
	return changed
}
