// Command gorilla mounts the gateway on a gorilla/mux router in several ways: below
// a prefix, on a subrouter behind middleware, and as middleware itself.
package main

import (
	"log"
	"net/http"

	"github.com/aigateway-go/aigateway"
	"github.com/gorilla/mux"
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
	r := mux.NewRouter()
	r.PathPrefix("/v1/").Handler(gateway) // base URL http://localhost:8080/v1

	team := r.PathPrefix("/team").Subrouter() // http://localhost:8080/team/v1
	team.Use(requireTeam)
	team.PathPrefix("/").Handler(http.StripPrefix("/team", gateway))

	// As middleware it takes the gateway's paths, and leaves the others to the
	// routes. mux runs middleware only on matching routes.
	app := r.PathPrefix("/app/").Subrouter()
	app.Use(gateway.Wrap)
	app.PathPrefix("/").HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("the service's own page\n"))
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
