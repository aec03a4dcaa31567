package relay

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Each row is in canonical form, has a reason, stands once, and is left out.
func TestDropped(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Dropped {
		assert.Equal(t, http.CanonicalHeaderKey(f.Name), f.Name)
		assert.NotEmpty(t, f.Reason, f.Name)
		assert.False(t, seen[f.Name], "%s twice", f.Name)
		seen[f.Name] = true
		for _, name := range []string{f.Name, f.Name + "A", f.Name + "Zz-Z", f.Name[:len(f.Name)-1], f.Name[:len(f.Name)-1] + "~"} {
			want := false
			for _, f := range Dropped {
				want = want || name == f.Name || strings.HasSuffix(f.Name, "-") && strings.HasPrefix(name, f.Name)
			}
			assert.Equal(t, want, isDropped(name), name)
		}
	}
	dst := http.Header{}
	CopyResponseHeader(dst, http.Header{
		"X-Accel-Redirect": {"/secret"}, "X-Accel-Buffering": {"no"}, "X-Sendfile": {"/etc/passwd"}, "x-lighttpd-send-file": {"/etc/passwd"},
		"X-LIGHTTPD-send-tempfile": {"x"}, "X-Reproxy-Url": {"http://10.0.0.1"}, "X-Litespeed-Location": {"/x"}, "Refresh": {"0;url=https://evil"},
		"Www-Authenticate": {"Basic"}, "WWW-Authenticate": {"Basic"}, "Proxy-Authenticate": {"Basic"}, "Content-Security-Policy": {"x"}, "Content-Security-Policy-Report-Only": {"x"},
		"Link": {"<x>; rel=preload"}, "Service-Worker-Allowed": {"/"}, "Clear-Site-Data": {"*"}, "Set-Cookie2": {"x"}, "Report-To": {"{}"}, "NEL": {"{}"},
		"Location": {"https://evil"}, "SourceMap": {"x"}, "X-Frame-Options": {"DENY"}, "Public-Key-Pins": {"x"}, "Access-Control-Allow-Origin": {"*"},
		"Cross-Origin-Opener-Policy": {"x"}, "Permissions-Policy": {"x"}, "Surrogate-Control": {"x"},
	})
	assert.Equal(t, http.Header{"Content-Type": nil}, dst)
	// Headers that clients and SDKs read go on.
	kept := http.Header{
		"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}, "Retry-After": {"1"}, "Retry-After-Ms": {"900"}, "X-Should-Retry": {"false"},
		"X-Request-Id": {"a"}, "Request-Id": {"b"}, "Openai-Version": {"o"}, "Openai-Processing-Ms": {"1"}, "Anthropic-Ratelimit-Requests-Limit": {"1"},
		"X-Ratelimit-Remaining-Tokens": {"1"}, "Cache-Control": {"no-cache"}, "Etag": {"e"}, "Date": {"d"}, "Server": {"s"}, "Content-Disposition": {"attachment"},
		"X-Content-Type-Options": {"nosniff"}, "Cf-Ray": {"r"}, "X-Groq-Region": {"eu"},
	}
	dst = http.Header{}
	CopyResponseHeader(dst, kept)
	assert.Equal(t, kept, dst)
}
