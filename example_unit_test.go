package aigateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aigateway-go/aigateway"
)

// newService is what a service that embeds a gateway may look like. The test of
// it below stands in the README, with nothing but httptest.
func newService(gateway http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/ai/", gateway)
	return mux
}

func TestService(t *testing.T) {
	var calls atomic.Int32
	script := []int{http.StatusTooManyRequests, http.StatusOK}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(script[calls.Add(1)-1])
		io.WriteString(w, `{"choices":[{"message":{"content":"Hi!"}}]}`)
	}))
	defer upstream.Close()

	var result *aigateway.Result
	gateway, err := aigateway.New(aigateway.Config{
		Providers:         []aigateway.Provider{{ID: "stub", BaseURL: "http://stub.internal", APIKeys: []aigateway.APIKey{{Value: "one"}, {Value: "two"}}}},
		InternalEndpoints: map[string]string{"stub.internal": upstream.URL},
		Hooks:             &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { result = r }},
	})
	if err != nil {
		t.Fatal(err)
	}

	w := httptest.NewRecorder()
	newService(gateway).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/ai/v1/chat/completions", strings.NewReader(`{"model":"stub:any"}`)))
	if attempts := result.ModelsTried[0].RequestsMade; w.Code != http.StatusOK || len(attempts) != len(script) {
		t.Errorf("answered %d %s after %+v", w.Code, w.Body, attempts)
	}
}
