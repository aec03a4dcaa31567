// Package debugpage shows the state of a gateway as one HTML page or as JSON.
//
// It knows nothing of gateways: what there is to show is handed to it as a
// [State], whose JSON is what ?format=json answers. The page needs no other
// file, no JavaScript to be read, and no style or script but its own two, which
// its Content-Security-Policy names by their hashes. Where there is JavaScript, it
// fetches itself every two seconds and replaces what has changed.
package debugpage

import (
	"encoding/json"
	"slices"
	"time"
)

// State is all that there is to show, at one time. Latencies are in
// milliseconds, and rates are from 0 to 1.
type State struct {
	Time time.Time `json:"time"`
	// WindowSeconds is how far back loads look, and SlotSeconds the length of
	// each of their slots.
	WindowSeconds int `json:"window_seconds"`
	SlotSeconds   int `json:"slot_seconds"`
	// Total is the load of all models together.
	Total Load `json:"total"`
	// Providers are those of the config, and those that were used within the
	// window; OtherProviders names the rest.
	Providers      []Provider `json:"providers"`
	OtherProviders []string   `json:"other_providers"`
	// Models are those of the config, those that were used within the window,
	// and those that rest; OtherModels names the rest, up to a limit. If there are
	// more than fit, the busiest are shown.
	Models      []Model      `json:"models"`
	OtherModels []OtherModel `json:"other_models"`
	Keys        []Key        `json:"keys"`
	// Requests are the latest, the newest first, or of these only those that failed
	// or failed over, where that was asked for.
	Requests []*Request `json:"requests"`
	// Config is the config as it was given, without secrets; Runtime is the
	// part of it that only a program can give.
	Config  json.RawMessage `json:"config"`
	Runtime Runtime         `json:"runtime"`
	// Explain is what the form's request came to. Nil where none was sent.
	Explain *Explain `json:"explain,omitempty"`

	// ConfigText is Config for the reader.
	ConfigText string `json:"-"`

	// OnlyTroubled is set where Requests were chosen so; Kept and KeptTroubled count
	// what there was to choose from.
	OnlyTroubled bool `json:"-"`
	Kept         int  `json:"-"`
	KeptTroubled int  `json:"-"`
}

// choose counts the requests, and keeps only those that failed or failed over, if
// so wanted.
func (s *State) choose(onlyTroubled bool) {
	troubled := []*Request{}
	for _, r := range s.Requests {
		if r.Troubled() {
			troubled = append(troubled, r)
		}
	}
	s.OnlyTroubled, s.Kept, s.KeptTroubled = onlyTroubled, len(s.Requests), len(troubled)
	if onlyTroubled {
		s.Requests = troubled
	}
}

// Load is what was measured within the window, of upstream requests.
type Load struct {
	Requests  int64     `json:"requests"`
	InFlight  int64     `json:"in_flight"`
	ErrorRate ErrorRate `json:"error_rate"`
	Latency   Latency   `json:"latency"`
	Tokens    Tokens    `json:"tokens"`
	// Limits is nil without limits.
	Limits *Limits `json:"limits,omitempty"`
	// Slots cut the window, the oldest first. Nil where it is empty.
	Slots []Slot `json:"slots,omitempty"`
}

// ErrorRate is the fraction of requests that failed, and by what.
type ErrorRate struct {
	Total     float64 `json:"total"`
	Timeout   float64 `json:"timeout"`
	RateLimit float64 `json:"rate_limit"`
	Client    float64 `json:"client"`
	Server    float64 `json:"server"`
}

// Latency is zero where nothing was measured.
type Latency struct {
	UpstreamAvg   float64 `json:"upstream_ms_avg"`
	UpstreamP95   float64 `json:"upstream_ms_p95"`
	GatewayAvg    float64 `json:"gateway_ms_avg"`
	GatewayP95    float64 `json:"gateway_ms_p95"`
	FirstTokenAvg float64 `json:"time_to_first_token_ms_avg"`
	FirstTokenP95 float64 `json:"time_to_first_token_ms_p95"`
	PerTokenAvg   float64 `json:"time_per_output_token_ms_avg"`
	PerTokenP95   float64 `json:"time_per_output_token_ms_p95"`
}

// Tokens are as the providers reported them.
type Tokens struct {
	Input  int64 `json:"input"`
	Output int64 `json:"output"`
}

// Slot is a part of the window.
type Slot struct {
	Requests  int64   `json:"requests"`
	Failed    int64   `json:"failed"`
	LatencyMS float64 `json:"upstream_ms_avg"`
	Tokens    Tokens  `json:"tokens"`
}

// The values of Health.State.
const (
	Healthy    = "healthy"  // any number of requests may go
	Due        = "due"      // its rest is over, and the next request is a probe
	Probing    = "probing"  // the probe is under way, and all else comes first
	InCooldown = "cooldown" // all else comes first
)

// Health says whether requests go to a model, or with a key.
type Health struct {
	State string `json:"state"`
	// CooldownMS is what is left of the rest. Zero unless resting.
	CooldownMS float64 `json:"cooldown_ms,omitempty"`
	// OfKeys is set where a model rests because all keys of its provider do.
	OfKeys bool `json:"cooldown_of_keys,omitempty"`
	// Failures counts those in a row.
	Failures int `json:"failures,omitempty"`
}

// Provider is one provider.
type Provider struct {
	ID          string   `json:"id"`
	Aliases     []string `json:"id_aliases,omitempty"`
	DisplayName string   `json:"display_name,omitempty"`
	BaseURL     string   `json:"base_url"`
	// Endpoint is where the host of BaseURL really is. Empty where it is what
	// its name says.
	Endpoint   string   `json:"endpoint,omitempty"`
	Configured bool     `json:"configured"`
	BuiltIn    bool     `json:"built_in"`
	Disabled   bool     `json:"disabled"`
	Formats    []string `json:"formats"`
	// Models and Keys are how many it has, and how many of them are not awake by
	// themselves: a model does not count for the rest of its keys.
	Models           int  `json:"models"`
	ModelsInCooldown int  `json:"models_in_cooldown"`
	ModelsProbing    int  `json:"models_probing"`
	ModelsDue        int  `json:"models_due"`
	Keys             int  `json:"keys"`
	KeysInCooldown   int  `json:"keys_in_cooldown"`
	Load             Load `json:"load"`
}

// Model is one model at one provider.
type Model struct {
	Provider   string `json:"provider"`
	ID         string `json:"id"`
	Configured bool   `json:"configured"`
	// Unlisted is set for a name that a client made up.
	Unlisted bool   `json:"unlisted,omitempty"`
	Disabled bool   `json:"disabled"`
	Health   Health `json:"health"`
	Load     Load   `json:"load"`
}

// maxQuietRows is how many models may be listed without folding the idle ones.
const maxQuietRows = 12

// idle reports whether there is nothing to tell of a model but that it is there.
func (m *Model) idle() bool {
	return m.Load.Requests == 0 && m.Load.InFlight == 0 && (m.Disabled || m.Health == Health{State: Healthy})
}

// ModelRows are the models that have rows on the page. It depends on the number of
// all, which is the config's, so that none come and go with the traffic.
func (s *State) ModelRows() []Model {
	if len(s.Models) <= maxQuietRows {
		return s.Models
	}
	return slices.DeleteFunc(slices.Clone(s.Models), func(m Model) bool { return m.idle() })
}

// IdleModels are the others.
func (s *State) IdleModels() []OtherModel {
	if len(s.Models) <= maxQuietRows {
		return nil
	}
	var list []OtherModel
	place := map[string]int{}
	for _, m := range s.Models {
		if !m.idle() {
			continue
		}
		i, ok := place[m.Provider]
		if !ok {
			i = len(list)
			place[m.Provider] = i
			list = append(list, OtherModel{Provider: m.Provider})
		}
		id := m.ID
		if m.Disabled {
			id += " (disabled)"
		}
		list[i].IDs = append(list[i].IDs, id)
		list[i].Count++
	}
	return list
}

// OtherModel is a provider's models that are not shown one by one.
type OtherModel struct {
	Provider string `json:"provider"`
	Count    int    `json:"count"`
	// IDs are some of them.
	IDs []string `json:"ids"`
}

// More counts the models that IDs leaves out.
func (m OtherModel) More() int { return m.Count - len(m.IDs) }

// Key is one API key, by the hash of what stands in the config.
type Key struct {
	Provider string    `json:"provider"`
	ID       string    `json:"id"`
	Health   Health    `json:"health"`
	Requests Allowance `json:"quota_requests"`
	Tokens   Allowance `json:"quota_tokens"`
	Load     Load      `json:"load"`
}

// Allowance is what a provider last said that it still allows. Nil is unknown.
type Allowance struct {
	Remaining *int64 `json:"remaining"`
	Limit     *int64 `json:"limit"`
	// ResetMS is until it starts anew. Zero is unknown.
	ResetMS float64 `json:"reset_ms,omitempty"`
}

// Spent reports whether nothing is left.
func (a Allowance) Spent() bool { return a.Remaining != nil && *a.Remaining <= 0 }

// Runtime says what the program around the gateway has given it.
type Runtime struct {
	Secrets        string `json:"secrets"`
	Registry       string `json:"registry"`
	URLPolicy      string `json:"url_policy"`
	Transport      string `json:"transport"`
	FailoverPolicy string `json:"failover_policy"`
	TokenCounter   string `json:"token_counter"`
	Hooks          bool   `json:"hooks"`
	Logger         bool   `json:"logger"`
	Region         string `json:"region"`
	Account        string `json:"account"`
	MaxBodyBytes   int64  `json:"max_body_bytes"`
}

// Question is a request that somebody pasted.
type Question struct {
	Path   string // of the API, such as /v1/chat/completions
	Header string // lines of "Name: value"
	Body   string
}

// Explain is what would become of a pasted request.
type Explain struct {
	// Error says why it would be refused. Empty where it would be sent.
	Error string `json:"error,omitempty"`
	// Result is the whole decision. Nil where the question itself was wrong.
	Result any `json:"result,omitempty"`

	// Turns are the candidates in order, and Rest all others with their reasons;
	// More counts those of the others that are left out.
	Turns []Turn   `json:"-"`
	Rest  []Turn   `json:"-"`
	More  int      `json:"-"`
	Notes []string `json:"-"`
}

// RestCount counts the models that would not be tried.
func (e *Explain) RestCount() int { return len(e.Rest) + e.More }

// Turn is one model in an Explain.
type Turn struct {
	Provider, Model, Why string
}
