package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// origins are the web pages that may use the server, as scheme://host:port. Pages of
// other origins can neither send requests nor read answers.
type origins struct {
	listed map[string]bool
	// own tells the server's own pages and clients without a page from others.
	own *http.CrossOriginProtection
}

// noOrigins allows the server's own pages only.
func noOrigins() *origins {
	return &origins{listed: map[string]bool{}, own: http.NewCrossOriginProtection()}
}

// parseOrigins reads the list of -cors.
func parseOrigins(list string) (*origins, error) {
	o := noOrigins()
	for origin := range fields(list) {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.Contains(origin, "*") {
			return nil, fmt.Errorf("%q must be an origin such as https://app.example or http://localhost:3000, without a path", origin)
		}
		o.listed[normalOrigin(u)] = true
	}
	return o, nil
}

// normalOrigin is an origin as browsers send it: in lower case, without the port of
// its scheme.
func normalOrigin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme + ":" + u.Port() {
	case "https:443", "http:80":
		host = strings.TrimSuffix(host, ":"+u.Port())
	}
	return u.Scheme + "://" + host
}

func (o *origins) any() bool { return len(o.listed) > 0 }

// has reports whether a request comes from a listed origin.
func (o *origins) has(r *http.Request) bool { return o.listed[r.Header.Get("Origin")] }

// isForeign reports whether a request comes from a page of another origin. Unlike
// [http.CrossOriginProtection] it takes no method for safe: a GET can open a
// WebSocket, and each request costs something.
func (o *origins) isForeign(r *http.Request) bool {
	asPost := *r
	asPost.Method = http.MethodPost
	return o.own.Check(&asPost) != nil
}

// isPreflight reports whether a browser asks before it sends a page's request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// allowOrigin sets the headers for a listed origin. Credentials of the browser's own,
// such as cookies, are not allowed: the server has no use for them.
func allowOrigin(h http.Header, r *http.Request) {
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	if !isPreflight(r) {
		h.Set("Access-Control-Expose-Headers", "*") // X-Request-Id, Retry-After, …
		return
	}
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	// The SDKs send many headers of their own, and ever more.
	if names := r.Header.Values("Access-Control-Request-Headers"); len(names) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(names, ", "))
	}
	// A public page asks so before it calls this machine or network.
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	h.Set("Access-Control-Max-Age", "600")
}
