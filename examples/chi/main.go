// Command chi mounts the gateway on a chi router in several ways: below a prefix,
// on a route, behind middleware for some routes only, and as middleware itself.
package main

import (
	"log"
	"net/http"

	"github.com/aigateway-go/aigateway"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func main() {
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	if err != nil {
		log.Fatal(err)
	}
	gateway, err := aigateway.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("localhost:8080", routes(gateway)))
}

func routes(gateway *aigateway.Gateway) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Logger, middleware.Recoverer)

	r.Handle("/v1/*", gateway)                        // base URL http://localhost:8080/v1
	r.Mount("/ai", gateway)                           // http://localhost:8080/ai/v1
	r.With(requireTeam).Handle("/team/v1/*", gateway) // http://localhost:8080/team/v1

	// As middleware it takes the gateway's paths, and leaves the others to the
	// routes.
	r.Group(func(r chi.Router) {
		r.Use(gateway.Wrap)
		r.HandleFunc("/app/*", func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("the service's own page\n"))
		})
	})
	return r
}

// requireTeam stands for a service's own check of its users.
func requireTeam(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Team") == "" {
			http.Error(w, "X-Team is missing", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
