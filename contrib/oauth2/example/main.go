// Command example is a gateway whose provider takes tokens that live two seconds. The
// token endpoint and the provider are stand-ins in the same process.
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
	"sync/atomic"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	"github.com/aigateway-go/aigateway"
	gatewayoauth2 "github.com/aigateway-go/aigateway/contrib/oauth2"
)

func main() {
	if err := run(context.Background(), os.Stdout, 5, time.Second); err != nil {
		log.Fatal(err)
	}
}

// run asks the gateway several times, with a pause after each.
func run(ctx context.Context, out io.Writer, times int, pause time.Duration) error {
	issuer := new(issuer)
	login := httptest.NewServer(issuer)
	defer login.Close()
	vertex := httptest.NewServer(http.HandlerFunc(serveVertex))
	defer vertex.Close()

	credentials := clientcredentials.Config{ClientID: "gateway", ClientSecret: "an-example", TokenURL: login.URL}
	gateway, err := aigateway.New(aigateway.Config{
		Providers: []aigateway.Provider{{
			ID: "vertex", BaseURL: "http://vertex.internal", APIKeys: []aigateway.APIKey{{Value: "${secrets.get('vertex', 'token')}"}},
		}},
		InternalEndpoints: map[string]string{"vertex.internal": vertex.URL},
		Secrets:           gatewayoauth2.Func("vertex", "token", credentials.Token),
	})
	if err != nil {
		return err
	}
	for range times {
		w := httptest.NewRecorder()
		gateway.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"vertex:google/gemini-2.5-flash","messages":[]}`)))
		fmt.Fprintln(out, w.Code, w.Body)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// issuer gives tokens with a number.
type issuer struct{ given atomic.Int64 }

func (i *issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":2}`, i.given.Add(1))
}

// serveVertex answers with the token.
func serveVertex(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"choices":[{"message":{"role":"assistant","content":%q},"finish_reason":"stop"}]}`, r.Header.Get("Authorization"))
}
