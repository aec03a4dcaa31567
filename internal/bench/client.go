package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// client is one connection to a server under test. Like the upstream it writes
// HTTP by hand: its time is in both sides of each ratio.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(addr string, size int) (*client, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{c, bufio.NewReaderSize(c, size)}, nil
}

// request is a chat request as an SDK would send it.
func request(body []byte) []byte { return requestTo("/v1/chat/completions", body) }

func requestTo(path string, body []byte) []byte {
	head := fmt.Sprintf("POST "+path+" HTTP/1.1\r\nHost: gateway\r\nAccept: application/json\r\n"+
		"Authorization: Bearer sk-client\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 2.0\r\n"+
		"X-Stainless-Lang: python\r\nX-Session-Id: session-1\r\nContent-Length: %d\r\n\r\n", len(body))
	return append([]byte(head), body...)
}

// chatBody is the body of a request for a model. It asks for a stream if the model
// answers with one.
func chatBody(model string, size int) []byte {
	if model == modelFast || model == modelSlow {
		return gatewaytest.ChatStreamBody(model, size)
	}
	return gatewaytest.ChatBody(model, size)
}

// do sends a request and reads its answer to the end. first, if not nil, gets
// the time of the answer's first bytes.
func (c *client) do(request []byte, first *time.Time) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	length, err := c.head()
	if err != nil {
		return err
	}
	if first != nil {
		if _, err := c.in.Peek(1); err != nil {
			return err
		}
		*first = time.Now()
	}
	if length >= 0 {
		_, err = c.in.Discard(length)
		return err
	}
	for {
		n, err := c.chunk()
		if err != nil {
			return err
		}
		if n == 0 {
			return c.trailer()
		}
		if _, err := c.in.Discard(n + 2); err != nil {
			return err
		}
	}
}

// trailer reads to the end of what follows the last chunk.
func (c *client) trailer() error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil || len(line) <= len("\r\n") {
			return err
		}
	}
}

var errStatus = errors.New("the answer's status is not 200")

// head reads the head of an answer. The length is negative for chunks.
func (c *client) head() (length int, err error) {
	length = -1
	for n := 0; ; n++ {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if n == 0 && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			rest, _ := io.ReadAll(io.LimitReader(c.in, 500))
			return 0, fmt.Errorf("%w: %s%s", errStatus, line, rest)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return length, nil
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
}

// chunk reads the length of the next chunk.
func (c *client) chunk() (int, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(bytes.TrimRight(line, "\r\n")), 16, 32)
	return int(n), err
}

// clients are the connections of one load.
type clients []*client

func connect(addr string, n int) (clients, error) {
	var cs clients
	for range n {
		c, err := dial(addr, 64<<10)
		if err != nil {
			cs.close()
			return nil, err
		}
		cs = append(cs, c)
	}
	return cs, nil
}

func (cs clients) close() {
	for _, c := range cs {
		c.conn.Close()
	}
}

// load sends a request over all connections, again and again, for a time, and
// returns the answers a second.
func (cs clients) load(request []byte, d time.Duration) (perSecond float64, count int, err error) {
	var (
		wg    sync.WaitGroup
		total atomic.Int64
		fail  atomic.Pointer[error]
		start = time.Now()
	)
	for _, c := range cs {
		wg.Go(func() {
			n := 0
			for time.Since(start) < d {
				if err := c.do(request, nil); err != nil {
					fail.Store(&err)
					return
				}
				n++
			}
			total.Add(int64(n))
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	if err := fail.Load(); err != nil {
		return 0, 0, *err
	}
	return float64(total.Load()) / elapsed.Seconds(), int(total.Load()), nil
}
