package faultwall

import (
	"fmt"
	"net/http"
	"strings"
)

// SecretMark is in every credential of the wall: the keys of its providers, the
// header and the parameter that each wants besides, and all that its clients
// authenticate themselves with. A provider tells what it was sent whenever it
// fails. Where the secret mark comes out at the other end, a secret has leaked: what is
// shown of a redacted one stands around it.
const SecretMark = "4242of-a-secret4242"

// Whose a credential is.
const (
	ownerPrimary  = "primary"
	ownerFallback = "fallback"
	ownerClient   = "client"
)

// credential is one that is told from others by a word.
func credential(owner, word string) string {
	return "sk-" + owner + "-" + word + "-" + SecretMark + "-the-end"
}

// primaryKey is a key of the primary's.
func primaryKey(word string) string { return credential(ownerPrimary, word) }

// secretHeader and secretParam are those that a provider wants besides its key.
const (
	secretHeader = "X-Wall-Auth"
	secretParam  = "access_token"
)

// secrets puts a header and a parameter into a provider's config.
func secrets(provider map[string]any, owner string) {
	provider["headers"] = map[string]string{secretHeader: credential(owner, "header")}
	provider["query_params"] = map[string]string{secretParam: credential(owner, "param")}
}

// clientSecrets authenticates a client in all ways that there are.
func clientSecrets(r *http.Request) {
	r.Header.Set("Authorization", "Bearer "+credential(ownerClient, "bearer"))
	r.Header.Set("X-Api-Key", credential(ownerClient, "xapikey"))
	r.Header.Set("Cookie", "session="+credential(ownerClient, "cookie"))
	r.Header.Set("X-Session-Token", credential(ownerClient, "token"))
	r.URL.RawQuery = "api_key=" + credential(ownerClient, "param")
}

// stray is the first credential in a request that is not its owner's; empty
// where there is none.
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

// Credentials is all that came with the request and is secret, in one line.
func (t *Exchange) Credentials() string {
	return strings.Join([]string{t.Header.Get("Authorization"), t.Header.Get("X-Api-Key"), t.Header.Get(secretHeader), t.uri}, " ")
}
