package gatewayredis_test

import (
	"context"
	"net/http"
	"os"

	"github.com/aigateway-go/aigateway"
	gatewayredis "github.com/aigateway-go/aigateway/contrib/redis"
)

func Example() {
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	if err != nil {
		return // say it
	}
	store, err := gatewayredis.New(gatewayredis.Options{
		URL:    "rediss://fleet:password@redis.example.com:6379/0",
		Prefix: "production", // the same in all replicas
	})
	if err != nil {
		return // say it
	}
	defer store.Close()
	cfg.Shared = store
	cfg.SharedSecret = []byte(os.Getenv("AIGATEWAY_SHARED_SECRET")) // the same in all replicas
	cfg.ReplicaName = os.Getenv("HOSTNAME")
	gateway, err := aigateway.New(cfg)
	if err != nil {
		return // say it
	}
	go gateway.Run(context.Background())
	http.Handle("/v1/", gateway)
}
