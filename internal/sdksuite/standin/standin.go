// Package standin is an upstream for the SDK suite. It speaks the OpenAI and the
// Anthropic API over a real socket, and is as strict as they are about paths,
// credentials, versions, content types and fields.
//
// Only the model's name decides the answer (see [OpenAIModels]), so a case needs no
// set-up and no SDK option. A watched stream is sent one piece of content at a
// time: the next piece leaves when the client has reported, out of band, that it
// saw the one before.
package standin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Key is the stand-in's only API key.
const Key = "sk-standin-upstream"

// patience bounds each wait for the client. Without a fault the wait is over at
// once.
const patience = 10 * time.Second

// Request is one received request.
type Request struct {
	Method string
	Path   string // with the query
	Header http.Header
	Body   []byte
}

// Server is the upstream. Its methods are safe for concurrent use, but it takes
// part in one case at a time.
type Server struct {
	api     *httptest.Server
	control *httptest.Server

	mu    sync.Mutex
	scene *scene
	all   map[string]*scene
}

// scene is one case: its requests, and the client's progress.
type scene struct {
	mu       sync.Mutex
	changed  chan struct{} // closed, and replaced, at each change
	requests []Request
	arrived  int
	left     int // requests whose client went away
	seen     int // pieces of content that the client has seen
}

// New starts the upstream. Close it after use.
func New() *Server {
	s := &Server{all: map[string]*scene{}}
	s.Begin("")
	s.api = httptest.NewServer(http.HandlerFunc(s.serve))
	s.control = httptest.NewServer(http.HandlerFunc(s.serveControl))
	return s
}

// Close ends the upstream, and cuts open connections.
func (s *Server) Close() {
	s.api.CloseClientConnections()
	s.api.Close()
	s.control.Close()
}

// URL is the address of the API, without a path.
func (s *Server) URL() string { return s.api.URL }

// ControlURL is the address of Begin, Saw, Arrived and Left for scripts in other
// languages: POST /begin?case=NAME, /saw, /arrived, /left. The last two answer 504
// if they waited in vain.
func (s *Server) ControlURL() string { return s.control.URL }

// Begin names the case of all further requests.
func (s *Server) Begin(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scene = &scene{changed: make(chan struct{})}
	s.all[name] = s.scene
}

// Saw reports that the client has seen one more piece of streamed content.
func (s *Server) Saw() { s.current().update(func(c *scene) { c.seen++ }) }

// Arrived waits for a request of the case, and reports whether one came.
func (s *Server) Arrived() bool {
	return s.current().await(context.Background(), func(c *scene) bool { return c.arrived > 0 })
}

// Left waits until the upstream has noticed the departure of a client of the case,
// and reports whether it has.
func (s *Server) Left() bool {
	return s.current().await(context.Background(), func(c *scene) bool { return c.left > 0 })
}

// Requests returns the requests of a case.
func (s *Server) Requests(name string) []Request {
	s.mu.Lock()
	c := s.all[name]
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

func (s *Server) current() *scene {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.scene
}

func (c *scene) update(f func(*scene)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c)
	close(c.changed)
	c.changed = make(chan struct{})
}

// await waits until the condition holds, and reports whether it does.
func (c *scene) await(ctx context.Context, holds func(*scene) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		c.mu.Lock()
		ok, changed := holds(c), c.changed
		c.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	ok := true
	switch r.URL.Path {
	case "/begin":
		s.Begin(r.URL.Query().Get("case"))
	case "/saw":
		s.Saw()
	case "/arrived":
		ok = s.Arrived()
	case "/left":
		ok = s.Left()
	default:
		http.NotFound(w, r)
		return
	}
	if !ok {
		w.WriteHeader(http.StatusGatewayTimeout)
	}
}

// call is one request on its way through the checks to its answer.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	body  []byte
	scene *scene
	api   api

	model    string // with the scenario
	scenario string // what comes after "standin-", empty for the plain model
	fields   fields
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c := &call{w: w, r: r, scene: s.current(), api: apiOf(r)}
	var err error
	if c.body, err = io.ReadAll(r.Body); err != nil {
		return // the client left while it sent
	}
	c.scene.update(func(sc *scene) {
		sc.arrived++
		sc.requests = append(sc.requests, Request{r.Method, r.URL.RequestURI(), r.Header.Clone(), c.body})
	})
	defer func() {
		// The server cancels the context only after the handler, unless the
		// client was first.
		if r.Context().Err() != nil {
			c.scene.update(func(sc *scene) { sc.left++ })
		}
	}()
	c.commonHeaders()
	if f := c.check(); f != nil {
		c.fail(f)
		return
	}
	if f := c.scenarioFailure(); f != nil {
		c.fail(f)
		return
	}
	switch c.scenario {
	case "hang", "silent":
		<-r.Context().Done()
		return
	case "reset":
		panic(http.ErrAbortHandler)
	}
	c.endpoint().answer(c)
}

// commonHeaders are sent with every answer of the real APIs. A gateway does not
// need some of them.
func (c *call) commonHeaders() {
	h := c.w.Header()
	if c.api == anthropic {
		h.Set("Request-Id", "req_standin_1")
		h.Set("Anthropic-Ratelimit-Requests-Remaining", "49")
		h.Set("Anthropic-Ratelimit-Requests-Limit", "50")
	} else {
		h.Set("X-Request-Id", "req_standin_1")
		h.Set("Openai-Processing-Ms", "12")
		h.Set("X-Ratelimit-Remaining-Requests", "59")
		h.Set("X-Ratelimit-Limit-Requests", "60")
	}
	h.Set("Set-Cookie", "__cf_bm=standin; path=/; HttpOnly")
	h.Set("Alt-Svc", `h3=":443"; ma=86400`)
}

// json answers with a JSON text. $MODEL in it stands for the model's name.
func (c *call) json(text string) {
	c.w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(c.w, strings.ReplaceAll(text, "$MODEL", c.model))
}
