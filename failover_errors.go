package aigateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aigateway-go/aigateway/internal/apierror"
	"github.com/aigateway-go/aigateway/internal/dial"
)

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

	mu    sync.Mutex // the timer's goroutine reads the cause
	cause error
}

// arm replaces the limit. The time counts from now.
func (w *watch) arm(d time.Duration, cause error) {
	w.mu.Lock()
	w.cause = cause
	w.mu.Unlock()
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
	if w.timer != nil {
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
func interrupted(ctx context.Context, in *inbound, secrets *secretSet, kind FailureKind, err error) *failure {
	f := &failure{Failure: Failure{Kind: kind, RetryAfter: -1}, cause: err}
	defer func() { f.Cause = causeOf(f.Kind, 0, apierror.Verdict{}) }()
	var timeout *timeoutError
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &timeout):
		f.Kind, f.reason = FailureTimeout, timeout.Error()
		return f
	case cause != nil && in.ctx.Err() != nil:
		f.reason, f.gone = "the client is gone", true
		return f
	}
	if kind == FailureNetwork && dial.IsConnect(err) {
		f.Kind = FailureConnect
	}
	f.reason = secrets.scrubLine(networkReason(f.Kind, err), 200)
	if detail := secrets.scrubLine(err.Error(), 400); !strings.Contains(f.reason, detail) {
		f.detail = detail
	}
	return f
}

// networkReason puts an error of the network into a few words. It leaves out
// addresses: they are internal to the operator.
func networkReason(kind FailureKind, err error) string {
	var refused *dial.RefusedError
	switch {
	case errors.As(err, &refused):
		return "cannot connect: the URL policy does not allow its address"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case kind == FailureConnect:
		return "cannot connect: " + withoutAddress(err).Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the answer was complete"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was reset"
	default:
		return withoutAddress(err).Error()
	}
}

// withoutAddress returns the error inside an error of package net, without the
// address.
func withoutAddress(err error) error {
	var op *net.OpError
	for errors.As(err, &op) {
		err = op.Err
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return errors.New(dns.Err)
	}
	return err
}

// judge classifies an upstream's error, and records code, cause and wait in the
// failure.
func (f *failure) judge(r apierror.Report, status int, h http.Header, a *attempt) {
	v := apierror.Classify(status, h, r)
	f.namesUsage = v.StreamOptions
	f.Code, f.Cause = a.secrets.scrubText(cmp.Or(r.Code, r.Type)), causeOf(f.Kind, status, v)
	if wait, ok := apierror.Hint(h, r, time.Now()); ok {
		f.RetryAfter = wait
	}
	if should, known := apierror.ShouldRetry(h); known {
		f.NoRetry = !should
	}
}
