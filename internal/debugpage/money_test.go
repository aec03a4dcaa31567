package debugpage

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLedger adds up by provider, model and label, and is bounded.
func TestLedger(t *testing.T) {
	var l Ledger
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l.Add(at, Entry{Provider: "a", Model: "m", Labels: []string{"tenant=x"}, USD: 2e12, Known: true})
	l.Add(at.Add(time.Hour), Entry{Provider: "b", Model: "m", Labels: []string{"tenant=x", "team=y"}, USD: 1, Known: true, Estimated: true})
	l.Add(at, Entry{Provider: "b", Model: "n"})
	m := l.Money()
	assert.Equal(t, at, m.Since)
	assert.Equal(t, Account{USD: 2e12 + 1, Attempts: 3, Unpriced: 1, Estimated: true}, m.Total)
	assert.Equal(t, []Account{{Name: "a", USD: 2e12, Attempts: 1}, {Name: "b", USD: 1, Attempts: 2, Unpriced: 1, Estimated: true}}, m.Providers)
	assert.Equal(t, []string{"a:m", "b:m", "b:n"}, names(m.Models))
	assert.Equal(t, []string{"tenant=x", "team=y"}, names(m.Labels))
	for i := range 5000 {
		l.Add(at, Entry{Provider: "p", Model: fmt.Sprint(i), USD: 1e9, Known: true})
	}
	assert.Len(t, l.models, maxAccounts+1)
	m = l.Money()
	assert.Len(t, m.Models, moneyRows)
	assert.Equal(t, "all others", m.Models[0].Name, "%v", m.Models[:3])
}

func names(list []Account) (out []string) {
	for _, a := range list {
		out = append(out, a.Name)
	}
	return out
}

func TestAmount(t *testing.T) {
	for a, want := range map[Amount][2]string{
		0: {"0", "$\u00a00"}, 1: {"0.000000000001", "$\u00a00"}, 15e11: {"1.5", "$\u00a01.50"}, 123456789012: {"0.123456789012", "$\u00a00.12"},
		1234567890: {"0.00123456789", "$\u00a00.0012"}, 12e12 + 1: {"12.000000000001", "$\u00a012.00"},
		1_498_500_000_000: {"1.4985", "$\u00a01.50"}, 999_500_000_000: {"0.9995", "$\u00a01.00"}, 494_900_000_000: {"0.4949", "$\u00a00.49"},
	} {
		data, err := json.Marshal(a)
		require.NoError(t, err)
		assert.Equal(t, want, [2]string{string(data), dollars(a)})
	}
}

// TestFilter: requests are found by model, label and id.
func TestFilter(t *testing.T) {
	requests := []*Request{
		{Number: 3, ID: "req-3", OK: true, Names: []string{"gpt-4o"}, Provider: "openai", Model: "gpt-4o-2024-11-20", Labels: []string{"tenant=acme"}},
		{Number: 2, ID: "req-2", OK: true, Names: []string{"llama3"}, Provider: "mine", Model: "llama3", Caller: "Acme-2"},
		{Number: 1, ID: "other", Names: []string{"gpt-4o"}},
	}
	h := NewHandler(Source{Paths: []string{"/v1/chat/completions"}, State: func(time.Time) *State { return &State{Requests: requests} }})
	for query, want := range map[string][]uint64{
		"": {3, 2, 1}, "model=GPT-4o": {3, 1}, "model=openai:": {3}, "label=acme": {3, 2}, "label=tenant%3Dacme": {3}, "id=req": {3, 2},
		"id=req&label=acme-2": {2}, "only=failed&model=gpt": {1}, "id=nope": {},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?format=json&"+query, nil))
		var got struct{ Requests []Request }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got), query)
		numbers := []uint64{}
		for _, r := range got.Requests {
			numbers = append(numbers, r.Number)
		}
		assert.Equal(t, want, numbers, query)
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?"+query, nil))
		assert.Equal(t, 200, w.Code)
	}
}
