package aigateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/apierror"
	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/stats"
)

const (
	// maxRetryAfter bounds the wait that an upstream may ask for. Above it, the
	// next key or candidate answers sooner.
	maxRetryAfter = 30 * time.Second
	// longestCooldown bounds every cooldown, whatever an answer says.
	longestCooldown = 10 * time.Minute
	// longestLease bounds how long a probe keeps others away.
	longestLease = 15 * time.Second
)

// DefaultFailoverPolicy is the policy of a gateway without one:
//
//   - A refusal for the prompt's content is relayed. It is not routed around.
//   - While MaxRetries allows, the same key is tried again after a 429 with a wait of at
//     most 30 s, after a 5xx without a longer wait, and after a connection that broke
//     before an answer. An upstream's x-should-retry: false forbids it.
//   - After 400, 413, 415, 422 and other 4xx about the request, the next candidate
//     follows, because another key would get the same answer. The same holds if the
//     request could not be made or sent.
//   - After any other failure, such as 401, 402, 403, 404, 408, 409, 429, and a 400 for the
//     encrypted reasoning of another organization, the next key follows, and then the next
//     candidate.
//
// A policy does not decide about cooldowns, which change the order of later
// requests. A candidate in cooldown is never refused. It is tried after all others,
// whatever the strategies chose. docs/failover.md has the rules; [TriedModel],
// [SkippedModel] and the field CooldownMS of [Attempt] show them at work.
func DefaultFailoverPolicy() FailoverPolicy { return defaultPolicy{} }

// defaultPolicy follows the failure table.
type defaultPolicy struct {
	refusalsFailOver bool // refusals: fail_over
}

// NextStep looks the failure up.
func (p defaultPolicy) NextStep(f Failure) Step {
	m := f.meaning()
	switch {
	case m.transient && !f.NoRetry && f.Retries < f.MaxRetries && f.RetryAfter <= maxRetryAfter && (!m.limit || f.RetryAfter >= 0):
		return StepRetry
	case p.refusalsFailOver && f.Cause == CauseRefusal:
		return StepNextCandidate
	}
	return m.step
}

// meaning is a row of the failure table: the next step, and whose fault the failure
// was. A row without a fault of the candidate or the key changes no health.
type meaning struct {
	step Step
	// transient is set if the same route may well answer the next time. It is not
	// set for a silent upstream or a stream cut while held: a request does not wait
	// twice for the same silence.
	transient bool
	// limit is set for limits: they are retried only if the answer says when.
	limit bool
	// class is for the metrics.
	class stats.Class
	// candidate says how the failure counts against the candidate. Nil: not at all.
	candidate *stats.Failure
	// key says how the key cools down. Nil: not at all.
	key *stats.Refusal
	// hint says where the operator should look. Nil: without a hint.
	hint func(a *attempt, f *failure) string
}

// The rules of cooldowns.
var (
	// inARow: five failures in a row cool a candidate down for 5 s. Each failed
	// probe doubles the time, up to 15 s.
	inARow = stats.Rules{Failures: 5, First: 5 * time.Second, Longest: 15 * time.Second}

	ofCandidate  = &stats.Failure{Rules: inARow}
	ofConnection = &stats.Failure{Rules: inARow, Unprovoked: true}
	ofEndpoint   = &stats.Failure{Rules: inARow, ThisSurface: true}

	// refused and limited: the key's cooldown if the answer does not name one.
	refused = stats.Backoff{First: time.Minute, Longest: 10 * time.Minute}
	limited = stats.Backoff{First: 5 * time.Second, Longest: time.Minute}

	ofKey       = &stats.Refusal{Breadth: stats.WholeKey, Backoff: refused, Most: longestCooldown}
	ofScope     = &stats.Refusal{Breadth: stats.ThisModelAndSurface, Backoff: refused, Most: longestCooldown, Callers: 2}
	ofForbidden = &stats.Refusal{Breadth: stats.ThisModel, Backoff: refused, Most: longestCooldown, Callers: 2}
	ofRate      = &stats.Refusal{Breadth: stats.ThisModel, Backoff: limited, Most: longestCooldown}
	ofQuota     = &stats.Refusal{Breadth: stats.WholeKey, Backoff: limited, Most: longestCooldown}
)

// failureTable is the only place with the consequences of a failure. It is never
// changed.
var failureTable = map[FailureCause]*meaning{
	CauseSecret:    {step: StepNextKey, class: stats.ClientFault},
	CauseRequest:   {step: StepNextCandidate, class: stats.ClientFault},
	CauseConnect:   {step: StepNextKey, class: stats.ServerFault, candidate: ofConnection, hint: hintConnect},
	CauseNetwork:   {step: StepNextKey, class: stats.ServerFault, candidate: ofCandidate, transient: true},
	CauseTimeout:   {step: StepNextKey, class: stats.TimedOut, candidate: ofCandidate, hint: hintTimeout},
	CauseAnswer:    {step: StepNextKey, class: stats.ServerFault, candidate: ofCandidate, hint: hintStray},
	CauseServer:    {step: StepNextKey, class: stats.ServerFault, candidate: ofCandidate, transient: true},
	CauseRedirect:  {step: StepNextKey, class: stats.ServerFault, candidate: ofCandidate, hint: hintRedirect},
	CauseDeadKey:   {step: StepNextKey, class: stats.ServerFault, key: ofKey, hint: hintCredential},
	CauseScope:     {step: StepNextKey, class: stats.ServerFault, key: ofScope, hint: hintCredential},
	CauseForbidden: {step: StepNextKey, class: stats.ServerFault, key: ofForbidden, hint: hintCredential},
	CauseRateLimit: {step: StepNextKey, class: stats.RateLimited, key: ofRate, transient: true, limit: true},
	CauseQuota:     {step: StepNextKey, class: stats.RateLimited, key: ofQuota, transient: true, limit: true},
	CauseModel:     {step: StepNextKey, class: stats.ServerFault, candidate: ofCandidate, hint: hintModel},
	CauseEndpoint:  {step: StepNextKey, class: stats.ServerFault, candidate: ofEndpoint, hint: hintAddress},
	CauseNotFound:  {step: StepNextKey, class: stats.ClientFault, hint: hintModel},
	CauseConflict:  {step: StepNextKey, class: stats.ClientFault},
	CauseTooLarge:  {step: StepNextCandidate, class: stats.ClientFault},
	CauseClient:    {step: StepNextCandidate, class: stats.ClientFault, hint: hintMethod},
	CauseRefusal:   {step: StepStop, class: stats.ClientFault},
}

// meaning looks a failure up in the table.
func (f Failure) meaning() *meaning {
	if m := failureTable[f.Cause]; m != nil {
		return m
	}
	return failureTable[causeOf(f.Kind, f.Status, apierror.Verdict{})]
}

// causeOf names the cause of a failure from its kind, its status, and the words of
// the upstream's error.
//
// A refusal comes before all else, as it may come under any status. Failures without an
// error answer have the cause of their kind. For an error status the words come before
// the number: a 400 can speak of a dead key, and a 403 of a rate limit. An error under 200
// has the cause of its words, and of the status that they stand for.
func causeOf(kind FailureKind, status int, v apierror.Verdict) FailureCause {
	if v.Kind == apierror.Refusal {
		return CauseRefusal
	}
	switch kind {
	case FailureSecret:
		return CauseSecret
	case FailureRequest:
		return CauseRequest
	case FailureConnect:
		return CauseConnect
	case FailureNetwork:
		return CauseNetwork
	case FailureTimeout:
		return CauseTimeout
	case FailureAnswer:
		// An error under status 200 speaks of the key, the model or the request like one
		// with a status. A server that had to begin its stream cannot do otherwise.
		switch cause := causeOfError(v.Status, v); cause {
		case CauseServer, CauseRedirect:
			return CauseAnswer
		default:
			return cause
		}
	}
	return causeOfError(status, v)
}

// causeOfError names the cause of an upstream's error from its status and its words.
// Zero is an error under status 200 that tells no status.
func causeOfError(status int, v apierror.Verdict) FailureCause {
	switch v.Kind {
	case apierror.TooLarge:
		return CauseTooLarge
	case apierror.MissingScope:
		return CauseScope
	case apierror.DeadKey:
		return CauseDeadKey
	case apierror.RateLimited:
		if v.WholeKey() {
			return CauseQuota
		}
		return CauseRateLimit
	case apierror.Denied:
		return CauseForbidden
	case apierror.UnknownModel:
		return CauseModel
	case apierror.NoEndpoint:
		return CauseEndpoint
	case apierror.NotFound:
		return CauseNotFound
	case apierror.OtherKey:
		return CauseConflict
	case apierror.ServerFault:
		return CauseServer
	case apierror.BadRequest:
		return CauseClient
	}
	return causeOfStatus(status)
}

// causeOfStatus names the cause of an error status without telling words.
func causeOfStatus(status int) FailureCause {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired:
		return CauseDeadKey
	case http.StatusForbidden:
		return CauseForbidden
	case http.StatusNotFound:
		return CauseNotFound
	case http.StatusRequestTimeout, http.StatusConflict:
		return CauseConflict
	case http.StatusRequestEntityTooLarge:
		return CauseTooLarge
	case http.StatusTooManyRequests:
		return CauseRateLimit
	case http.StatusNotImplemented:
		return CauseEndpoint
	case http.StatusFailedDependency, 499:
		return CauseServer // of an inference server or a relay: the model process failed
	}
	switch status / 100 {
	case 4:
		return CauseClient
	case 5, 6, 7, 8, 9:
		return CauseServer
	}
	return CauseRedirect
}

// retractable reports whether two failures are in one row of docs/failover.md's
// table. If every candidate failed so, the request was at fault and not the
// candidates.
func retractable(a, b FailureCause) bool {
	return failureTable[a].candidate != nil && failureTable[b].candidate != nil
}

// hint says where the operator should look after a failure. It is for logs and
// Results, and never for the client.
func hint(a *attempt, f *failure) string {
	if ask := f.meaning().hint; ask != nil {
		return ask(a, f)
	}
	return ""
}

// hintConnect looks for the usual causes of a failed connection: DNS, TLS, a proxy,
// a wrong port.
func hintConnect(a *attempt, f *failure) string {
	p := a.model.provider
	var (
		plain tls.RecordHeaderError
		cert  *tls.CertificateVerificationError
	)
	switch {
	case errors.As(f.cause, &plain):
		return fmt.Sprintf("%s does not speak TLS: give its address as http:// in %s", p.target.Host, addressField(p))
	case p.dialled && dial.Field(f.cause) != "":
		return p.network.Hint(f.cause)
	case errors.As(f.cause, &cert):
		return fmt.Sprintf("the certificate of %s must be for that name, and of an authority that this machine or Config.Transport trusts", p.target.Host)
	case p.hasTarget:
		return fmt.Sprintf("internal_endpoints says that %s is at %s: is the service running there?", p.base.Host, targetURL(p))
	case address.IsInternal(p.base.Hostname()):
		return fmt.Sprintf("%s was looked up as it is: if this network does not know the name, say under internal_endpoints where it is", p.base.Host)
	}
	return ""
}

// hintTimeout speaks of a model that is being loaded. That is a matter of one's own
// servers, under .internal.
func hintTimeout(a *attempt, _ *failure) string {
	if address.IsInternal(a.model.provider.base.Hostname()) && !a.committed {
		return "a model that is still being loaded may need longer: raise the timeout, or load it before the first request"
	}
	return ""
}

// hintRedirect is only for 3xx: the cause also holds statuses outside of HTTP's.
func hintRedirect(_ *attempt, f *failure) string {
	if f.Status/100 != 3 {
		return ""
	}
	return "redirects are not followed: set base_url to where it points"
}

// hintMethod takes 405 for a wrong address: the endpoints of the APIs take POST.
func hintMethod(a *attempt, f *failure) string {
	if f.Status == http.StatusMethodNotAllowed {
		return hintAddress(a, f)
	}
	return ""
}

// hintModel names the address and the name, as either may be wrong.
func hintModel(a *attempt, _ *failure) string {
	return fmt.Sprintf("asked at %s for model %q: check base_url, and that the provider has the model under this very name", a.url(), a.model.id)
}

// hintStray is for an answer that is not one of the API, such as a web page.
func hintStray(a *attempt, f *failure) string {
	if f.stray {
		return hintAddress(a, f)
	}
	return ""
}

// hintAddress names the address that was asked. A missing /v1 is the usual mistake.
func hintAddress(a *attempt, _ *failure) string {
	return fmt.Sprintf("asked at %s: check that base_url leads to the API, with its /v1 if it has one", a.url())
}

// hintCredential names the way in which the request was authenticated.
func hintCredential(a *attempt, _ *failure) string {
	switch {
	case a.key() == "" && len(a.model.provider.operatorAuth) > 0:
		return "the credential was the one under headers: check its value, and which header the provider wants"
	case a.key() == "":
		return "no key was sent: if the provider wants one, give it api_keys, or its own header under headers"
	}
	if looks, remedy := redact.Foreign(a.secret()); looks != "" {
		return fmt.Sprintf("the key %s looks like %s: %s", a.key(), looks, remedy)
	}
	return fmt.Sprintf("the key %s was sent as %s: see auth if the provider wants another header", a.key(), a.sentAs())
}

// timeoutError names the limit that ended an attempt.
type timeoutError struct {
	reason string
	limit  time.Duration
}

func (e *timeoutError) Error() string { return fmt.Sprintf("%s (%s)", e.reason, e.limit) }

// errTotal is the cause of a context that total_timeout ended.
func errTotal(limit time.Duration) error { return &timeoutError{"total_timeout", limit} }

// watch cancels an attempt's context when its time is up, with the limit as the
// cause. One timer serves for all limits: arming one replaces the other.
type watch struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	armed  bool // for the goroutine of the request

	mu    sync.Mutex // the timer's goroutine reads the cause
	cause error
}

// arm replaces the limit. The time counts from now.
func (w *watch) arm(d time.Duration, cause error) {
	w.mu.Lock()
	w.cause = cause
	w.mu.Unlock()
	w.armed = true
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.expire)
		return
	}
	w.timer.Reset(d)
}

// expire runs on the timer's goroutine.
func (w *watch) expire() {
	w.mu.Lock()
	cause := w.cause
	w.mu.Unlock()
	w.cancel(cause)
}

// disarm stops watching, until arm.
func (w *watch) disarm() {
	if w.armed {
		w.armed = false
		w.timer.Stop()
	}
}

// wrongAnswer is the failure of an answer under a success status.
func wrongAnswer(reason string) *failure {
	return &failure{Failure: Failure{Kind: FailureAnswer, Cause: CauseAnswer, RetryAfter: -1}, reason: reason}
}

// clientGone is the failure of an answer that the client does not read.
func clientGone() *failure {
	return &failure{
		Failure: Failure{Kind: FailureNetwork, Cause: CauseNetwork, RetryAfter: -1},
		reason:  "the client is gone", gone: true, abort: true,
	}
}

// interrupted is the failure of an attempt that ended with an error. It tells apart
// a timeout of the gateway, the client's departure, a failed connection, and other
// faults. ctx is the attempt's.
func interrupted(ctx context.Context, in *inbound, secrets *redact.Set, kind FailureKind, err error) *failure {
	f := &failure{Failure: Failure{Kind: kind, RetryAfter: -1}, cause: err}
	defer func() { f.Cause = causeOf(f.Kind, 0, apierror.Verdict{}) }()
	var timeout *timeoutError
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &timeout):
		f.Kind, f.reason = FailureTimeout, timeout.Error()
		return f
	case cause != nil && in.ctx.Err() != nil:
		if f.reason, f.gone = "the client is gone", true; kind == FailureTimeout {
			f.Kind = FailureNetwork // no limit was over
		}
		return f
	}
	switch {
	case kind != FailureNetwork:
	case dial.IsHeaderTooLong(err): // the client's doing
		f.Kind, f.reason = FailureRequest, "the request's header is longer than the provider takes"
		return f
	case dial.IsConnect(err):
		f.Kind = FailureConnect
	}
	f.reason = secrets.ScrubLine(networkReason(f.Kind, err), 200)
	if detail := secrets.ScrubLine(err.Error(), 400); !strings.Contains(f.reason, detail) {
		f.detail = detail
	}
	return f
}

// networkReason puts an error of the network into a few words. They are for the client
// too, so they hold no text of the error itself: that may name hosts, addresses, and the
// accounts of a service's own transport.
func networkReason(kind FailureKind, err error) string {
	var (
		refused *dial.RefusedError
		op      *net.OpError
		sent    *url.Error
	)
	switch {
	case errors.As(err, &refused):
		return "cannot connect: the URL policy does not allow its address"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case kind == FailureConnect:
		return strings.TrimSuffix("cannot connect: "+dial.Reason(err), ": ")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the answer was complete"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was reset"
	case kind == FailureNetwork:
		return "the request failed before its answer"
	case errors.As(err, &op), errors.As(err, &sent):
		return "the connection broke before the answer was complete"
	default:
		return err.Error() // of the answer's own form
	}
}

// judge classifies an upstream's error, and records code, cause and wait in the
// failure. The verdict is for the caller.
func (f *failure) judge(r apierror.Report, status int, h http.Header, a *attempt) apierror.Verdict {
	v := apierror.Classify(status, h, r)
	f.namesUsage = v.StreamOptions
	f.Code, f.Cause = a.secrets.ScrubText(cmp.Or(r.Code, r.Type)), causeOf(f.Kind, status, v)
	if wait, ok := apierror.Hint(h, r, time.Now()); ok {
		f.RetryAfter = wait
	}
	if should, known := apierror.ShouldRetry(h); known {
		f.NoRetry = !should
	}
	return v
}
