package faultwall

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Reply is the answer, as a careful client reads it.
type Reply struct {
	Status int
	Header http.Header
	// Text is the model's text, and Model its reported name. Usage is set if the
	// tokens were reported, Ended if the answer marked its own end.
	Text  string
	Model string
	Usage bool
	Ended bool
	// Code and Message belong to an error. InBand is set if the error came as an
	// event of a stream.
	Code, Message string
	InBand        bool
	// Malformed counts unreadable events.
	Malformed int
	// Length is the length of the body in bytes.
	Length int64
	// Err is the error before or within the answer.
	Err error
	// Took is the time to its end.
	Took time.Duration
}

// Whole reports whether the client has a complete answer.
func (r *Reply) Whole() bool {
	return r.Status == http.StatusOK && r.Err == nil && r.Code == "" && r.Ended
}

// call is one request of a client.
type call struct {
	client *http.Client
	url    string // of the gateway
	format Format
	models []string // in the order of preference
	stream bool
}

// do sends the request and reads the answer to its end.
func (c call) do(ctx context.Context) *Reply {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begin := time.Now()
	r := new(Reply)
	r.Err = c.read(ctx, r)
	r.Took = time.Since(begin)
	return r
}

// patience is the time after which a client takes a gateway for hung.
const patience = 130 * time.Second

func (c call) read(ctx context.Context, r *Reply) error {
	body := map[string]any{
		"model": c.models[0], "models": c.models, "max_tokens": 100,
		"messages": []map[string]string{{"role": "user", "content": "What is the answer?"}},
	}
	if c.stream {
		body["stream"] = true
		if c.format == Format(chatFormat{}) {
			body["stream_options"] = map[string]bool{"include_usage": true}
		}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+c.format.Path(), bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	clientSecrets(req)
	// The transport would decompress silently, and hide whether the answer was
	// compressed.
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	r.Status, r.Header = resp.StatusCode, resp.Header
	counted := &counter{r: resp.Body}
	defer func() { r.Length = counted.n }()
	in := io.Reader(counted)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if in, err = gzip.NewReader(counted); err != nil {
			return err
		}
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return c.readEvents(in, r)
	}
	// The first MiB holds all content. The rest is only read to its end.
	first, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	switch {
	case err != nil:
		return err
	case r.Status != http.StatusOK:
		return c.format.failure(first, r)
	}
	return c.format.answer(first, r)
}

// readEvents reads a stream as the SDKs do, but goes on after an event that is
// not JSON.
func (c call) readEvents(in io.Reader, r *Reply) error {
	lines := bufio.NewReader(in)
	name := ""
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "event:"):
			name = strings.TrimSpace(line[len("event:"):])
		case strings.HasPrefix(line, "data:") && err == nil:
			if c.format.event(name, []byte(strings.TrimSpace(line[len("data:"):])), r) != nil {
				r.Malformed++
			}
		case line == "":
			name = ""
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// String summarises the reply in a few words.
func (r *Reply) String() string {
	switch {
	case r.Status == 0:
		return fmt.Sprintf("no answer: %v", r.Err)
	case r.Whole():
		return fmt.Sprintf("%d, whole, of %s", r.Status, r.Model)
	case r.Status != http.StatusOK:
		return strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, r.Code))
	case r.Code != "":
		return fmt.Sprintf("%d, %d words, then the error %s", r.Status, len(strings.Fields(r.Text)), r.Code)
	case r.Err != nil:
		return fmt.Sprintf("%d, %d words, then cut off", r.Status, len(strings.Fields(r.Text)))
	default:
		return fmt.Sprintf("%d, %d words that pass for all", r.Status, len(strings.Fields(r.Text)))
	}
}
