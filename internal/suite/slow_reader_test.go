package suite_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// socketPipes are the server's ends of pipes, which give themselves to a reader's WriteTo
// as a TCP connection does.
type socketPipes struct {
	net.Listener
	plain   bool // they do not
	largest int  // write so far
}

func (l *socketPipes) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || l.plain {
		return struct{ net.Conn }{countedPipe{conn, l}}, err
	}
	return socketPipe{countedPipe{conn, l}}, nil
}

type countedPipe struct {
	net.Conn
	l *socketPipes
}

func (c countedPipe) Write(p []byte) (int, error) {
	c.l.largest = max(c.l.largest, len(p))
	return c.Conn.Write(p)
}

type socketPipe struct{ countedPipe }

func (c socketPipe) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.countedPipe, r) }

// A long answer of known length goes out in one write where the server lends its
// connection. A slow client is not cut for it while it keeps reading, and one that stops
// is left after client_timeout and an eighth of it.
func TestLongAnswersAndSlowReaders(t *testing.T) {
	const (
		patience = 8 * time.Second
		size     = 600 << 10
		piece    = 16 << 10
	)
	for name, c := range map[string]struct {
		plain  bool
		pause  time.Duration // before each piece that the client reads
		stalls int           // after so many pieces; zero: never
		atOnce bool          // the answer goes out in one write
	}{
		"fast":                       {atOnce: true},
		"fast, no connection lent":   {plain: true},
		"steady":                     {pause: time.Second, atOnce: true},
		"just fast enough":           {pause: patience / 5, atOnce: true},
		"too slow":                   {pause: patience / 2, stalls: -1, atOnce: true},
		"stalls at once":             {stalls: 1, atOnce: true},
		"stalls later":               {pause: time.Second, stalls: 12, atOnce: true},
		"slow, no connection lent":   {plain: true, pause: time.Second},
		"stalls, no connection lent": {plain: true, stalls: 12},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := gatewaytest.NewNetwork()
				answer := `{"choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("x", size) + `"}}]}`
				network.Serve(t, "a.internal", gatewaytest.Content("application/json", answer))
				cfg := testbed.Config(1, "a")
				cfg.Transport = network.Transport(t)
				cfg.ClientTimeout = aigateway.Duration(patience.String())
				done := results(&cfg)
				gateway, err := aigateway.New(cfg)
				require.NoError(t, err)
				pipes := &socketPipes{Listener: network.Listen("gateway.internal"), plain: c.plain}
				server := &http.Server{Handler: gateway}
				go server.Serve(pipes)
				defer server.Close()

				client := network.Transport(t)
				client.DisableKeepAlives = c.stalls != 0
				dials := 0
				client.DialContext = func(ctx context.Context, kind, addr string) (net.Conn, error) {
					dials++
					return network.Dial(ctx, kind, addr)
				}
				ask := func() *http.Response {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://gateway.internal/v1/chat/completions", strings.NewReader(testbed.ChatRequest))
					require.NoError(t, err)
					req.Header.Set("Content-Type", "application/json")
					resp, err := client.RoundTrip(req)
					require.NoError(t, err)
					return resp
				}
				resp := ask()
				defer resp.Body.Close()
				var got strings.Builder
				var last time.Time
				for n := 0; c.stalls <= 0 || n < c.stalls; n++ {
					gatewaytest.Pass(c.pause)
					last = time.Now()
					if _, err = io.CopyN(&got, resp.Body, piece); err != nil {
						break
					}
				}
				res := <-done
				assert.Equal(t, c.atOnce, pipes.largest > size/2, "the largest write is of %d bytes", pipes.largest)
				if c.stalls == 0 {
					require.ErrorIs(t, err, io.EOF)
					assert.Equal(t, answer, got.String())
					assert.Nil(t, res.Error)
					gatewaytest.Pass(2 * patience) // no deadline of the answer ends the connection
					again := ask()
					io.Copy(io.Discard, again.Body)
					again.Body.Close()
					assert.Equal(t, 1, dials)
					assert.Nil(t, (<-done).Error)
					return
				}
				require.NotNil(t, res.Error)
				assert.Equal(t, aigateway.CodeClientGone, res.Error.Code)
				assert.LessOrEqual(t, time.Since(last), patience+patience/8)
				assert.Less(t, got.Len(), len(answer))
			})
		})
	}
}
