package aigateway

import (
	"context"
	"net/http"

	"github.com/aigateway-go/aigateway/internal/inprocess"
)

// Client returns a client with the gateway's [Gateway.RoundTripper], for the
// service's own calls and for SDKs. It has no timeout of its own.
func (g *Gateway) Client() *http.Client { return &http.Client{Transport: g.RoundTripper()} }

// RoundTripper returns a transport that sends requests through the gateway without a
// socket. Scheme and host of their URLs do not matter, because the path tells the
// endpoint.
//
// A call is like one over a socket in all but the network:
//
//   - Streams arrive event by event.
//   - A canceled request ends the upstream's, and so does closing the answer's body
//     early.
//   - An answer that breaks on the way ends in [io.ErrUnexpectedEOF], after the
//     error event of a stream.
//   - The gateway's refusals are answers with a status and an error body.
//
// A large body in memory, as [bytes.NewReader] makes it, is sent from there and not
// copied. As with [http.Transport], its bytes must stay as they are until the call fails
// or the answer's body is closed. Both wait for a hook or Admission that still runs.
//
// The values of a request's context reach Hooks, Admission, Caller, Labels and
// RequestID. A panic of these is logged, and breaks the call.
//
// The call's Result is in the context of the answer's request. It is there once the
// body was read to its end, or soon after the body was closed before:
//
//	res, ok := aigateway.ResultFromContext(resp.Request.Context())
//
// A context of [WithResult] has it too, for SDKs that hide their answers. If several
// calls share such a context, it has the latest.
//
// It is safe for concurrent use, and follows each [Gateway.Reload].
func (g *Gateway) RoundTripper() http.RoundTripper {
	return &inprocess.Transport{Handler: g, Context: withOwnResult, Panicked: g.panicked}
}

// ownResult is a context with a slot for the Result of one call.
type ownResult struct {
	context.Context
	slot resultSlot
}

// withOwnResult gives a call a place for its Result.
func withOwnResult(ctx context.Context) context.Context {
	outer, _ := ctx.Value(resultKey{}).(*resultSlot)
	return &ownResult{ctx, resultSlot{outer: outer, own: true}}
}

// Value is the slot for its key.
func (c *ownResult) Value(key any) any {
	if key == (resultKey{}) {
		return &c.slot
	}
	return c.Context.Value(key)
}

// panicked logs a panic of the service's own code in a call without a socket.
func (g *Gateway) panicked(value any, stack []byte) {
	g.current.Load().logger.Error("the service's own code panicked in a call without a socket", "panic", value, "stack", string(stack))
}
