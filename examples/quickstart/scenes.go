package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway"
)

// scene shows one feature of a gateway. play returns an error if the title does not
// hold.
type scene struct {
	title string
	play  func(context.Context, *visitor) error
}

func scenes() []scene {
	return []scene{
		{"A prefix names the provider. The client has no key, and needs none.", one(
			request{Model: "cloud:large"},
			outline{http.StatusOK, []string{"cloud:large"}, "Hello from cloud, where the model is large."})},
		{"The client names no model: a strategy chooses.", one(
			request{Model: "auto"},
			outline{http.StatusOK, []string{"laptop:llama3-8b"}, "Hello from laptop, where the model is llama3-8b."})},
		{"The client's first model is on a dead machine: the second one answers.", one(
			request{Models: []string{"basement:mixtral", "cloud:large"}},
			outline{http.StatusOK, []string{"basement:mixtral", "cloud:large"}, "Hello from cloud, where the model is large."})},
		{"A stream arrives token by token.", one(
			request{Model: "laptop:llama3-8b", Stream: true},
			outline{http.StatusOK, []string{"laptop:llama3-8b"}, "Hello from laptop, where the model is llama3-8b."})},
		{"Two instances of one model share its requests.", balance},
		{"A model that nobody may use is refused before anything is sent.", one(
			request{Model: "gpt-4o"},
			outline{http.StatusUnprocessableEntity, nil, `provider "openai" is not configured`})},
		{"A misspelt one as well, with the nearest name.", one(
			request{Model: "lama3-70b"},
			outline{http.StatusUnprocessableEntity, nil, `did you mean "llama3-70b"?`})},
	}
}

// outline is the expected outcome of a request.
type outline struct {
	status int
	tried  []string // "provider:model" of each attempt
	text   string   // a part of the answer
}

// one is a scene of a single request.
func one(ask request, want outline) func(context.Context, *visitor) error {
	return func(ctx context.Context, v *visitor) error {
		got, err := v.ask(ctx, ask)
		if err != nil {
			return err
		}
		return want.check(got)
	}
}

func (want outline) check(got answer) error {
	tried := attempts(got.result)
	switch {
	case got.status != want.status:
		return fmt.Errorf("the status is %d, not %d", got.status, want.status)
	case !slices.Equal(tried, want.tried):
		return fmt.Errorf("tried were %q, not %q", tried, want.tried)
	case !strings.Contains(got.text, want.text):
		return fmt.Errorf("the answer is %q, which lacks %q", got.text, want.text)
	}
	return nil
}

// attempts are the "provider:model" of each attempt, in order.
func attempts(res *aigateway.Result) []string {
	var names []string
	for _, m := range res.ModelsTried {
		for _, a := range m.RequestsMade {
			names = append(names, a.Provider+":"+a.Model)
		}
	}
	return names
}

// balance sends many requests for one model, and counts the answers of each
// provider. The split is up to chance. All requests going to one side would take
// about 10^18 quickstarts.
func balance(ctx context.Context, v *visitor) error {
	const requests = 60
	ask := request{Model: "llama3-70b"}
	v.show("asked", "%s, %d times", asJSON(ask), requests)
	answered := map[string]int{}
	for range requests {
		a, err := v.post(ctx, ask)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK || a.result.Success == nil {
			return fmt.Errorf("the status is %d: %s", a.status, a.text)
		}
		answered[a.result.Success.Provider]++
	}
	instances := []string{"gpu-1", "gpu-2"}
	for _, name := range instances {
		v.show(name, "%s %d", strings.Repeat("█", answered[name]), answered[name])
	}
	if answered["gpu-1"] == 0 || answered["gpu-2"] == 0 || answered["gpu-1"]+answered["gpu-2"] != requests {
		return fmt.Errorf("the requests went to %v", answered)
	}
	return nil
}
