package gatewayvault_test

import (
	"net/http"

	"github.com/aigateway-go/aigateway"
	gatewayvault "github.com/aigateway-go/aigateway/contrib/vault"
)

func Example() {
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	if err != nil {
		return // say it
	}
	vault, err := gatewayvault.New(gatewayvault.Options{
		Address: "https://vault.example.com:8200",
		Auth:    gatewayvault.Kubernetes("", "gateway"), // the mount and the role
	})
	if err != nil {
		return // say it
	}
	cfg.Secrets = aigateway.ChainSecrets(vault, aigateway.EnvSecrets())
	gateway, err := aigateway.New(cfg)
	if err != nil {
		return // say it
	}
	http.Handle("/v1/", gateway)
}
