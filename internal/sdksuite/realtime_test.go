package sdksuite

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the handshake of WebSockets is made of it
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// largeDelta is longer than the gateway's buffer, and needs a length of 8 bytes.
const largeDelta = 70_000

// realtimeServer speaks a session of one response.
func realtimeServer(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer sk-upstream" || strings.Contains(r.Header.Get("Sec-Websocket-Protocol"), "api-key") {
		http.Error(w, `{"error":{"message":"unknown key"}}`, http.StatusUnauthorized)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see the import
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\nSec-WebSocket-Protocol: realtime\r\n\r\n")
	send(conn, 0x81, `{"type":"session.created","session":{"id":"sess_1"}}`)
	for {
		op, payload, err := receive(rw.Reader)
		if err != nil {
			return
		}
		var event struct {
			Type string
			Item json.RawMessage
		}
		switch json.Unmarshal(payload, &event); { //nolint:errcheck // a close frame has no JSON
		case op == 8:
			send(conn, 0x88, string(payload))
			return
		case event.Type == "conversation.item.create":
			send(conn, 0x89, "ping")
			send(conn, 0x81, `{"type":"conversation.item.created","item":`+string(event.Item)+`}`)
		case event.Type == "response.create":
			send(conn, 0x81, `{"type":"response.output_text.delta","delta":"`+strings.Repeat("x", largeDelta)+`"}`)
			// In two fragments, with a ping between them.
			send(conn, 0x01, `{"type":"response.done","response":{"id":"resp_1","status":"completed",`)
			send(conn, 0x89, "")
			send(conn, 0x80, `"usage":{"total_tokens":30,"input_tokens":20,"output_tokens":10}}}`)
		}
	}
}

// send writes a server's frame.
func send(w io.Writer, first byte, payload string) {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	w.Write(append(b, payload...)) //nolint:errcheck // the client has left then
}

// receive reads a client's frame of less than 64 KiB.
func receive(r *bufio.Reader) (op byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(head[1] & 0x7f)
	if n == 126 {
		var length [2]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(length[:]))
	}
	b := make([]byte, 4+n)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, err
	}
	for i := range b[4:] {
		b[4+i] ^= b[i%4]
	}
	return head[0] & 0x0f, b[4:], nil
}

// The realtime client of the Node.js SDK talks through the gateway. Its key is in a
// subprotocol, as in a browser.
func TestRealtimeNode(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(realtimeServer))
	defer up.Close()
	done := make(chan *aigateway.Result, 1)
	gateway, err := aigateway.New(aigateway.Config{
		Registry: aigateway.NoRegistry(), InternalEndpoints: map[string]string{"p.internal": up.URL},
		Providers: []aigateway.Provider{{
			ID: "p", BaseURL: "http://p.internal", APIKeys: []aigateway.APIKey{{Value: "sk-upstream"}}, Models: []aigateway.Model{{ID: "m"}},
		}},
		Hooks: &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { done <- res }},
	})
	require.NoError(t, err)
	server := httptest.NewTLSServer(gateway) // the SDK speaks wss alone
	defer server.Close()
	cmd := exec.CommandContext(t.Context(), nodeBinary(t), filepath.Join("node", "realtime.mjs"))
	cmd.Env = append(os.Environ(), "SUITE_URL="+server.URL, "SUITE_KEY="+clientKey, "NODE_TLS_REJECT_UNAUTHORIZED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	assert.JSONEq(t, `["session.created", "conversation.item.created", "hé", "response.output_text.delta", 70000, "response.done", "closed 1000 realtime"]`,
		string(stdout), "%s", &stderr)
	res := <-done
	assert.Equal(t, aigateway.StatusSuccess, res.Status)
	require.NotNil(t, res.Usage)
	assert.EqualValues(t, 20, res.Usage.InputTokens)
	assert.EqualValues(t, 10, res.Usage.OutputTokens)
}
