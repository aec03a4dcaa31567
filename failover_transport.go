package aigateway

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// newTransport makes the transport of a gateway that was given none.
//
//   - Answers come as the provider sends them: no decompression behind the
//     client's back, and redirects are a matter of http.Client alone.
//   - Requests to the same provider share many idle connections: the default of
//     two a host would have most of them dial anew under load.
//   - An answer's header may take 256 KiB, which no provider comes near, so that
//     endless ones end.
//   - There is no limit on the time to an answer: the attempt's own covers it.
func newTransport(addrs AddrPolicy) *http.Transport {
	t := &http.Transport{
		Proxy:                  proxyExternal,
		DialContext:            dialContext(addrs),
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
	}
	if addrs != nil {
		t.Proxy = nil // the proxy would resolve the name, out of the policy's sight
	}
	return t
}

// proxyExternal uses the environment's proxy for all but .internal hosts, which
// no proxy knows.
func proxyExternal(r *http.Request) (*url.URL, error) {
	if strings.HasSuffix(strings.TrimSuffix(r.URL.Hostname(), "."), ".internal") {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}
