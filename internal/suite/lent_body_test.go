package suite_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hasty is an upstream that answers before it has read the body, and then reads what
// still comes. It reports the first byte that was not of the prompt.
func hasty(t *testing.T, status int) (url string, rest <-chan []byte) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	bodies := make(chan []byte, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				answer := `{"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`
				io.WriteString(conn, "HTTP/1.1 "+strconv.Itoa(status)+" \r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(answer))+"\r\n\r\n"+answer)
				body, _ := io.ReadAll(r.Body)
				bodies <- body
			}()
		}
	}()
	return "http://" + l.Addr().String(), bodies
}

// An upstream that answers early never sees what the owner of a lent body writes into it
// after the call.
func TestInProcessLentBodyOfAnEarlyAnswer(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			url, rest := hasty(t, status)
			cfg := testbed.Config(1, "a")
			cfg.InternalEndpoints = map[string]string{"a.internal": url}
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			body := []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("p", 16<<20) + `"}]}`)
			resp, err := g.Client().Post("http://gateway/v1/chat/completions", "application/json", bytes.NewReader(body))
			require.NoError(t, err)
			assert.Equal(t, status, resp.StatusCode)
			readAll(resp.Body)
			require.NoError(t, resp.Body.Close())
			scribble(body)
			got := <-rest
			assert.Less(t, len(got), len(body), "it was answered early")
			assert.Equal(t, -1, bytes.IndexByte(got, 'x'), "the upstream got bytes of the owner's next use")
		})
	}
}
