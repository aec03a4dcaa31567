package relay

import (
	"slices"
	"strings"
)

// DroppedField is a response header that stays here, with the reason.
//
// Each row says why a client must not get the header.
type DroppedField struct {
	// Name is in canonical form. With a final hyphen it is the front of names.
	Name   string
	Reason string
}

// The reasons. A provider speaks for its own origin and its own servers. The
// client talks to another origin, and other servers stand in between.
const (
	// An answer of the gateway often passes nginx, Envoy or a CDN, and each obeys
	// such headers of its upstream.
	commandsProxy   = "commands the proxy in front of the gateway"
	commandsBrowser = "commands the browser"
	ofItsOrigin     = "speaks for the provider's origin"
	ofItsClients    = "asks for the provider's credentials"
	forItsCache     = "commands caches of the provider's own network"
	ofItsAccount    = "names the account behind the gateway's key"
)

// Dropped is every response header that [CopyResponseHeader] leaves out beside the
// hop-by-hop ones.
var Dropped = []DroppedField{
	// A file of the proxy's disk, or another URL, in place of the answer.
	{"X-Accel-", commandsProxy},   // nginx: -Redirect, -Expires, -Limit-Rate, -Buffering, -Charset
	{"X-Sendfile", commandsProxy}, // Apache, Lighttpd, Cherokee
	{"X-Sendfile2", commandsProxy},
	{"X-Sendfile-", commandsProxy},
	{"X-Send-File", commandsProxy},
	{"X-Lighttpd-", commandsProxy},  // -Send-File, -Send-Tempfile, -Kbytes-Per-Second
	{"X-Reproxy-", commandsProxy},   // Perlbal, mod_reproxy, H2O: -Url, -File, -Expected-Size
	{"X-Litespeed-", commandsProxy}, // -Location, -Cache-Control, -Purge, …
	{"X-Lsadc-", commandsProxy},
	{"X-Proxy-", commandsProxy},
	{"X-Internal-Redirect", commandsProxy},
	{"X-Envoy-", commandsProxy}, // x-envoy-ratelimited, -overloaded, -immediate-health-check-fail
	{"X-Forwarded-", commandsProxy},
	{"X-Original-", commandsProxy},
	{"X-Rewrite-", commandsProxy},
	{"X-Esi", commandsProxy},
	{"Edge-Control", forItsCache},
	{"Surrogate-", forItsCache}, // -Control, -Key, -Capability
	{"Cdn-Cache-Control", forItsCache},
	{"Cloudflare-Cdn-Cache-Control", forItsCache},
	{"Cache-Tag", forItsCache},
	{"Xkey", forItsCache},
	// The account is the operator's, and the client need not know it.
	{"Openai-Organization", ofItsAccount},
	{"Openai-Project", ofItsAccount},
	{"Anthropic-Organization-Id", ofItsAccount},
	{"X-Litellm-Key-", ofItsAccount}, // -Spend, -Max-Budget, -Tpm-Limit, -Rpm-Limit
	{"X-Litellm-Model-Api-Base", ofItsAccount},
	// URLs of the provider's own site.
	{"Content-Location", ofItsOrigin},
	{"Location", ofItsOrigin},
	// A page of the gateway's origin must not be redirected, or have its policy
	// set.
	{"Refresh", commandsBrowser},
	{"Link", commandsBrowser}, // preloads, and redirects of browsers' caches
	{"Sourcemap", commandsBrowser},
	{"X-Sourcemap", commandsBrowser},
	{"Service-Worker-Allowed", commandsBrowser},
	{"Speculation-Rules", commandsBrowser},
	{"Supports-Loading-Mode", commandsBrowser},
	{"Clear-Site-Data", commandsBrowser},
	{"Accept-Ch", commandsBrowser},
	{"Critical-Ch", commandsBrowser},
	{"Accept-Ch-Lifetime", commandsBrowser},
	{"Content-Security-Policy", commandsBrowser},
	{"Content-Security-Policy-Report-Only", commandsBrowser},
	{"X-Content-Security-Policy", commandsBrowser},
	{"X-Webkit-Csp", commandsBrowser},
	{"Permissions-Policy", commandsBrowser},
	{"Permissions-Policy-Report-Only", commandsBrowser},
	{"Feature-Policy", commandsBrowser},
	{"Document-Policy", commandsBrowser},
	{"Document-Policy-Report-Only", commandsBrowser},
	{"Referrer-Policy", commandsBrowser},
	{"X-Frame-Options", commandsBrowser},
	{"X-Xss-Protection", commandsBrowser},
	{"X-Permitted-Cross-Domain-Policies", commandsBrowser},
	{"X-Dns-Prefetch-Control", commandsBrowser},
	{"X-Ua-Compatible", commandsBrowser},
	{"Cross-Origin-", commandsBrowser}, // -Opener-Policy, -Embedder-Policy, -Resource-Policy
	{"Origin-Agent-Cluster", commandsBrowser},
	{"Timing-Allow-Origin", commandsBrowser},
	{"Integrity-Policy", commandsBrowser},
	{"Integrity-Policy-Report-Only", commandsBrowser},
	// CORS and cookies are for the service around the gateway to decide.
	{"Access-Control-", ofItsOrigin},
	{"Set-Cookie", ofItsOrigin},
	{"Set-Cookie2", ofItsOrigin},
	{"Set-Login", ofItsOrigin},
	{"Alt-Svc", ofItsOrigin},
	{"Alt-Used", ofItsOrigin},
	{"Strict-Transport-Security", ofItsOrigin},
	{"Public-Key-Pins", ofItsOrigin},
	{"Public-Key-Pins-Report-Only", ofItsOrigin},
	{"Expect-Ct", ofItsOrigin},
	{"Nel", ofItsOrigin},
	{"Report-To", ofItsOrigin},
	{"Reporting-Endpoints", ofItsOrigin},
	{"P3p", ofItsOrigin},
	// A browser would ask its user for a password.
	{"Www-Authenticate", ofItsClients},
	{"Authentication-Info", ofItsClients},
	{"Authentication-Control", ofItsClients},
	{"Optional-Www-Authenticate", ofItsClients},
	{"Sec-", commandsBrowser}, // -Session-Registration, -Websocket-…
}

// droppedNames and droppedFronts are Dropped for a look-up. The fronts are in order, and
// none of them begins another.
var droppedNames, droppedFronts = func() (map[string]struct{}, []string) {
	names := map[string]struct{}{}
	var fronts []string
	for _, f := range Dropped {
		if strings.HasSuffix(f.Name, "-") {
			fronts = append(fronts, f.Name)
		} else {
			names[f.Name] = struct{}{}
		}
	}
	slices.Sort(fronts)
	apart := fronts[:0]
	for _, front := range fronts {
		if n := len(apart); n == 0 || !strings.HasPrefix(front, apart[n-1]) {
			apart = append(apart, front)
		}
	}
	return names, apart
}()

// isDropped takes a name in canonical form.
//
// Headers beside the list pass: request ids, rate limits and timings are of use
// to clients. An answer may have dozens.
func isDropped(key string) bool {
	if _, ok := droppedNames[key]; ok {
		return true
	}
	// The front of a name is the last one that does not come after it.
	i, found := slices.BinarySearch(droppedFronts, key)
	return found || i > 0 && strings.HasPrefix(key, droppedFronts[i-1])
}
