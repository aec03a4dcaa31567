package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A behaviour answers one request.
type behaviour func(x *exchange)

// wellFormed are good answers, in all forms that providers have for them.
var wellFormed = []behaviour{
	plain, plain, plain, plain,
	func(x *exchange) { x.coded("gzip", gzipped) },
	func(x *exchange) { x.coded("zstd", zstdFramed) },
	func(x *exchange) { x.codedSlowly(0) },
	func(x *exchange) { x.codedSlowly(1) },
	func(x *exchange) { x.codedSlowly(2) },
	func(x *exchange) { // late, behind the keepalive
		x.pause(keepalivePause)
		plain(x)
	},
	func(x *exchange) { // with a byte order mark, late or at once
		if x.stream {
			x.pause(time.Duration(x.intN(2)) * keepalivePause)
			x.send("\ufeff")
		}
		plain(x)
	},
	func(x *exchange) { // JSON over the gateway's hold, to a client of a stream too
		body := x.format.whole(strings.Join(x.words, ""))
		x.w.Header().Set("Content-Type", "application/json")
		cut := min(len(body)-1, 1<<20+1)
		x.send(body[:cut])
		x.pause(keepalivePause)
		x.send(body[cut:])
	},
	func(x *exchange) { // the connection is closed, in HTTP/2 by GOAWAY
		x.w.Header().Set("Connection", "close")
		plain(x)
	},
	func(x *exchange) { // events under another type
		if x.stream {
			x.w.Header().Set("Content-Type", "application/json")
		}
		plain(x)
	},
	func(x *exchange) { // a slow drip
		if !x.stream {
			plain(x)
			return
		}
		x.half()
		for range 4 {
			x.pause(20 * time.Millisecond)
			x.send(": ping\n\n")
		}
		x.rest()
		x.send(x.finish, x.end)
	},
	func(x *exchange) { // a stream that ends and stays open
		if !x.stream {
			plain(x)
			return
		}
		x.half()
		x.rest()
		x.send(x.finish, x.end)
		x.silence()
	},
	func(x *exchange) { // hints before the answer
		if x.r.ProtoMajor == 1 { // in HTTP/2 net/http may still read the header while the answer sets its own
			x.w.Header().Set("Link", "</hint>")
			x.w.WriteHeader(http.StatusEarlyHints)
		}
		plain(x)
	},
}

// plain sends a stream event by event, and JSON at once.
func plain(x *exchange) {
	if !x.stream {
		x.answer(http.StatusOK, "application/json", x.format.whole(strings.Join(x.words, "")))
		return
	}
	x.half()
	x.rest()
	x.send(x.finish, x.end)
}

// A fault is one failure of a provider.
type fault struct {
	name string
	play behaviour
}

var faults = []fault{
	{"429 for 20 ms", status(429, "Retry-After-Ms", "20")},
	{"429 for a second", status(429, "Retry-After", "1")},
	{"500", status(500)},
	{"503", status(503)},
	{"401", status(401)},
	{"403", status(403)},
	{"400", status(400)},
	{"404", status(404)},
	{"a redirect", status(307, "Location", "http://example.com/")},
	{"an endless error", func(x *exchange) {
		x.w.Header().Set("Content-Type", "application/json")
		x.w.WriteHeader(http.StatusInternalServerError)
		for x.r.Context().Err() == nil {
			x.send(strings.Repeat(" ", 64<<10))
			x.pause(5 * time.Millisecond)
		}
	}},
	{"an abort before the header", func(*exchange) { panic(http.ErrAbortHandler) }},
	{"an abort in the stream", func(x *exchange) {
		x.half()
		panic(http.ErrAbortHandler)
	}},
	{"the connection dies before the header", func(x *exchange) { x.breakConn("", 0) }},
	{"the connection dies in the stream", func(x *exchange) {
		x.half()
		x.breakConn("", 0)
	}},
	{"the connection ends in the stream", func(x *exchange) {
		x.half()
		x.breakConn("", -1)
	}},
	{"garbage in place of an answer", func(x *exchange) { x.breakConn("SSH-2.0-OpenSSH_9.9\r\n\r\n", -1) }},
	{"garbage in the stream", func(x *exchange) {
		x.half()
		x.breakConn("SSH-2.0-OpenSSH_9.9\r\n\r\n", -1)
	}},
	{"a header that is too large", func(x *exchange) {
		for i := range 400 {
			x.w.Header().Set("X-Pad-"+strconv.Itoa(i), strings.Repeat("z", 1000))
		}
		plain(x)
	}},
	{"a stream without its end", func(x *exchange) { x.half() }},
	{"a stream that ends within an event", func(x *exchange) {
		x.half()
		x.send(x.piece("never whole")[:20])
	}},
	{"a stall in the stream", func(x *exchange) {
		x.half()
		x.silence()
	}},
	{"silence", func(x *exchange) { x.silence() }},
	{"the header alone", func(x *exchange) {
		x.w.Header().Set("Content-Type", "text/event-stream")
		x.w.WriteHeader(http.StatusOK)
		x.send("")
		x.silence()
	}},
	{"pings alone", func(x *exchange) {
		for x.r.Context().Err() == nil {
			x.send(": ping\n\n")
			x.pause(20 * time.Millisecond)
		}
	}},
	{"an error as the first event", func(x *exchange) { x.send(x.failed("overloaded by <" + x.id + ">")) }},
	{"an error behind content", func(x *exchange) {
		x.half()
		x.send(x.failed("overloaded by <" + x.id + ">"))
	}},
	{"an error under 200", func(x *exchange) { x.answer(http.StatusOK, "application/json", x.failure("overloaded by <"+x.id+">")) }},
	{"a sign-in page", func(x *exchange) { x.answer(http.StatusOK, "text/html", "<html>sign in</html>") }},
	{"an empty answer", func(x *exchange) { x.answer(http.StatusOK, "application/json", "") }},
	{"JSON that ends too early", func(x *exchange) {
		body := x.format.whole(strings.Join(x.words, ""))
		x.answer(http.StatusOK, "application/json", body[:len(body)*2/3])
	}},
	{"JSON below its length", func(x *exchange) {
		body := x.format.whole(strings.Join(x.words, ""))
		x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		x.answer(http.StatusOK, "application/json", body[:len(body)*2/3])
	}},
	{"JSON that comes for ever", func(x *exchange) {
		x.w.Header().Set("Content-Type", "application/json")
		for x.r.Context().Err() == nil {
			x.send(" ")
			x.pause(20 * time.Millisecond)
		}
	}},
	{"gzip that ends too early", func(x *exchange) {
		x.coded("gzip", func(text string) []byte { all := gzipped(text); return all[:len(all)*2/3] })
	}},
	{"zstd that ends too early", func(x *exchange) {
		x.coded("zstd", func(text string) []byte { all := zstdFramed(text); return all[:len(all)*2/3] })
	}},
}

// status answers with an error.
func status(code int, header ...string) behaviour {
	return func(x *exchange) {
		for i := 0; i+1 < len(header); i += 2 {
			x.w.Header().Set(header[i], header[i+1])
		}
		x.answer(code, "application/json", x.failure("status "+strconv.Itoa(code)+" for <"+x.id+">"))
	}
}

// coded answers in a content coding.
func (x *exchange) coded(name string, encode func(string) []byte) {
	kind, body := x.whole()
	x.w.Header().Set("Content-Encoding", name)
	x.answer(http.StatusOK, kind, string(encode(body)))
}

// keepalivePause is longer than the gateway's keepalive, and shorter than its
// timeouts.
const keepalivePause = keepalive + 150*time.Millisecond

// codedSlowly answers as zstd, with a block for each event, a pause behind one of
// them, and the last block as the end. Raw blocks end like events.
func (x *exchange) codedSlowly(pauses int) {
	kind, body := x.whole()
	x.w.Header().Set("Content-Type", kind)
	x.w.Header().Set("Content-Encoding", "zstd")
	blocks := strings.SplitAfter(body, "\n\n")
	x.send("\x28\xb5\x2f\xfd\x00\x58") // the frame's header, with a window of 2 MiB
	for i, block := range blocks {
		for len(block) > 0 {
			n := min(len(block), 128<<10)
			x.send(string([]byte{byte(n << 3), byte(n >> 5), byte(n >> 13)}) + block[:n])
			block = block[n:]
		}
		if i == 0 && pauses > 0 || i == len(blocks)/2 && pauses > 1 {
			x.pause(keepalivePause)
		}
	}
	x.send("\x01\x00\x00")
}

func gzipped(text string) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		panic(err)
	}
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

// zstdFramed is a frame of RFC 8878 with raw blocks.
func zstdFramed(text string) []byte {
	const (
		magic       = 0xFD2FB528
		sizeOf4     = 0x80 // bytes of the frame's size
		singlePart  = 0x20
		blockLength = 128 << 10
	)
	out := binary.LittleEndian.AppendUint32(nil, magic)
	out = append(out, sizeOf4|singlePart)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(text))) //nolint:gosec // some MiB
	for {
		n := min(len(text), blockLength)
		header := n << 3
		if n == len(text) {
			header |= 1 // the last
		}
		out = append(out, byte(header), byte(header>>8), byte(header>>16))
		out = append(out, text[:n]...)
		if text = text[n:]; text == "" {
			return out
		}
	}
}
