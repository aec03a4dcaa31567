package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// outcome is the end of a request.
type outcome int

const (
	answered outcome = iota // whole
	refused                 // an error, whole
	broken                  // the connection was aborted
	left                    // by the client
	outcomes
)

func (o outcome) String() string { return [...]string{"answered", "refused", "broken", "left"}[o] }

// send sends one request of some kind. Its answer must be whole, or an error, or end in
// an aborted connection.
func (s *soak) send(ctx context.Context) {
	f := s.random
	body, contentType, path := `{"model":"m","messages":[]}`, "application/json", "/v1/chat/completions"
	stream, leaves := false, false
	switch n := f.intN(20); {
	case n < 8:
		body, stream = `{"model":"m","stream":true,"messages":[]}`, true
	case n < 10:
		body = `{"model":"m","messages":["` + strings.Repeat("long ", 40_000) + `"]}`
	case n < 12:
		body, stream, leaves = `{"models":["p1:m","p2:other"],"stream":true}`, true, true
	case n == 12:
		body = `{"model":`
	case n == 13:
		body = `{"model":"nobody"}`
	case n == 14:
		path, contentType = "/v1/audio/transcriptions", "multipart/form-data; boundary=b"
		body = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n"
	case n == 15:
		leaves = true
	}
	if leaves {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(f.intN(60))*time.Millisecond)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.fault("%v", err)
		return
	}
	req.Header.Set("Content-Type", contentType)
	o := s.receive(req, stream)
	s.count[o].Add(1)
}

func (s *soak) receive(req *http.Request, stream bool) outcome {
	resp, err := s.client.Do(req)
	if err != nil {
		return s.failed(req, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return s.failed(req, err)
	case resp.StatusCode != http.StatusOK:
		if !bytes.Contains(data, []byte(`"error"`)) {
			s.fault("%d without an error: %.200s", resp.StatusCode, data)
		}
		return refused
	case resp.Header.Get("Content-Type") == "text/event-stream" && stream && !bytes.Contains(data, []byte(`"finish_reason":"stop"`)):
		s.fault("half a stream that looks whole: %.200s", data)
	case len(data) == 0:
		s.fault("an empty answer")
	}
	return answered
}

func (s *soak) failed(req *http.Request, err error) outcome {
	if req.Context().Err() != nil {
		return left
	}
	if !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
		s.fault("%v", err)
	}
	return broken
}
