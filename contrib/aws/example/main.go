// Command example is a gateway before Bedrock's OpenAI endpoint. It signs its
// requests, and has the key of another provider from Secrets Manager. Both are
// stand-ins in the same process: no account is needed, and no network.
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

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aigateway-go/aigateway"
	gatewayaws "github.com/aigateway-go/aigateway/contrib/aws"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run asks the gateway for a model of each provider.
func run(ctx context.Context, out io.Writer) error {
	bedrock := httptest.NewServer(http.HandlerFunc(serveBedrock))
	defer bedrock.Close()
	secrets := httptest.NewServer(http.HandlerFunc(serveSecrets))
	defer secrets.Close()
	openai := httptest.NewServer(http.HandlerFunc(serveOpenAI))
	defer openai.Close()

	// In your service: cfg, err := config.LoadDefaultConfig(ctx), and cfg.Credentials.
	credentials := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "an-example"}, nil
	})
	signer, err := gatewayaws.NewSigner(gatewayaws.SignerOptions{Credentials: credentials, Region: "eu-central-1"})
	if err != nil {
		return err
	}
	store, err := gatewayaws.NewSecretsManager(gatewayaws.SecretsManagerOptions{
		Credentials: credentials, Region: "eu-central-1", Endpoint: secrets.URL,
	})
	if err != nil {
		return err
	}
	gateway, err := aigateway.New(aigateway.Config{
		Providers: []aigateway.Provider{
			{ID: "bedrock", BaseURL: "http://bedrock.internal/openai/v1"},
			{ID: "mine", BaseURL: "http://mine.internal", APIKeys: []aigateway.APIKey{{Value: "${secrets.get('prod/mine', 'api-key')}"}}},
		},
		InternalEndpoints: map[string]string{"bedrock.internal": bedrock.URL, "mine.internal": openai.URL},
		Secrets:           store,
		ProviderTransport: signer.ProviderTransport("bedrock"),
	})
	if err != nil {
		return err
	}
	for _, model := range []string{"bedrock:openai.gpt-oss-20b-1:0", "mine:gpt-4o"} {
		w := httptest.NewRecorder()
		body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Who signed?"}]}`, model)
		gateway.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
		fmt.Fprintln(out, w.Code, w.Body)
	}
	return nil
}

// serveBedrock answers with the beginning of the signature.
func serveBedrock(w http.ResponseWriter, r *http.Request) {
	signature, _, _ := strings.Cut(r.Header.Get("Authorization"), "/")
	answer(w, signature)
}

// serveOpenAI answers with the key.
func serveOpenAI(w http.ResponseWriter, r *http.Request) {
	answer(w, strings.Repeat("*", len(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))))
}

func answer(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"choices":[{"message":{"role":"assistant","content":%q},"finish_reason":"stop"}]}`, text)
}

// serveSecrets has one secret.
func serveSecrets(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(body), `"prod/mine"`) {
		http.Error(w, `{"__type":"ResourceNotFoundException"}`, http.StatusBadRequest)
		return
	}
	io.WriteString(w, `{"SecretString":"{\"api-key\":\"sk-example\"}"}`)
}
