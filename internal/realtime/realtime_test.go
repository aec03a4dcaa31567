package realtime_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aigateway-go/aigateway/internal/realtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const done = `{"type":"response.done","response":{"usage":{"input_tokens":1}}}`

// frame is a frame of a server.
func frame(first byte, payload string) string {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return string(b) + payload
}

// read has a tap read bytes in pieces of a size, and returns the messages it told.
func read(b string, size int) (told []string, boundary bool) {
	tap := realtime.Tap{Done: func(m []byte) { told = append(told, string(m)) }}
	for p := []byte(b); len(p) > 0; p = p[min(size, len(p)):] {
		tap.Read(p[:min(size, len(p))])
	}
	return told, tap.AtBoundary()
}

// A tap tells whole messages that end a response, wherever the reads split them.
func TestTap(t *testing.T) {
	long := `{"type":"response.done","pad":"` + strings.Repeat("x", 70_000) + `"}`
	late := `{"response":{"pad":"` + strings.Repeat("x", 300) + `"},"type":"response.done"}`
	for _, row := range []struct {
		name, bytes string
		want        []string
	}{
		{"one frame", frame(0x81, done), []string{done}},
		{"two messages", frame(0x81, done) + frame(0x81, done), []string{done, done}},
		{"a length of two bytes", frame(0x81, late), []string{late}},
		{"a length of eight bytes", frame(0x81, long), []string{long}},
		{"another type", frame(0x81, `{"type":"response.output_text.delta","delta":"x"}`) + frame(0x81, done), []string{done}},
		{"fragments around a ping", frame(0x01, done[:9]) + frame(0x89, "ping") + frame(0x00, done[9:20]) + frame(0x80, done[20:]), []string{done}},
		{"an empty last fragment", frame(0x01, done) + frame(0x80, ""), []string{done}},
		{"pings alone", frame(0x89, "") + frame(0x8a, done), nil},
		{"a binary message", frame(0x82, done), nil},
		{"a masked message", "\x81\x85\x01\x02\x03\x04hello" + frame(0x81, done), []string{done}},
		{"an empty message", frame(0x81, "") + frame(0x81, done), []string{done}},
		{"a message beyond the bound", frame(0x81, `{"response":"`+strings.Repeat("x", 2<<20)+`","type":"response.done"}`) + frame(0x81, done), []string{done}},
	} {
		for _, size := range []int{1, 2, 3, 7, 4096, len(row.bytes)} {
			told, boundary := read(row.bytes, size)
			assert.Equal(t, row.want, told, "%s, %d bytes at a time", row.name, size)
			assert.True(t, boundary, row.name)
		}
	}
	_, boundary := read(frame(0x81, done)[:5], 5)
	assert.False(t, boundary, "inside of a payload")
	_, boundary = read("\x81", 1)
	assert.False(t, boundary, "inside of a header")
}

// What a tap tells does not depend on the sizes of the reads.
func FuzzTap(f *testing.F) {
	f.Add([]byte(frame(0x01, done[:9])+frame(0x89, "ping")+frame(0x80, done[9:])), uint8(3))
	f.Add([]byte("\x81\x85\x01\x02\x03\x04hello"+frame(0x81, done)), uint8(1))
	f.Add([]byte("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		whole, at := read(string(b), max(len(b), 1))
		split, also := read(string(b), int(size)+1)
		require.Equal(t, whole, split)
		require.Equal(t, at, also)
	})
}

// A session ends after a silence of both sides, with a close frame. Any frame begins
// the silence anew.
func TestSessionIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, near := net.Pipe()
		server, far := net.Pipe()
		first := 0
		s := realtime.Session{
			Client: near, Buffered: strings.NewReader("early"), Server: far, Idle: 15 * time.Minute, Write: time.Minute,
			First: func() { first++ },
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Run(t.Context()) }()
		got := make([]byte, 5)
		_, err := io.ReadFull(server, got)
		require.NoError(t, err)
		assert.Equal(t, "early", string(got))
		begin := time.Now()
		for range 3 {
			time.Sleep(14 * time.Minute) //nolint:forbidigo // in a bubble
			_, err := io.WriteString(server, frame(0x81, "{}"))
			require.NoError(t, err)
			_, err = io.ReadFull(client, got[:4])
			require.NoError(t, err)
		}
		rest, err := io.ReadAll(client)
		require.NoError(t, err)
		assert.Equal(t, "\x88\x02\x03\xe9", string(rest))
		assert.Equal(t, 57*time.Minute, time.Since(begin))
		require.ErrorIs(t, <-ended, realtime.ErrIdle)
		assert.Equal(t, 1, first)
	})
}

// A client that leaves ends its session well, and a server that says goodbye does.
func TestSessionEnds(t *testing.T) {
	for _, row := range []struct {
		name string
		play func(client, server net.Conn)
		want error
	}{
		{"the client leaves", func(client, _ net.Conn) { client.Close() }, nil},
		{"the server closes", func(client, server net.Conn) {
			go io.Copy(io.Discard, client)
			io.WriteString(server, frame(0x88, "\x03\xe8"))
			server.Close()
		}, nil},
		{"the server leaves", func(_, server net.Conn) { server.Close() }, realtime.ErrServerGone},
	} {
		client, near := net.Pipe()
		server, far := net.Pipe()
		s := realtime.Session{Client: near, Buffered: bytes.NewReader(nil), Server: far, Idle: time.Hour, Write: time.Minute}
		ended := make(chan error, 1)
		go func() { ended <- s.Run(t.Context()) }()
		row.play(client, server)
		assert.True(t, errors.Is(<-ended, row.want), row.name)
	}
}

func TestCutKey(t *testing.T) {
	rest, key := realtime.CutKey([]string{"realtime, openai-insecure-api-key.sk-1", "v1"})
	assert.Equal(t, "realtime, v1", rest)
	assert.Equal(t, "sk-1", key)
	rest, key = realtime.CutKey(nil)
	assert.Empty(t, rest+key)
	for protocol, want := range map[string]string{
		"OpenAI-Insecure-API-Key.sk-1": "sk-1", "openai-ephemeral-user-key.ek_1": "ek_1", "my-token.a.b": "a.b", "bearer.x": "x",
		"openai-insecure-api-key.sk-1,openai-insecure-api-key.sk-2": "sk-1",
	} {
		rest, key := realtime.CutKey([]string{protocol})
		assert.Equal(t, want, key, protocol)
		assert.Empty(t, rest, protocol)
	}
	for _, protocol := range []string{"realtime", "openai-beta.realtime-v1", "openai-organization.org-1", "key", "a.key"} {
		rest, key := realtime.CutKey([]string{protocol})
		assert.Equal(t, protocol, rest)
		assert.Empty(t, key)
	}
}

func TestCutAccount(t *testing.T) {
	assert.Equal(t, "realtime, v1", realtime.CutAccount([]string{"realtime, OpenAI-Organization.org-1", "openai-project.proj_1,v1"}))
	assert.Empty(t, realtime.CutAccount([]string{"openai-project.proj_1"}))
}

// An answer must fit the key, and agree on nothing that was not offered.
func TestAccepts(t *testing.T) {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	for name, row := range map[string]struct {
		change  http.Header
		key     string
		offered []string
		want    bool
	}{
		"its key":                          {key: key, want: true},
		"another key":                      {key: "other"},
		"no upgrade":                       {change: http.Header{"Upgrade": nil}, key: key},
		"an offered subprotocol":           {change: http.Header{"Sec-Websocket-Protocol": {"realtime"}}, key: key, offered: []string{"v1, realtime"}, want: true},
		"none of the offered ones":         {key: key, offered: []string{"realtime"}, want: true},
		"another subprotocol":              {change: http.Header{"Sec-Websocket-Protocol": {"chat"}}, key: key, offered: []string{"realtime"}},
		"two of them":                      {change: http.Header{"Sec-Websocket-Protocol": {"v1, realtime"}}, key: key, offered: []string{"v1, realtime"}},
		"a subprotocol that nobody wanted": {change: http.Header{"Sec-Websocket-Protocol": {"realtime"}}, key: key, want: true},
		"an extension":                     {change: http.Header{"Sec-Websocket-Extensions": {"permessage-deflate"}}, key: key},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Upgrade": {"WebSocket"}, "Sec-Websocket-Accept": {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}}
			maps.Copy(h, row.change)
			assert.Equal(t, row.want, realtime.Accepts(h, row.key, row.offered))
		})
	}
	h := http.Header{"Sec-Websocket-Protocol": {"realtime"}}
	assert.Equal(t, []string{"realtime"}, realtime.Chosen(h, []string{"realtime"}))
	assert.Empty(t, realtime.Chosen(h, nil))
}
