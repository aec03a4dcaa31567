package gatewayaws_test

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/aigateway-go/aigateway"
	gatewayaws "github.com/aigateway-go/aigateway/contrib/aws"
)

func Example() {
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	if err != nil {
		return // say it
	}
	account, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		return // say it
	}
	signer, err := gatewayaws.NewSigner(gatewayaws.SignerOptions{Credentials: account.Credentials, Region: "us-west-2"})
	if err != nil {
		return // say it
	}
	cfg.ProviderTransport = signer.ProviderTransport("bedrock")
	store, err := gatewayaws.NewSecretsManager(gatewayaws.SecretsManagerOptions{Credentials: account.Credentials, Region: account.Region})
	if err != nil {
		return // say it
	}
	cfg.Secrets = aigateway.ChainSecrets(store, aigateway.EnvSecrets())
	gateway, err := aigateway.New(cfg)
	if err != nil {
		return // say it
	}
	http.Handle("/v1/", gateway)
}
