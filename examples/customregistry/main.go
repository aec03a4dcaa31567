// Command customregistry makes a gateway for the models that a fleet of machines
// serves.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway"
)

func main() {
	cfg, err := aigateway.LoadConfig("examples/customregistry/gateway.yaml")
	if err != nil {
		log.Fatal(err)
	}
	cfg.Registry = fleet(cfg.InternalEndpoints)
	gateway, err := aigateway.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	go keep(context.Background(), gateway, cfg, time.Minute)
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", gateway))
}

// keep asks the registry again at an interval, until ctx ends. A failed Reload
// changes nothing.
func keep(ctx context.Context, gateway *aigateway.Gateway, cfg aigateway.Config, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := gateway.Reload(cfg); err != nil {
				log.Print(err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// fleet is a registry: it maps the .internal hosts of machines to their real
// addresses.
type fleet map[string]string

// machineTimeout bounds the question to one machine.
const machineTimeout = 5 * time.Second

// Providers implements [aigateway.ProviderRegistry]. It lists each answering
// machine as a provider.
func (f fleet) Providers(ctx context.Context) ([]aigateway.Provider, error) {
	var providers []aigateway.Provider
	for _, host := range slices.Sorted(maps.Keys(f)) { // the order is part of the catalog
		models, err := modelsAt(ctx, f[host])
		if err != nil {
			log.Printf("%s is left out: %v", host, err)
			continue
		}
		providers = append(providers, aigateway.Provider{
			ID: strings.TrimSuffix(host, ".internal"), BaseURL: "http://" + host, Models: models,
		})
	}
	if len(providers) == 0 && len(f) > 0 {
		// It is probably the network: keeping the last list is better.
		return nil, fmt.Errorf("none of %d machines answers", len(f))
	}
	return providers, nil
}

// modelsAt asks a machine for its models.
func modelsAt(ctx context.Context, at string) ([]aigateway.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, machineTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/v1/models", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", resp.Status)
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
			// MaxModelLen is vLLM's: the context window, in tokens.
			MaxModelLen int64 `json:"max_model_len"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&list); err != nil {
		return nil, err
	}
	models := make([]aigateway.Model, len(list.Data))
	for i, m := range list.Data {
		models[i] = aigateway.Model{ID: m.ID, MaxContextWindow: m.MaxModelLen}
	}
	return models, nil
}
