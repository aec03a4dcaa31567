package gatewayotel_test

import (
	"net/http"

	"github.com/aigateway-go/aigateway"
	gatewayotel "github.com/aigateway-go/aigateway/contrib/otel"
)

// The README shows this one; a test holds the two together.
func Example() {
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	if err != nil {
		return // say it
	}
	o := gatewayotel.Options{ // nil providers: the global ones
		Propagate: []string{"ollama"}, // the only provider that gets a traceparent
	}
	cfg.Hooks = gatewayotel.Hooks(o)
	cfg.Transport = gatewayotel.Transport(nil) // for Propagate alone
	gateway, err := aigateway.New(cfg)
	if err != nil {
		return // say it
	}
	http.Handle("/v1/", gateway)
}
