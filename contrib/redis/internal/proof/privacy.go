package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The canaries are texts that must not be in the store. Those of the requests are in
// each place that a client can write to.
const (
	canaryTenant  = "canary-tenant"
	canarySession = "canary-session"
	canaryPrompt  = "canary-prompt"
	canaryToken   = "canary-token"
	canaryAnswer  = "resp_canary-id"
	canaryKey     = "sk-canary-of-the-provider"
)

var canaries = []string{
	canaryTenant, canarySession, canaryPrompt, canaryToken, canaryAnswer, canaryKey, secret, "canary",
	"good.internal", "good:m", "p3:m", "127.0.0.1",
}

// privacy uses all that is shared, and looks for the canaries in each key and value.
func privacy(ctx context.Context, o *options) error {
	s, err := o.stage(ctx, 3, `client_limits:
  - {key: "req.headers['x-tenant'][0]", required: false, requests_per_minute: 1000, tokens_per_minute: 100000}
  - {key: "req.headers['x-tenant'][0]", required: false, requests_per_minute: 2000, usd_per_day: 5}
model_selection:
  strategy:
    - "ai.models.sticky(req.headers['x-session'][0])"`)
	if err != nil {
		return err
	}
	defer s.close()
	client := redis.NewClient(&redis.Options{Addr: s.store.Addr})
	defer func() { _ = client.Close() }()
	var most int
	for round := range 6 {
		for i, r := range s.replicas {
			name := fmt.Sprintf("p%d", 3+i)
			header := []string{"X-Tenant", canaryTenant, "X-Session", fmt.Sprint(canarySession, i), "X-User", "canary-user", "Authorization", "Bearer " + canaryToken}
			for _, b := range []string{body(canaryPrompt+" slow=200ms", "good:m", "p9:m"), body(canaryPrompt+" status=429 retry=300", name+":m", "good:m"),
				body(canaryPrompt+" status=500", "p7:m", "good:m"), body(canaryPrompt+" status=401", "p8:m", "good:m")} {
				if err := r.chat(ctx, b, header...); err != nil {
					return err
				}
			}
			if err := r.post(ctx, "/v1/responses", `{"model":"good:m","input":"`+canaryPrompt+`"}`, header...); err != nil {
				return err
			}
		}
		entries, err := dump(ctx, client)
		if err != nil {
			return err
		}
		if err := search(entries); err != nil {
			return err
		}
		most = max(most, len(entries))
		if round == 5 {
			o.printf("%d keys, fields and values in the store, in %d dumps: no canary, each key has an end", most, round+1)
		}
		pause(ctx, 300*time.Millisecond)
	}
	if most < 20 {
		return fmt.Errorf("only %d entries: the store was hardly used", most)
	}
	return nil
}

// dump returns all keys, fields and values of a store. A key without an end is an error.
func dump(ctx context.Context, client *redis.Client) (entries []string, err error) {
	keys := client.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		entries = append(entries, key)
		if ttl, err := client.PTTL(ctx, key).Result(); err != nil {
			return nil, fmt.Errorf("the end of %s: %w", key, err)
		} else if ttl == -1 {
			return nil, fmt.Errorf("%s has no end", key)
		}
		kind, err := client.Type(ctx, key).Result()
		if err != nil {
			return nil, err
		}
		switch kind {
		case "hash":
			fields, err := client.HGetAll(ctx, key).Result()
			if err != nil {
				return nil, err
			}
			for field, value := range fields {
				entries = append(entries, field, value)
			}
		case "zset":
			members, err := client.ZRange(ctx, key, 0, -1).Result()
			if err != nil {
				return nil, err
			}
			entries = append(entries, members...)
		case "string":
			value, err := client.Get(ctx, key).Result()
			if err != nil {
				return nil, err
			}
			entries = append(entries, value)
		case "none": // it has ended meanwhile
		default:
			return nil, fmt.Errorf("%s is a %s, which no dump reads", key, kind)
		}
	}
	return entries, keys.Err()
}

// search looks for the canaries, in the clear and in forms that anybody can compute.
func search(entries []string) error {
	for _, canary := range canaries {
		sum := sha256.Sum256([]byte(canary))
		forms := map[string][]byte{
			"in the clear": []byte(canary), "in hex": []byte(hex.EncodeToString([]byte(canary))), "in base64": []byte(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(canary)), "=")),
			"as a hash without a secret": sum[:16], "as such a hash in hex": []byte(hex.EncodeToString(sum[:16])),
		}
		for form, text := range forms {
			for _, entry := range entries {
				if bytes.Contains(bytes.ToLower([]byte(entry)), bytes.ToLower(text)) {
					return fmt.Errorf("%q is in the store, %s: %q", canary, form, entry)
				}
			}
		}
	}
	return nil
}
