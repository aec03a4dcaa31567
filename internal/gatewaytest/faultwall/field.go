package faultwall

import (
	"fmt"
	"time"
)

// fieldFaults are faults that operators of gateways have reported in public.
func fieldFaults() []Fault {
	none := func(name string, behaviour Behaviour, reason string) Fault {
		return Fault{Name: name, Behaviour: behaviour, Settings: Settings{Retries: 1}, Reason: reason, WithFallback: failsOver(1), Alone: unavailable(1)}
	}
	chat := func(f Fault) Fault {
		f.Only = "openai chat"
		return f
	}
	stream := func(f Fault) Fault {
		f.Stream = true
		return f
	}
	complete := func(f Fault) Fault {
		f.Complete = true
		return f
	}
	fine := func(name string, behaviour Behaviour) Fault {
		return Fault{Name: name, Behaviour: behaviour, Stream: true, WithFallback: recovers(1), Alone: recovers(1)}
	}
	breaks := func(name string, behaviour Behaviour, set Settings, want Want) Fault {
		return Fault{Name: name, Behaviour: behaviour, Stream: true, Settings: set, Reason: "per_request_timeout", WithFallback: want, Alone: want}
	}
	lone := func(f Fault, status int, code string) Fault {
		f.Alone = relayed(1, status, code)
		return f
	}
	unretried := func(name string, code int, word string) Fault { // as 5xx: a retry would come
		f := lone(none(name, status(code, word), name), code, word)
		f.Retries = 0
		return f
	}
	shouldNot := none("503 with x-should-retry: false", status(503, "overloaded", "X-Should-Retry", "false"), "503")
	shouldNot.Retries = 2
	hidden := none("content, then an error that SDKs do not see", contentThenHiddenError, "an error in its stream")
	hidden.WithFallback, hidden.Alone = broken(), broken()
	turn := fine("a tool of the server's, then the answer", pauseBehindFinish)
	turn.WithFallback, turn.Alone = recovers(1).after(0, 3*time.Second), recovers(1).after(0, 3*time.Second)
	deadEvent := none("a dead key told by an event", firstEvent("invalid_api_key"), "invalid_api_key")
	deadEvent.Only, deadEvent.Alone = "openai", keyRefused(1)
	refusal := Fault{Name: "content filter in other words", Behaviour: status(400, "data_inspection_failed"), Settings: Settings{TwoKeys: true}, Only: "openai", Reason: "400",
		WithFallback: relayed(1, 400, "data_inspection_failed"), Alone: relayed(1, 400, "data_inspection_failed")}
	impatient := Settings{Timeout: true}
	return []Fault{
		unretried("424", 424, "failed_dependency"),
		unretried("499", 499, "client_closed"),
		lone(shouldNot, 503, "overloaded"),
		refusal,
		{Name: "a dead key told by 400, on one key of two", Behaviour: forKey("-1-", status(400, "invalid_api_key")), Only: "openai",
			Settings: Settings{TwoKeys: true}, Reason: "400", WithFallback: recovers(2), Alone: recovers(2)},
		{Name: "no money told by 429", Behaviour: status(429, "insufficient_quota"), Only: "openai", Settings: Settings{Retries: 1}, Reason: "429",
			WithFallback: failsOver(1), Alone: keyRefused(1)},
		stream(deadEvent),

		none("200, an empty object", body("application/json", `{}`), "answer has no"),
		none("200, null", body("application/json", `null`), "answer has no"),
		chat(none("200, no choices", body("application/json", `{"id":"x","choices":[]}`), "answer has no")),
		chat(none("200, an error in a choice", body("application/json",
			`{"choices":[{"message":{"content":""},"finish_reason":"network_error"}]}`), "network_error")),
		none("200, the words of a proxy", body("application/json", `{"message":"no healthy upstream"}`), "no healthy upstream"),
		none("200, the answer of another surface", otherSurface, "answer has no"),
		none("events that nobody asked for", unaskedEvents("text/event-stream"), "event stream"),
		none("events that nobody asked for, under another type", unaskedEvents("application/json"), "event stream"),
		fine("events that call themselves JSON", eventsAs("application/json")),
		fine("events that call themselves a page", eventsAs("text/html; charset=utf-8")),
		fine("comments before the first event", commentsFirst),

		stream(chat(none("[DONE] and nothing else", events("data: [DONE]\n\n"), "without an answer"))),
		stream(chat(none("a role, then [DONE]", roleThenDone, "without an answer"))),
		stream(chat(none("a finish reason that is an error", roleThenFinish("insufficient_system_resource"), "an error"))),
		stream(none("an error in a field of its own", events("error: {\"message\":\"boom\"}\n\n"), "boom")),
		stream(none("a stream without events", events(""), "before it was complete")),
		stream(chat(hidden)),
		complete(stream(chat(none("held: content, then an error that SDKs do not see", contentThenHiddenError, "an error")))),

		chat(turn),
		breaks("comments without end", endlessComments, impatient, broken().after(1, 0)),
		chat(breaks("a finish reason, then comments without end", finishThenComments, impatient, broken().after(1, 0))),
		chat(breaks("a call of a tool, and no end", callThenSilence, impatient, broken().after(1, 0))),
	}
}

// contentThenHiddenError tells its error in a field that SDKs ignore, and then ends
// as if all were well.
func contentThenHiddenError(t *Exchange) {
	half(t)
	t.Send("error: {\"message\":\"overloaded\"}\n\n", t.Format.End())
	t.End()
}

// firstEvent is an error in place of a stream.
func firstEvent(code string) Behaviour {
	return func(t *Exchange) {
		t.Start("text/event-stream")
		t.Send(t.Format.ErrorEvent(code, t.says(code)))
		t.End()
	}
}

// events answers with a stream of some bytes.
func events(text string) Behaviour {
	return func(t *Exchange) {
		t.Start("text/event-stream")
		t.Send(text)
		t.End()
	}
}

// unaskedEvents streams to a request without stream: true.
func unaskedEvents(kind string) Behaviour {
	return func(t *Exchange) {
		if t.Body.Stream {
			good(t)
			return
		}
		eventsAs(kind)(t)
	}
}

// eventsAs is a good stream under some type.
func eventsAs(kind string) Behaviour {
	return func(t *Exchange) {
		t.Start(kind)
		t.Send(t.Format.Opening(t.Body.Model))
		t.Send(t.pieces(0, 99)...)
		t.Send(t.Format.Finish(t.Body.Model), t.Format.End())
		t.End()
	}
}

// commentsFirst says for a while that it is at work.
func commentsFirst(t *Exchange) {
	t.Start("text/event-stream")
	for range 5 {
		t.Send(": OPENROUTER PROCESSING\n\n")
	}
	t.Send(t.Format.Opening(t.Body.Model))
	t.Send(t.pieces(0, 99)...)
	t.Send(t.Format.Finish(t.Body.Model), t.Format.End())
	t.End()
}

// otherSurface answers in another format than that of the request.
func otherSurface(t *Exchange) {
	var other Format = anthropicFormat{}
	if !isOpenAI(t.Format) {
		other = chatFormat{}
	}
	t.Whole(200, "application/json", other.Answer(t.Body.Model, wholeText(t.Body.Model)))
}

func roleThenDone(t *Exchange) {
	t.Start("text/event-stream")
	t.Send(t.Format.Opening(t.Body.Model), t.Format.End())
	t.End()
}

func roleThenFinish(reason string) Behaviour {
	return func(t *Exchange) {
		t.Start("text/event-stream")
		t.Send(t.Format.Opening(t.Body.Model), finishChunk(t.Body.Model, reason), t.Format.End())
		t.End()
	}
}

func finishChunk(model, reason string) string {
	return chatChunk(model, fmt.Sprintf(`{"index":0,"delta":{},"finish_reason":%q}`, reason), "")
}

// pauseBehindFinish runs a tool itself, for three seconds, and goes on.
func pauseBehindFinish(t *Exchange) {
	half(t)
	t.Send(finishChunk(t.Body.Model, "tool_calls"))
	if !t.Wait(3 * time.Second) {
		return
	}
	t.Send(t.pieces(4, 99)...)
	t.Send(t.Format.Finish(t.Body.Model), t.Format.End())
	t.End()
}

// endlessComments keeps its connection alive for ever, and never goes on.
func endlessComments(t *Exchange) {
	half(t)
	comments(t)
}

func finishThenComments(t *Exchange) {
	half(t)
	t.Send(finishChunk(t.Body.Model, "stop"))
	comments(t)
}

func comments(t *Exchange) {
	for t.Wait(t.Pace / 8) {
		t.Send(": keep-alive\n\n")
	}
}

func callThenSilence(t *Exchange) {
	half(t)
	t.Send(finishChunk(t.Body.Model, "tool_calls"))
	t.Silence()
}
