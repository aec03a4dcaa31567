package relay

import (
	"net/http"
	"net/textproto"
	"strings"
)

// RemoveHopByHop deletes what concerns one connection alone (RFC 9110, section
// 7.6.1): the fields that Connection names, and those that are known to be such.
func RemoveHopByHop(h http.Header) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for name := range h {
		if hopByHop(http.CanonicalHeaderKey(name)) {
			delete(h, name)
		}
	}
}

// CopyResponseHeader sets in dst the fields of src that concern the answer, in
// place of what dst has under the same names; only to Vary it adds, as it is
// a list to which middleware contributes. Left out are the hop-by-hop fields and
// those by which a server speaks for its own origin: the client is talking to
// another one. The values are shared: append to them, but do not write to them.
func CopyResponseHeader(dst, src http.Header) {
	named := src["Connection"]
	for name, values := range src {
		key := http.CanonicalHeaderKey(name)
		if hopByHop(key) || ofOrigin(key) || namedIn(named, key) {
			continue
		}
		values = values[:len(values):len(values)]
		if key == "Vary" {
			values = append(dst[key][:len(dst[key]):len(dst[key])], values...)
		}
		dst[key] = values
	}
	if _, ok := src["Content-Type"]; !ok {
		dst["Content-Type"] = nil // nor does net/http guess one
	}
}

// hopByHop takes a name in canonical form, as does ofOrigin.
func hopByHop(key string) bool {
	switch key {
	case "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Http2-Settings":
		return true
	}
	// Proxy-Authenticate, Proxy-Authorization, the unofficial Proxy-Connection, …
	return strings.HasPrefix(key, "Proxy-")
}

func ofOrigin(key string) bool {
	switch key {
	case "Set-Cookie", "Set-Cookie2", "Alt-Svc", "Strict-Transport-Security",
		"Clear-Site-Data", "Public-Key-Pins", "Public-Key-Pins-Report-Only", "Expect-Ct",
		"Nel", "Report-To", "Reporting-Endpoints":
		return true
	}
	return strings.HasPrefix(key, "Access-Control-")
}

// namedIn reports whether one of the Connection fields names key. Most answers
// have none, so nothing is prepared for the look-up.
func namedIn(connection []string, key string) bool {
	for _, v := range connection {
		for name := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(textproto.TrimString(name), key) {
				return true
			}
		}
	}
	return false
}
