package gatewaytest

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// KeyError answers with an error. Its message names the route of the request's
// key.
func KeyError(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, key, _ := strings.Cut(r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"), "-")
		route, _, _ := strings.Cut(key, "-")
		Error(status, code, "asked by "+route)(w, r)
	}
}

// RateLimited answers 429 with a Retry-After.
func RateLimited(retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		KeyError(http.StatusTooManyRequests, "rate_limit_exceeded")(w, r)
	}
}

// Silence answers nothing until the gateway leaves.
func Silence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Partial sends the front of a JSON answer, and then nothing.
func Partial(body string) http.HandlerFunc { return Drip(0, body) }

// Drip sends a JSON answer in parts, each after a pause. The answer ends only
// if it has four parts or more.
func Drip(pause time.Duration, parts ...string) http.HandlerFunc {
	return Paused("application/json", pause, len(parts) < 4, parts)
}

// SlowEvents sends events, each after a pause. The stream never ends.
func SlowEvents(pause time.Duration, events ...string) http.HandlerFunc {
	return Paused("text/event-stream", pause, true, events)
}

// Paused sends the parts of an answer, each after a pause. If stall is set, the
// answer stays open until the gateway leaves.
func Paused(contentType string, pause time.Duration, stall bool, parts []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for _, part := range parts {
			select {
			case <-time.After(pause):
				Send(w, part)
			case <-r.Context().Done():
				return
			}
		}
		if stall {
			<-r.Context().Done()
		}
	}
}

// Steps answers with a stream: texts are sent, durations are pauses.
func Steps(steps ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		StartStream(w)
		for _, step := range steps {
			pause, ok := step.(time.Duration)
			if !ok {
				Send(w, step.(string))
				continue
			}
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				return
			}
		}
	}
}

// Content answers 200 with a body of a content type.
func Content(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		io.WriteString(w, body)
	}
}

// RawBytes writes bytes in place of an HTTP answer, and closes the connection.
func RawBytes(bytes string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, bytes)
		conn.Close()
	}
}

// TransportFunc is a function as a transport.
type TransportFunc func(r *http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f TransportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Pass waits for d. In a synctest bubble it takes no real time.
func Pass(d time.Duration) { <-time.After(d) }
