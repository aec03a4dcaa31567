package relay

import (
	"net/http"
	"strings"

	"github.com/aigateway-go/aigateway/internal/header"
)

// CopyResponseHeader sets in dst the fields of src that concern the answer, in
// place of the fields of dst with the same names. To Vary it adds: middleware
// contributes to that list. Left out are the hop-by-hop fields and the fields of
// [Dropped]. The values are shared: append to them, but do not write to them.
func CopyResponseHeader(dst, src http.Header) {
	named := header.WordsOf(src["Connection"])
	for name, values := range src {
		key := http.CanonicalHeaderKey(name)
		if hopByHop(key) || isDropped(key) || named.Has(key) {
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

// ofBytes are the fields that vouch for the bytes of an answer.
var ofBytes = [...]string{"Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Etag", "Signature", "Signature-Input"}

// DropOfBytes deletes the fields that would be wrong about an answer with other bytes
// than its server sent.
func DropOfBytes(h http.Header) {
	for _, name := range ofBytes {
		delete(h, name)
	}
}

// hopByHop takes a name in canonical form.
func hopByHop(key string) bool {
	switch key {
	case "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Http2-Settings":
		return true
	}
	// Proxy-Authenticate, Proxy-Authorization, the unofficial Proxy-Connection, …
	return strings.HasPrefix(key, "Proxy-")
}
