package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// guard keeps pages of others, open in a browser, away from a handler. Its refusals
// are JSON in the OpenAI format, and are logged.
type guard struct {
	hosts   hosts
	origins *origins
	logger  *slog.Logger
}

// host lets pass only requests with a Host that the listener answers to. It comes before
// origin: after a rebinding the browser takes both for the same origin.
func (g *guard) host(listener net.Addr, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.hosts.allow(listener, r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		g.refuse(w, r, refusal{
			// Not 403: credentials would not help. The request is at the wrong server.
			status: http.StatusMisdirectedRequest, code: "host_not_allowed",
			message: fmt.Sprintf("this server does not answer to the host %q", clip(r.Host)),
			remedy:  "list the name in -hosts if clients may use it",
		})
	})
}

// origin refuses the requests of other web pages than the server's own and the listed
// ones. SDKs and services are no pages, and pass. Listed pages get the headers by which
// their browser shows them the answer.
func (g *guard) origin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Answers differ by origin, refusals included, and a cache must know.
		if g.origins.any() {
			w.Header().Add("Vary", "Origin")
		}
		switch {
		case g.origins.has(r):
			allowOrigin(w.Header(), r)
			if isPreflight(r) { // it asks the server, and not the gateway
				w.WriteHeader(http.StatusNoContent)
				return
			}
		case g.origins.isForeign(r):
			g.refuse(w, r, refusal{
				status: http.StatusForbidden, code: "origin_not_allowed",
				message: "pages of this origin may not use this server",
				remedy:  "list the origin in -cors if its pages may spend the keys",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refusal is an answer to a request that reaches no handler. Message is for the client,
// and remedy for the operator, in the log only.
type refusal struct {
	status                int
	code, message, remedy string
}

// refuse logs the request and answers it. A page of another origin cannot read the
// answer: its browser keeps it. It is for the developer who looks at the traffic.
func (g *guard) refuse(w http.ResponseWriter, r *http.Request, why refusal) {
	g.logger.Warn("request refused",
		"error.type", why.code, "error.message", why.message, "http.response.status_code", why.status, "remedy", why.remedy,
		"http.request.method", clip(r.Method), "url.path", clip(r.URL.Path),
		"host", clip(r.Host), "origin", clip(r.Header.Get("Origin")), "client.address", r.RemoteAddr)
	body, err := json.Marshal(map[string]any{"error": map[string]any{
		"message": why.message, "type": "invalid_request_error", "param": nil, "code": why.code,
	}})
	if err != nil {
		panic(err) // it holds only strings
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(why.status)
	w.Write(body)
}

// clip bounds a client's text for a log line: a header may have a megabyte.
func clip(s string) string {
	const most = 200 // bytes
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
