package faultwall

import (
	"fmt"
	"net/http"
	"strings"
)

// SecretMark is in every credential of the wall: the keys of its providers,
// their secret headers and parameters, and the client's own credentials.
// Whenever a provider fails, it repeats its request's credentials. A secret has
// leaked if the mark comes out at the other end. Redaction shows only the text
// around the mark.
const SecretMark = "4242of-a-secret4242"

// The owners of credentials.
const (
	ownerPrimary  = "primary"
	ownerFallback = "fallback"
	ownerClient   = "client"
)

// credential is a credential of an owner; the word distinguishes it.
func credential(owner, word string) string {
	return "sk-" + owner + "-" + word + "-" + SecretMark + "-the-end"
}

// primaryKey is a key of the primary.
func primaryKey(word string) string { return credential(ownerPrimary, word) }

// secretHeader and secretParam carry further credentials of a provider.
const (
	secretHeader = "X-Wall-Auth"
	secretParam  = "access_token"
)

// secrets adds a header and a parameter to a provider's config.
func secrets(provider map[string]any, owner string) {
	provider["headers"] = map[string]string{secretHeader: credential(owner, "header")}
	provider["query_params"] = map[string]string{secretParam: credential(owner, "param")}
}

// clientSecrets authenticates a client in every way.
func clientSecrets(r *http.Request) {
	r.Header.Set("Authorization", "Bearer "+credential(ownerClient, "bearer"))
	r.Header.Set("X-Api-Key", credential(ownerClient, "xapikey"))
	r.Header.Set("Cookie", "session="+credential(ownerClient, "cookie"))
	r.Header.Set("X-Session-Token", credential(ownerClient, "token"))
	r.URL.RawQuery = "api_key=" + credential(ownerClient, "param")
}

// stray returns the first credential of another owner in a request, and ""
// without one.
func stray(owner string, r *http.Request, body []byte) string {
	text := fmt.Sprint(r.RequestURI, r.Header, string(body))
	for {
		at := strings.Index(text, SecretMark)
		if at < 0 {
			return ""
		}
		found := text[strings.LastIndex(text[:at], "sk-"):at]
		if !strings.HasPrefix(found, "sk-"+owner+"-") {
			return found
		}
		text = text[at+len(SecretMark):]
	}
}

// Credentials returns all credentials of the request, in one line.
func (t *Exchange) Credentials() string {
	return strings.Join([]string{t.Header.Get("Authorization"), t.Header.Get("X-Api-Key"), t.Header.Get(secretHeader), t.uri}, " ")
}
