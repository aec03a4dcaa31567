// Command customsecrets resolves the gateway's secrets in a store of its own:
// the key-value engine of Vault, by its HTTP API.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"

	"github.com/aigateway-go/aigateway"
)

func main() {
	cfg, err := aigateway.LoadConfig("examples/customsecrets/gateway.yaml")
	if err != nil {
		log.Fatal(err)
	}
	cfg.Secrets = secrets(os.Getenv("VAULT_ADDR"), os.Getenv("VAULT_TOKEN"))
	gateway, err := aigateway.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	// Better now than at the first request.
	if err := gateway.Check(context.Background()); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", gateway))
}

// secrets asks the store first, and then the environment.
func secrets(addr, token string) aigateway.SecretResolver {
	return aigateway.ChainSecrets(&vault{addr: addr, token: token}, aigateway.EnvSecrets())
}

// vault is a store with secrets at secret/data/VAULT, under NAME. Its fields do not
// change, so many goroutines can use it.
type vault struct {
	addr  string // such as "https://vault.example.com:8200"
	token string
}

// maxAnswer bounds the part of an answer that is read, in bytes.
const maxAnswer = 1 << 20

// ResolveSecret implements [aigateway.SecretResolver].
func (v *vault) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	// The names can come from an expression of the config. Escaped, they cannot
	// lead to another path of the store.
	at := v.addr + "/v1/secret/data/" + url.PathEscape(vault)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("X-Vault-Token", v.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err // an outage: the last good value stays in use
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return "", fmt.Errorf("%w: the store has no %q", aigateway.ErrSecretNotFound, vault)
	default:
		return "", fmt.Errorf("the store answered %s", resp.Status) // its body might hold a value
	}
	var answer struct {
		Data struct {
			Data map[string]string `json:"data"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return "", fmt.Errorf("the store's answer for %q cannot be read", vault)
	}
	value, ok := answer.Data.Data[name]
	if !ok {
		return "", fmt.Errorf("%w: %q of the store has no %q", aigateway.ErrSecretNotFound, vault, name)
	}
	return value, nil
}
