package faultwall

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// wholeText is a model's complete answer. It has eleven pieces: half of it
// cannot be mistaken for all of it.
func wholeText(model string) string {
	return "This is the whole answer of " + model + ", to its last word."
}

// good answers properly: a stream if the request asked for one.
func good(t *Exchange) {
	if !t.Body.Stream {
		t.Whole(http.StatusOK, "application/json", t.Format.Answer(t.Body.Model, wholeText(t.Body.Model)))
		return
	}
	t.Start("text/event-stream")
	t.Send(t.Format.Opening(t.Body.Model))
	t.Send(t.pieces(0, 99)...)
	t.Send(t.Format.Finish(t.Body.Model), t.Format.End())
	t.End()
}

// pieces are the events with the words from one index to another.
func (t *Exchange) pieces(from, to int) []string {
	var events []string
	for i, word := range strings.SplitAfter(wholeText(t.Body.Model), " ") {
		if from <= i && i < to {
			events = append(events, t.Format.Piece(t.Body.Model, word))
		}
	}
	return events
}

// half sends the stream up to a third of its words.
func half(t *Exchange) {
	t.Start("text/event-stream")
	t.Send(t.Format.Opening(t.Body.Model))
	t.Send(t.pieces(0, 4)...)
}

// once plays a fault for the first request, and answers the others.
func once(fault Behaviour) Behaviour { return onceThen(fault, good) }

func onceThen(fault, then Behaviour) Behaviour {
	return func(t *Exchange) {
		if t.Number == 1 {
			fault(t)
			return
		}
		then(t)
	}
}

// forKey plays a fault for requests whose key contains the text.
func forKey(key string, fault Behaviour) Behaviour {
	return func(t *Exchange) {
		if strings.Contains(t.Key(), key) {
			fault(t)
			return
		}
		good(t)
	}
}

// status answers with an error in the provider's own words.
func status(status int, code string, header ...string) Behaviour {
	return func(t *Exchange) {
		word := errorCode(t.Format, status, code)
		t.Whole(status, "application/json", t.Format.Error(status, word, t.says(code)), header...)
	}
}

// says is a message that can be recognised at the client. It contains the
// credentials of the request, which must not get there.
func (t *Exchange) says(code string) string { return code + ", to " + t.Credentials() + saidByPrimary }

const saidByPrimary = ", says the primary"

// limitedUntil answers 429 with the time of day to come back at: the second
// after next, as the header counts whole seconds.
func limitedUntil(t *Exchange) {
	at := time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat)
	status(http.StatusTooManyRequests, "rate_limit_exceeded", "Retry-After", at)(t)
}

// body answers 200 with a body of a content type.
func body(kind, text string) Behaviour {
	return func(t *Exchange) { t.Whole(http.StatusOK, kind, text) }
}

// raw writes bytes in place of HTTP, and hangs up.
func raw(bytes string) Behaviour { return func(t *Exchange) { t.Raw(bytes) } }

// garbage is the greeting of another protocol's server.
func garbage(t *Exchange) { t.Raw("SSH-2.0-OpenSSH_9.9 " + t.Credentials() + "\r\n\r\n") }

func reset(t *Exchange)   { t.Reset() }
func hangUp(*Exchange)    {}
func silence(t *Exchange) { t.Silence() }

// twoLengths sends two different values of Content-Length.
func twoLengths(t *Exchange) {
	answer := t.Format.Answer(t.Body.Model, wholeText(t.Body.Model))
	t.Raw(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nContent-Length: %d\r\n\r\n%s",
		len(answer), len(answer)/2, answer))
}

// endlessHeader writes header lines until the gateway leaves.
func endlessHeader(t *Exchange) {
	t.Raw("HTTP/1.1 200 OK\r\n")
	line := "X-Filler: " + strings.Repeat("x", 1<<10) + "\r\n"
	for range 64 << 10 { // 64 MiB, should nobody ever have enough
		select {
		case <-t.gone:
			return
		default:
			t.Raw(line)
		}
	}
}

// endlessHints sends interim answers until the gateway leaves.
func endlessHints(t *Exchange) {
	for range 1 << 20 {
		select {
		case <-t.gone:
			return
		default:
			t.Raw("HTTP/1.1 103 Early Hints\r\nLink: </" + strings.Repeat("x", 1<<10) + ">\r\n\r\n")
		}
	}
}

// untilClosed answers like HTTP/1.0: the end of the connection ends the answer.
func untilClosed(t *Exchange) {
	if !t.Body.Stream {
		t.Raw("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + t.Format.Answer(t.Body.Model, wholeText(t.Body.Model)))
		return
	}
	t.Raw("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + t.Format.Opening(t.Body.Model) +
		strings.Join(t.pieces(0, 99), "") + t.Format.Finish(t.Body.Model) + t.Format.End())
}

// untilClosedCut answers half, like untilClosed. Nothing in HTTP reveals the
// missing half.
func untilClosedCut(t *Exchange) {
	answer := t.Format.Answer(t.Body.Model, wholeText(t.Body.Model))
	kind, half := "application/json", answer[:len(answer)*2/3]
	if t.Body.Stream {
		kind, half = "text/event-stream", t.Format.Opening(t.Body.Model)+strings.Join(t.pieces(0, 4), "")
	}
	t.Raw("HTTP/1.0 200 OK\r\nContent-Type: " + kind + "\r\n\r\n" + half)
}

// slowHeader writes header lines slowly, and never completes the header.
func slowHeader(t *Exchange) {
	t.Raw("HTTP/1.1 200 OK\r\n")
	for i := 0; t.Wait(t.Pace / 8); i++ {
		t.Raw(fmt.Sprintf("X-Line-%d: more to come\r\n", i))
	}
}

// onlyHeader sends the header of the answer, and nothing more.
func onlyHeader(t *Exchange) {
	if t.Body.Stream {
		t.Start("text/event-stream")
	} else {
		t.Raw(head(http.StatusOK, "application/json", []string{"Content-Length", "1000"}))
	}
	t.Silence()
}

func firstEventError(t *Exchange) {
	t.Start("text/event-stream")
	t.Send(t.Format.ErrorEvent("overloaded_error", t.says("overloaded")))
	t.End()
}

// errorAndOpen keeps the connection open after its error.
func errorAndOpen(t *Exchange) {
	t.Start("text/event-stream")
	t.Send(t.Format.ErrorEvent("overloaded_error", t.says("overloaded")))
	t.Silence()
}

// endlessError is an error with an endless body.
func endlessError(t *Exchange) {
	t.Raw(head(http.StatusInternalServerError, "application/json", []string{"Transfer-Encoding", "chunked"}))
	filler := strings.Repeat(" ", 64<<10)
	for range 1 << 10 { // 64 MiB
		select {
		case <-t.gone:
			return
		default:
			t.Send(filler)
		}
	}
}

func roleThenError(t *Exchange) {
	t.Start("text/event-stream")
	t.Send(t.Format.Opening(t.Body.Model))
	t.Send(t.Format.ErrorEvent("overloaded_error", t.says("overloaded")))
	t.End()
}

// contentThenError fails after the first content. The gateway relays its message
// byte for byte, so the message contains no credentials.
func contentThenError(t *Exchange) {
	half(t)
	t.Send(t.Format.ErrorEvent("overloaded_error", "overloaded"+saidByPrimary))
	t.End()
}

// slowFirstToken waits for a number of paces before the first word.
func slowFirstToken(paces int) Behaviour {
	return func(t *Exchange) {
		t.Start("text/event-stream")
		t.Send(t.Format.Opening(t.Body.Model))
		for range paces {
			if !t.Wait(t.Pace) {
				return
			}
		}
		t.Send(t.pieces(0, 99)...)
		t.Send(t.Format.Finish(t.Body.Model), t.Format.End())
		t.End()
	}
}

func cut(t *Exchange) { half(t) } // what is not ended is hung up on

func cutByReset(t *Exchange) {
	half(t)
	// A RST overtakes bytes on their way. The gateway must see the words first.
	t.Wait(t.Pace / 4)
	t.Reset()
}

// cutInEvent breaks off in the middle of an event.
func cutInEvent(t *Exchange) {
	half(t)
	next := t.pieces(4, 5)[0]
	t.Send(next[:len(next)/2])
}

// endsTooEarly ends properly by the rules of HTTP, before the model has
// finished. Servers do so when the process behind them dies.
func endsTooEarly(t *Exchange) {
	half(t)
	t.End()
}

func stall(t *Exchange) {
	half(t)
	t.Silence()
}

// malformedEvent has an event that is not JSON in its middle.
func malformedEvent(t *Exchange) {
	half(t)
	if !isOpenAI(t.Format) {
		t.Send("event: content_block_delta\n")
	}
	t.Send("data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\": \n\n")
	t.Send(t.pieces(4, 99)...)
	t.Send(t.Format.Finish(t.Body.Model), t.Format.End())
	t.End()
}

// noEndMarker leaves [DONE] out. With hold it also keeps the connection open.
func noEndMarker(hold bool) Behaviour {
	return func(t *Exchange) {
		half(t)
		t.Send(t.pieces(4, 99)...)
		t.Send(t.Format.Finish(t.Body.Model))
		if hold {
			t.Silence()
			return
		}
		t.End()
	}
}

// staysOpen sends everything, and keeps the connection open.
func staysOpen(t *Exchange) {
	half(t)
	t.Send(t.pieces(4, 99)...)
	t.Send(t.Format.Finish(t.Body.Model), t.Format.End())
	t.Silence()
}

// slowDrip streams slowly. Each pause is shorter than the timeout; all of them
// together are longer.
func slowDrip(t *Exchange) {
	t.Start("text/event-stream")
	t.Send(t.Format.Opening(t.Body.Model))
	for _, p := range t.pieces(0, 99) {
		if !t.Wait(t.Pace / 6) {
			return
		}
		t.Send(p)
	}
	t.Send(t.Format.Finish(t.Body.Model), t.Format.End())
	t.End()
}

// slowJSON answers in pieces, and never ends.
func slowJSON(t *Exchange) {
	t.Start("application/json")
	for t.Wait(t.Pace / 8) {
		t.Send(" ")
	}
}

func truncatedJSON(t *Exchange) {
	answer := t.Format.Answer(t.Body.Model, wholeText(t.Body.Model))
	t.Whole(http.StatusOK, "application/json", answer[:len(answer)*2/3])
}

// brokenJSON sends less than its Content-Length.
func brokenJSON(t *Exchange) {
	answer := t.Format.Answer(t.Body.Model, wholeText(t.Body.Model))
	t.Raw(head(http.StatusOK, "application/json", []string{"Content-Length", fmt.Sprint(len(answer))}) + answer[:len(answer)*2/3])
}

func jsonError(t *Exchange) {
	t.Whole(http.StatusOK, "application/json", t.Format.Error(200, "overloaded_error", t.says("overloaded")))
}

// jsonForStream answers a stream request with a whole JSON answer.
func jsonForStream(t *Exchange) {
	t.Whole(http.StatusOK, "application/json", t.Format.Answer(t.Body.Model, wholeText(t.Body.Model)))
}

// bigAnswer is an answer of many MiB. Most of it is white space: the client can
// count it without keeping it.
func bigAnswer(t *Exchange) {
	t.Start("application/json")
	t.Send(t.Format.Answer(t.Body.Model, wholeText(t.Body.Model)))
	filler := strings.Repeat(" ", 1<<20)
	for range bigLength >> 20 {
		t.Send(filler)
	}
	t.End()
}

const bigLength = 50 << 20

// redirect sends the gateway to another host, to get its credentials.
func redirect(t *Exchange) {
	t.Whole(http.StatusTemporaryRedirect, "text/plain", "over there", "Location", t.Elsewhere+t.uri)
}

// zipped compresses its answer unasked, and leaves out the last bytes: the
// number is cut.
func zipped(cut int) Behaviour {
	return func(t *Exchange) {
		kind, text := "application/json", t.Format.Answer(t.Body.Model, wholeText(t.Body.Model))
		if t.Body.Stream {
			kind = "text/event-stream"
			text = t.Format.Opening(t.Body.Model) + strings.Join(t.pieces(0, 99), "") + t.Format.Finish(t.Body.Model) + t.Format.End()
		}
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte(text))
		z.Close()
		t.Whole(http.StatusOK, kind, b.String()[:b.Len()-cut], "Content-Encoding", "gzip")
	}
}
