package gatewayoauth2_test

import (
	"context"
	"net/http"

	"golang.org/x/oauth2/google"

	"github.com/aigateway-go/aigateway"
	gatewayoauth2 "github.com/aigateway-go/aigateway/contrib/oauth2"
)

func Example() {
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	if err != nil {
		return // say it
	}
	found, err := google.FindDefaultCredentials(context.Background(), "https://www.googleapis.com/auth/cloud-platform")
	if err != nil {
		return // say it
	}
	cfg.Secrets = aigateway.ChainSecrets(
		gatewayoauth2.New("vertex", "token", found.TokenSource),
		gatewayoauth2.Func("azure", "token", gatewayoauth2.AzureWorkloadIdentity{}.Token),
		aigateway.EnvSecrets(),
	)
	gateway, err := aigateway.New(cfg)
	if err != nil {
		return // say it
	}
	http.Handle("/v1/", gateway)
}
