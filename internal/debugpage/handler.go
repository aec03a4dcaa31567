package debugpage

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// maxForm bounds a submitted form, in bytes.
const maxForm = 1 << 20

// Source gives the page its contents. Its functions are called on the goroutine of
// the request for the page.
type Source struct {
	// State returns the state at a time. The page may change it.
	State func(now time.Time) *State
	// Explain explains the request in q. It redacts secrets in q, because the form
	// shows q again. r is the request for the page.
	Explain func(r *http.Request, q *Question) *Explain
	// Paths are the choices of the form. The first is the default.
	Paths []string
}

// Handler serves the page by GET and HEAD. The form is sent by POST: it changes
// nothing, but a pasted request then stays out of addresses and logs.
type Handler struct {
	source Source
	page   *page
	// crossOrigin refuses forms of other sites. They could not read the answer, but
	// a dry run costs time.
	crossOrigin *http.CrossOriginProtection
}

// NewHandler returns a handler for a source. All functions of the source must be
// set.
func NewHandler(s Source) *Handler {
	return &Handler{source: s, page: newPage(), crossOrigin: http.NewCrossOriginProtection()}
}

// ServeHTTP answers with the page, or with JSON under format=json. Under
// only=failed, it shows only requests that failed or failed over. Under model, label
// and id, it shows only requests that have them. It does not read the path, so it
// works under any mount.
//
// The page is made in memory first, so that an error can still have a status of
// its own.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", h.page.policy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors

	// r.FormValue would read a body before it is bounded.
	query := r.URL.Query()
	format, only := query.Get("format"), query.Get("only")
	if format != "" && format != "html" && format != "json" {
		http.Error(w, "format is html or json", http.StatusBadRequest)
		return
	}
	if only != "" && only != "failed" {
		http.Error(w, "only is failed, or left out", http.StatusBadRequest)
		return
	}
	status := http.StatusOK
	q := Question{Path: h.source.Paths[0]}
	var answer *Explain
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		if err := h.crossOrigin.Check(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if q, status = question(w, r); status == http.StatusOK {
			answer = h.source.Explain(r, &q)
		} else {
			answer = &Explain{Error: "the form could not be read: it is for at most 1 MiB, sent as application/x-www-form-urlencoded"}
		}
	default:
		header.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "only GET, HEAD and POST", http.StatusMethodNotAllowed)
		return
	}
	state := h.source.State(time.Now())
	state.Explain = answer
	state.choose(only != "", Filter{Model: query.Get("model"), Label: query.Get("label"), ID: query.Get("id")})

	var body bytes.Buffer
	var err error
	if format == "json" {
		header.Set("Content-Type", "application/json")
		e := json.NewEncoder(&body)
		e.SetIndent("", "  ")
		err = e.Encode(state)
	} else {
		header.Set("Content-Type", "text/html; charset=utf-8")
		err = h.page.render(&body, state, h.source.Paths, q)
	}
	if err != nil {
		// The template and the types are fixed, so a test would have shown the
		// fault.
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body.Bytes()) //nolint:errcheck // nobody is left to tell
	}
}

// question reads the form.
//
// The status is 200 for a readable form. r.FormValue is not used: it would mix
// in the query.
func question(w http.ResponseWriter, r *http.Request) (Question, int) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return Question{}, http.StatusRequestEntityTooLarge
		}
		return Question{}, http.StatusBadRequest
	}
	if !r.PostForm.Has("body") {
		return Question{}, http.StatusUnsupportedMediaType
	}
	return Question{
		Path: r.PostForm.Get("path"), Header: r.PostForm.Get("header"), Body: r.PostForm.Get("body"),
	}, http.StatusOK
}
