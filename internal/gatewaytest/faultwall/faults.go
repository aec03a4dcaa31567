// Package faultwall plays every known fault of a provider, of the network or of a
// client against a gateway, and knows the right outcome of each.
package faultwall

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// Fault is one failure of a provider, and the outcome that it must have. A new
// fault is one entry of a table below.
type Fault struct {
	Name string
	// Behaviour is the primary's answer to a request.
	Behaviour Behaviour
	// Link is the connection to the primary.
	Link Link
	// Stream is set if the client asks for a stream.
	Stream bool
	// Only is the prefix of its formats' names. If empty, the fault applies to
	// all formats.
	Only string
	// OtherForm counts further attempts in the anthropic format. There the client
	// chooses the form of the credential, and a refused key is tried once in the
	// provider's other form.
	OtherForm int
	// Settings are further settings of the gateway.
	Settings
	// Reason is a word of the Result's text on a failed attempt.
	Reason string
	// WithFallback is the outcome with a fallback, Alone the outcome without
	// one.
	WithFallback, Alone Want
}

// Settings are the parts of a config that faults need. The zero value is a
// patient gateway without retries.
type Settings struct {
	// Timeout sets the primary's per_request_timeout to one pace, FirstToken the
	// first_token_timeout to three paces.
	Timeout, FirstToken bool
	// Retries is max_retries.
	Retries int
	// Complete is stream_commit: complete.
	Complete bool
	// TwoKeys gives the primary a second key.
	TwoKeys bool
	// Secret, if not nil, makes the resolver of the primary's key. The channel
	// is closed with the wall.
	Secret func(closed <-chan struct{}) SecretFunc
}

// SecretFunc resolves the primary's key.
type SecretFunc func(ctx context.Context) (string, error)

// Link is the kind of connection to the primary.
type Link uint8

// The links. Requests arrive over the first only.
const (
	LinkPlain     Link = iota
	LinkRefused        // nothing listens
	LinkNoName         // DNS knows no such host
	LinkUntrusted      // TLS, with a certificate of nobody's
	LinkNoTLS          // plain HTTP where TLS is expected
	LinkCutTLS         // a handshake that is hung up on
	LinkSilentTLS      // a handshake without an answer
)

// Got is the client's final answer.
type Got uint8

const (
	// FromPrimary and FromFallback are a complete answer.
	FromPrimary Got = iota
	FromFallback
	// Relayed is the primary's own error, unchanged.
	Relayed
	// Failed is an error of the gateway.
	Failed
	// Broken is a part of the primary's stream, then an error event if one can
	// stand there, then an aborted connection.
	Broken
)

// Want is the outcome that a fault must have.
type Want struct {
	Got Got
	// Primary and Fallback count the attempts.
	Primary, Fallback int
	// Status, Code and RetryAfter (in seconds) describe the error, if Got is an
	// error.
	Status     int
	Code       string
	RetryAfter string
	// Paces and Time are the least duration, in two units. Case.Problems adds
	// its slack for the longest.
	Paces float64
	Time  time.Duration
	// Reported says that the upstream reported its error to the client itself and
	// ended the stream properly. The gateway need not abort it.
	Reported bool
}

// codeKeyRefused is the code of a refusal of the gateway's own key. The client is
// told nothing else of it.
const codeKeyRefused = "upstream_authentication_failed"

// The wants of many faults.
func failsOver(attempts int) Want { return Want{Got: FromFallback, Primary: attempts, Fallback: 1} }
func recovers(attempts int) Want  { return Want{Got: FromPrimary, Primary: attempts} }
func unavailable(attempts int) Want {
	return Want{Got: Failed, Primary: attempts, Status: 503, Code: "all_providers_failed"}
}
func keyRefused(attempts int) Want {
	return Want{Got: Failed, Primary: attempts, Status: 502, Code: codeKeyRefused}
}
func unreachable() Want {
	return Want{Got: Failed, Primary: 1, Status: 502, Code: "upstream_unreachable"}
}
func timesOut() Want {
	return Want{Got: Failed, Primary: 1, Status: 504, Code: "request_timeout", Paces: 1}
}
func relayed(attempts, status int, code string) Want {
	return Want{Got: Relayed, Primary: attempts, Status: status, Code: code}
}
func broken() Want { return Want{Got: Broken, Primary: 1, Code: "stream_broken"} }

// after sets the least duration.
func (w Want) after(paces float64, d time.Duration) Want {
	w.Paces, w.Time = paces, d
	return w
}

// later sets the Retry-After.
func (w Want) later(seconds string) Want {
	w.RetryAfter = seconds
	return w
}

// Faults are all faults, in the order of the printed table.
func Faults() []Fault {
	var all []Fault
	for _, some := range [][]Fault{
		limitFaults(), refusalFaults(), connectionFaults(), silentFaults(), streamFaults(), completeFaults(), answerFaults(), keyFaults(), fieldFaults(),
	} {
		all = append(all, some...)
	}
	return all
}

func limitFaults() []Fault {
	const limited = "rate_limit_exceeded"
	retry := Settings{Retries: 1}
	return []Fault{
		{Name: "429 once, Retry-After in seconds", Behaviour: once(status(429, limited, "Retry-After", "1")), Settings: retry, Reason: "429",
			WithFallback: recovers(2).after(0, time.Second), Alone: recovers(2).after(0, time.Second)},
		{Name: "429 once, Retry-After as a date", Behaviour: once(limitedUntil), Settings: retry, Reason: "429",
			WithFallback: recovers(2).after(0, 900*time.Millisecond), Alone: recovers(2).after(0, 900*time.Millisecond)},
		{Name: "429 once, retry-after-ms", Behaviour: once(status(429, limited, "Retry-After-Ms", "300")), Settings: retry, Reason: "429",
			WithFallback: recovers(2).after(0, 300*time.Millisecond), Alone: recovers(2).after(0, 300*time.Millisecond)},
		{Name: "429 once, no Retry-After", Behaviour: once(status(429, limited)), Settings: retry, Reason: "429",
			WithFallback: failsOver(1), Alone: relayed(1, 429, limited)},
		{Name: "429 for ever, retry-after-ms", Behaviour: status(429, limited, "Retry-After-Ms", "300"), Settings: retry, Reason: "429",
			WithFallback: failsOver(2).after(0, 300*time.Millisecond), Alone: relayed(2, 429, limited).after(0, 300*time.Millisecond).later("1")},
		{Name: "429 for ever, Retry-After of two minutes", Behaviour: status(429, limited, "Retry-After", "120"), Settings: retry, Reason: "429",
			WithFallback: failsOver(1), Alone: relayed(1, 429, limited).later("120")},
		{Name: "429 for ever, no Retry-After, two keys", Behaviour: status(429, limited), Settings: Settings{Retries: 1, TwoKeys: true}, Reason: "429",
			WithFallback: failsOver(2), Alone: relayed(2, 429, limited)},
		{Name: "429 on one key of two", Behaviour: forKey("-1-", status(429, limited)), Settings: Settings{TwoKeys: true}, Reason: "429",
			WithFallback: recovers(2), Alone: recovers(2)},
		{Name: "500 once", Behaviour: once(status(500, "server_error")), Settings: retry, Reason: "500",
			WithFallback: recovers(2), Alone: recovers(2)},
		{Name: "500 once, no retries", Behaviour: once(status(500, "server_error")), Reason: "500",
			WithFallback: failsOver(1), Alone: relayed(1, 500, "server_error")},
		{Name: "500 with a body without end", Behaviour: endlessError, Reason: "500", WithFallback: failsOver(1), Alone: unavailable(1)},
		{Name: "503 for ever", Behaviour: status(503, "overloaded"), Settings: retry, Reason: "503",
			WithFallback: failsOver(2), Alone: unavailable(2)},
		{Name: "529 for ever", Behaviour: status(529, "overloaded_error"), Settings: retry, Reason: "529",
			WithFallback: failsOver(2), Alone: unavailable(2)},
	}
}

func refusalFaults() []Fault {
	twoKeys := Settings{TwoKeys: true, Retries: 1}
	refused := func(name string, code int, word string) Fault {
		return Fault{Name: name, Behaviour: status(code, word), Settings: Settings{Retries: 1}, Reason: name[:3],
			WithFallback: failsOver(1), Alone: relayed(1, code, word)}
	}
	return []Fault{
		{Name: "401 on one key of two", Behaviour: forKey("-1-", status(401, "invalid_api_key")), Settings: twoKeys, Reason: "401",
			OtherForm: 1, WithFallback: recovers(2), Alone: recovers(2)},
		{Name: "401 on every key", Behaviour: status(401, "invalid_api_key"), Settings: twoKeys, Reason: "401",
			OtherForm: 2, WithFallback: failsOver(2), Alone: keyRefused(2)},
		{Name: "402", Behaviour: status(402, "insufficient_balance"), Settings: Settings{Retries: 1}, Reason: "402",
			WithFallback: failsOver(1), Alone: keyRefused(1)},
		{Name: "a dead key told by 400", Behaviour: status(400, "invalid_api_key"), Only: "openai", Settings: twoKeys, Reason: "400",
			WithFallback: failsOver(2), Alone: keyRefused(2)},
		refused("403", 403, "forbidden"),
		refused("404", 404, "model_not_found"),
		refused("408", 408, "timeout"),
		refused("409", 409, "conflict"),
		{Name: "529, no retries", Behaviour: status(529, "overloaded_error"), Reason: "529",
			WithFallback: failsOver(1), Alone: relayed(1, 529, "overloaded_error")},
		{Name: "context length exceeded, two keys", Behaviour: status(400, "context_length_exceeded"), Settings: twoKeys, Reason: "400",
			WithFallback: failsOver(1), Alone: relayed(1, 400, "context_length_exceeded")},
		{Name: "content filter", Behaviour: status(400, "content_filter"), Settings: twoKeys, Only: "openai", Reason: "400",
			WithFallback: relayed(1, 400, "content_filter"), Alone: relayed(1, 400, "content_filter")},
		{Name: "content policy", Behaviour: status(403, "content_policy_violation"), Settings: twoKeys, Only: "openai", Reason: "403",
			WithFallback: relayed(1, 403, "content_policy_violation"), Alone: relayed(1, 403, "content_policy_violation")},
		{Name: "redirect to another host", Behaviour: redirect, Reason: "redirect", WithFallback: failsOver(1), Alone: unavailable(1)},
	}
}

func connectionFaults() []Fault {
	return []Fault{
		{Name: "connection refused", Link: LinkRefused, Reason: "refused", WithFallback: failsOver(1), Alone: unreachable()},
		{Name: "DNS failure", Link: LinkNoName, Reason: "no such host", WithFallback: failsOver(1), Alone: unreachable()},
		{Name: "TLS: certificate of nobody's", Link: LinkUntrusted, Reason: "certificate", WithFallback: failsOver(1), Alone: unreachable()},
		{Name: "TLS: a plain port", Link: LinkNoTLS, Reason: "tls", WithFallback: failsOver(1), Alone: unreachable()},
		{Name: "TLS: handshake cut off", Link: LinkCutTLS, WithFallback: failsOver(1), Alone: unreachable()},
		{Name: "TLS: handshake without an answer", Link: LinkSilentTLS, Settings: Settings{Timeout: true}, Reason: "per_request_timeout",
			WithFallback: failsOver(1).after(1, 0), Alone: timesOut()},
		{Name: "reset before the header", Behaviour: reset, Reason: "reset", WithFallback: failsOver(1), Alone: unavailable(1)},
		{Name: "reset once", Behaviour: once(reset), Settings: Settings{Retries: 1}, Reason: "reset", WithFallback: recovers(2), Alone: recovers(2)},
		{Name: "closed before the header", Behaviour: hangUp, Reason: "closed", WithFallback: failsOver(1), Alone: unavailable(1)},
		{Name: "garbage instead of HTTP", Behaviour: garbage, Reason: "malformed", WithFallback: failsOver(1), Alone: unavailable(1)},
		{Name: "conflicting Content-Length", Behaviour: twoLengths, Reason: "Content-Length", WithFallback: failsOver(1), Alone: unavailable(1)},
		{Name: "interim answers without end", Behaviour: endlessHints, Reason: "headers exceeded", WithFallback: failsOver(1), Alone: unavailable(1)},
		{Name: "101 that nobody asked for", Behaviour: raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), Reason: "101",
			WithFallback: failsOver(1), Alone: unavailable(1)},
		{Name: "endless header", Behaviour: endlessHeader, Reason: "headers exceeded", WithFallback: failsOver(1), Alone: unavailable(1)},
	}
}

// silentFaults treat a silent route as dead: the gateway does not try it again,
// whatever max_retries says.
func silentFaults() []Fault {
	impatient := Settings{Timeout: true, Retries: 1}
	silent := func(name string, behaviour Behaviour, stream bool) Fault {
		return Fault{Name: name, Behaviour: behaviour, Stream: stream, Settings: impatient, Reason: "per_request_timeout",
			WithFallback: failsOver(1).after(1, 0), Alone: timesOut()}
	}
	return []Fault{
		silent("no answer at all", silence, false),
		silent("a header that never ends, slowly", slowHeader, false),
		silent("header and no body", onlyHeader, false),
		silent("header and no event", onlyHeader, true),
		silent("slow drip of a JSON answer", slowJSON, false),
		{Name: "slow first token, a limit", Behaviour: slowFirstToken(20), Stream: true, Settings: Settings{FirstToken: true, Retries: 1},
			Reason: "first_token_timeout", WithFallback: failsOver(1).after(3, 0), Alone: timesOut().after(3, 0)},
		{Name: "slow first token, no limit", Behaviour: slowFirstToken(1), Stream: true, WithFallback: recovers(1).after(1, 0), Alone: recovers(1).after(1, 0)},
		{Name: "slow drip of a stream", Behaviour: slowDrip, Stream: true, Settings: impatient,
			WithFallback: recovers(1).after(1.5, 0), Alone: recovers(1).after(1.5, 0)},
	}
}

// endOfSilence is the silence after a finish reason, until the stream counts as
// ended.
const endOfSilence = 2 * time.Second

func streamFaults() []Fault {
	impatient := Settings{Timeout: true}
	row := func(name string, behaviour Behaviour, set Settings, reason string, saved, alone Want) Fault {
		return Fault{Name: name, Behaviour: behaviour, Stream: true, Settings: set, Reason: reason, WithFallback: saved, Alone: alone}
	}
	unmarked := broken()
	unmarked.Code = ""                                // no event may stand where another has begun
	overloaded := relayed(1, 529, "overloaded_error") // the status that the error's type stands for
	reported := broken()
	reported.Code, reported.Reported = "overloaded_error", true
	return []Fault{
		row("first event an error", firstEventError, Settings{}, "overloaded", failsOver(1), overloaded),
		row("first event an error, connection left open", errorAndOpen, Settings{}, "overloaded", failsOver(1), overloaded),
		row("role-only chunk, then an error", roleThenError, Settings{}, "overloaded", failsOver(1), overloaded),
		row("content, then an error", contentThenError, Settings{}, "", reported, reported),
		row("cut mid-stream by FIN", cut, Settings{}, "closed", broken(), broken()),
		row("cut mid-stream by RST", cutByReset, Settings{}, "reset", broken().after(0.25, 0), broken().after(0.25, 0)),
		row("cut within an event", cutInEvent, Settings{}, "closed", unmarked, unmarked),
		row("clean end without the end marker", endsTooEarly, Settings{}, "before it was complete", broken(), broken()),
		row("cut where the connection is the end", untilClosedCut, Settings{}, "before it was complete", broken(), broken()),
		row("ends with its connection", untilClosed, Settings{}, "", recovers(1), recovers(1)),
		row("stall mid-stream", stall, impatient, "per_request_timeout", broken().after(1, 0), broken().after(1, 0)),
		row("malformed event", malformedEvent, Settings{}, "", recovers(1), recovers(1)),
		{Name: "no [DONE]", Behaviour: noEndMarker(false), Stream: true, Only: "openai chat", WithFallback: recovers(1), Alone: recovers(1)},
		{Name: "no [DONE], connection left open", Behaviour: noEndMarker(true), Stream: true, Only: "openai chat",
			WithFallback: recovers(1).after(0, endOfSilence), Alone: recovers(1).after(0, endOfSilence)},
		row("end marker, connection left open", staysOpen, Settings{}, "", recovers(1), recovers(1)),
	}
}

// completeFaults break a stream while the gateway holds it until its end.
func completeFaults() []Fault {
	complete := Settings{Complete: true, Retries: 1}
	row := func(name string, behaviour Behaviour, reason string) Fault {
		return Fault{Name: "held: " + name, Behaviour: behaviour, Stream: true, Settings: complete, Reason: reason,
			WithFallback: failsOver(1), Alone: unavailable(1)}
	}
	stalled := row("stall mid-stream", stall, "per_request_timeout")
	stalled.Timeout = true
	stalled.WithFallback, stalled.Alone = failsOver(1).after(1, 0), timesOut()
	drip := row("slow drip", slowDrip, "")
	drip.Timeout = true
	drip.WithFallback, drip.Alone = recovers(1).after(1.5, 0), recovers(1).after(1.5, 0)
	reported := row("content, then an error", contentThenError, "overloaded")
	reported.Alone = relayed(1, 529, "overloaded_error")
	malformed := row("malformed event", malformedEvent, "")
	malformed.WithFallback, malformed.Alone = recovers(1), recovers(1)
	noDone := row("no [DONE], connection left open", noEndMarker(true), "")
	noDone.Only = "openai chat"
	noDone.WithFallback, noDone.Alone = recovers(1).after(0, endOfSilence), recovers(1).after(0, endOfSilence)
	return []Fault{
		row("cut mid-stream by FIN", cut, "closed"),
		row("cut mid-stream by RST", cutByReset, "reset"),
		row("cut within an event", cutInEvent, "closed"),
		row("clean end without the end marker", endsTooEarly, "before it was complete"),
		reported, stalled, drip, malformed, noDone,
	}
}

func answerFaults() []Fault {
	wrong := func(name string, behaviour Behaviour, reason string) Fault {
		return Fault{Name: name, Behaviour: behaviour, Settings: Settings{Retries: 1}, Reason: reason, WithFallback: failsOver(1), Alone: unavailable(1)}
	}
	fine := func(name string, behaviour Behaviour, stream bool) Fault {
		return Fault{Name: name, Behaviour: behaviour, Stream: stream, WithFallback: recovers(1), Alone: recovers(1)}
	}
	page := "<!DOCTYPE html><title>Sign in</title><p>Who are you?"
	streamPage := wrong("200 with HTML, to a stream request", body("text/html; charset=utf-8", page), "web page")
	streamPage.Stream = true
	errorUnder200 := wrong("200, JSON with a top-level error", jsonError, "overloaded")
	errorUnder200.Alone = relayed(1, 529, "overloaded_error")
	return []Fault{
		wrong("200 with HTML", body("text/html; charset=utf-8", page), "web page"),
		streamPage,
		wrong("200 with HTML that calls itself JSON", body("application/json", page), "not JSON"),
		wrong("200, empty", body("application/json", ""), "empty"),
		wrong("200, truncated JSON", truncatedJSON, "not JSON"),
		wrong("200, cut before its Content-Length", brokenJSON, "closed"),
		errorUnder200,
		wrong("200, cut where the connection is the end", untilClosedCut, "not JSON"),
		wrong("200, gzip cut short", zipped(12), ""),
		wrong("204", func(t *Exchange) { t.Raw("HTTP/1.1 204 No Content\r\n\r\n") }, "empty"),
		fine("200, ends with its connection", untilClosed, false),
		fine("gzip that nobody asked for", zipped(0), false),
		fine("gzip that nobody asked for, streamed", zipped(0), true),
		fine("whole JSON to a stream request", jsonForStream, true),
		{Name: "50 MB answer", Behaviour: bigAnswer, Only: "openai chat", WithFallback: recovers(1), Alone: recovers(1)},
	}
}

func keyFaults() []Fault {
	down := func(<-chan struct{}) SecretFunc {
		return func(context.Context) (string, error) { return "", errors.New("the vault is sealed") }
	}
	hangs := func(closed <-chan struct{}) SecretFunc {
		return func(context.Context) (string, error) {
			<-closed // a question to a store may outlive the request that asked it
			return "", errors.New("closed")
		}
	}
	rotated := func(<-chan struct{}) SecretFunc {
		var asked atomic.Int64
		return func(context.Context) (string, error) {
			if asked.Add(1) == 1 {
				return primaryKey("old"), nil
			}
			return primaryKey("new"), nil
		}
	}
	return []Fault{
		{Name: "key rotated while in use", Behaviour: forKey("-old-", status(401, "invalid_api_key")), Settings: Settings{Secret: rotated}, Reason: "401",
			OtherForm: 1, WithFallback: recovers(2), Alone: recovers(2)},
		{Name: "secret store down", Behaviour: good, Settings: Settings{Secret: down}, WithFallback: failsOver(1), Alone: keyRefused(1)},
		{Name: "secret store silent", Behaviour: good, Settings: Settings{Secret: hangs, Timeout: true},
			WithFallback: failsOver(1).after(1, 0), Alone: keyRefused(1).after(1, 0)},
	}
}

// handshake replaces HTTP at the primary. It is nil for links that speak HTTP.
func (w Link) handshake() func(net.Conn) {
	switch w {
	case LinkNoTLS:
		return func(c net.Conn) {
			c.Read(make([]byte, 4<<10))
			c.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		}
	case LinkCutTLS:
		return func(c net.Conn) { c.Read(make([]byte, 4<<10)) }
	case LinkSilentTLS:
		return func(c net.Conn) {
			for {
				if _, err := c.Read(make([]byte, 4<<10)); err != nil {
					return
				}
			}
		}
	}
	return nil
}
