// Command mount is the smallest service with an embedded gateway.
package main

import (
	"log"
	"net/http"

	"github.com/aigateway-go/aigateway"
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
	mux := http.NewServeMux()
	mux.Handle("/v1/", gateway)
	log.Fatal(http.ListenAndServe("localhost:8080", mux))
}
