package suite_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// One provider's odd list takes nothing from the others: names that no request could
// carry are left out, and a name that is an alias already stays the alias.
func TestDiscoverOddNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := func(id string) aigateway.Provider {
			return aigateway.Provider{ID: id, BaseURL: "http://" + id + ".internal", Discover: aigateway.DiscoverConfigured}
		}
		g := running(t, aigateway.Config{
			Providers: []aigateway.Provider{at("odd"), at("plain")},
			Aliases:   map[string][]string{"chat": {"plain:one"}},
		}, map[string]http.Handler{
			"odd":   newLister(`{"data":[{"id":"next\u0085line"},{"id":"line\u2028end"},{"id":"${MODEL}"},{"id":"chat"},{"id":"dear","pricing":{"input":99000000,"output":1}},{"id":"two"}]}`),
			"plain": newLister(`{"data":[{"id":"one"}]}`),
		})
		synctest.Wait()
		for name, want := range map[string]int{"one": 200, "two": 200, "dear": 200, "chat": 200, "${MODEL}": 404} {
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/models/"+name, nil))
			assert.Equal(t, want, w.Code, "%s: %s", name, w.Body)
			if name == "chat" {
				assert.Contains(t, w.Body.String(), `"providers":["plain"]`)
			}
		}
	})
}

// A gateway that takes up models shares no more with its Config than any other: later
// changes of the hooks do not reach it.
func TestDiscoverSharesNoHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := 0
		hooks := &aigateway.Hooks{RequestDone: func(context.Context, *aigateway.Result) { done++ }}
		gpu := newLister(`{"data":[{"id":"one"}]}`)
		g := running(t, aigateway.Config{
			Providers: []aigateway.Provider{{ID: "gpu", BaseURL: "http://gpu.internal", Discover: aigateway.DiscoverConfigured}},
			Hooks:     hooks,
		}, map[string]http.Handler{"gpu": gpu})
		synctest.Wait()
		hooks.RequestDone = func(context.Context, *aigateway.Result) { t.Error("the hooks are shared") }
		list := `{"data":[{"id":"one"},{"id":"two"}]}`
		gpu.list.Store(&list)
		gatewaytest.Pass(70 * time.Second)
		synctest.Wait()
		assert.Contains(t, offers(t, g), "two")
		assert.Equal(t, http.StatusOK, chat(g, "two"))
		assert.Positive(t, done)
	})
}
