// Command example is a gateway whose key lies in Vault. Vault and the provider are
// stand-ins in the same process.
//
//	go run ./example
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/aigateway-go/aigateway"
	gatewayvault "github.com/aigateway-go/aigateway/contrib/vault"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run asks the gateway once.
func run(ctx context.Context, out io.Writer) error {
	vault := httptest.NewServer(http.HandlerFunc(serveVault))
	defer vault.Close()
	openai := httptest.NewServer(http.HandlerFunc(serveOpenAI))
	defer openai.Close()

	// In a pod: Auth: gatewayvault.Kubernetes("", "gateway").
	store, err := gatewayvault.New(gatewayvault.Options{Address: vault.URL, Namespace: "team-a/", Auth: gatewayvault.Token("hvs.example")})
	if err != nil {
		return err
	}
	gateway, err := aigateway.New(aigateway.Config{
		Providers: []aigateway.Provider{{
			ID: "mine", BaseURL: "http://mine.internal", APIKeys: []aigateway.APIKey{{Value: "${secrets.get('mine', 'api-key')}"}},
		}},
		InternalEndpoints: map[string]string{"mine.internal": openai.URL},
		Secrets:           store,
	})
	if err != nil {
		return err
	}
	if err := gateway.Check(ctx); err != nil {
		return err
	}
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"mine:gpt-4o","messages":[]}`)))
	_, err = fmt.Fprintln(out, w.Code, w.Body)
	return err
}

// serveVault has one secret in the key-value engine.
func serveVault(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("X-Vault-Token") != "hvs.example" || r.Header.Get("X-Vault-Namespace") != "team-a/":
		http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
	case r.URL.Path == "/v1/auth/token/lookup-self":
		io.WriteString(w, `{"data":{"ttl":3600,"renewable":true}}`)
	case r.URL.Path == "/v1/secret/data/mine":
		io.WriteString(w, `{"data":{"data":{"api-key":"sk-example"},"metadata":{"version":1}}}`)
	default:
		http.Error(w, `{"errors":[]}`, http.StatusNotFound)
	}
}

// serveOpenAI answers with the length of the key.
func serveOpenAI(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"choices":[{"message":{"role":"assistant","content":"a key of %d bytes"},"finish_reason":"stop"}]}`, len(key))
}
