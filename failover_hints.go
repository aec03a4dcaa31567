package aigateway

import (
	"fmt"
	"net/http"
)

// hint says what the operator should look at after a failure, in addition to
// its detail. It is for logs and Results, and never for the client.
func (a *attemptRecord) hint(f *failure) string {
	p := a.model.provider
	switch {
	case f.Kind == FailureConnect && p.hasTarget:
		return fmt.Sprintf("internal_endpoints says that %s is at %s://%s: is the service running there?",
			p.base.Host, p.target.Scheme, shownTarget(p.target.Host))
	case f.Kind == FailureConnect && isInternalHost(p.base.Hostname()):
		return fmt.Sprintf("%s was looked up as it is: if it is no name in this network, say under internal_endpoints where it is", p.base.Host)
	case f.Kind == FailureStatus && (f.Status == http.StatusUnauthorized || f.Status == http.StatusForbidden):
		if a.key == "" {
			return "no key was sent: give the provider api_keys, or its own header under headers"
		}
		return fmt.Sprintf("the key %s was sent as %s: see auth if the provider wants another header", a.key, a.sentAs)
	case f.Kind == FailureStatus && f.Status == http.StatusNotFound:
		return fmt.Sprintf("asked at %s for model %q: check base_url, and that the provider has the model under this very name", a.url, a.model.id)
	}
	return ""
}

// shownTarget is the host of a target; a unix socket by its path.
func shownTarget(host string) string {
	if socket := socketOf(host); socket != "" {
		return socket
	}
	return host
}
