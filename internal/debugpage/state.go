// Package debugpage shows the state of a gateway as one HTML page or as JSON.
//
// It does not know the gateway. The caller hands it a [State]; its JSON is the
// answer to ?format=json. The page is a single file, and readable without
// JavaScript. Its Content-Security-Policy allows only its own style and script, by
// their hashes. With JavaScript, the page fetches itself every two seconds and
// replaces its changed parts.
package debugpage

import (
	"encoding/json"
	"slices"
	"time"
)

// State is the content of the page, at one time. Latencies are in milliseconds, and
// rates are from 0 to 1.
type State struct {
	Time time.Time `json:"time"`
	// WindowSeconds is the length of the window of all loads, and SlotSeconds the
	// length of each of its slots.
	WindowSeconds int `json:"window_seconds"`
	SlotSeconds   int `json:"slot_seconds"`
	// Total is the load of all models together.
	Total Load `json:"total"`
	// Providers are the configured providers, and those used within the window.
	// OtherProviders names the others.
	Providers      []Provider `json:"providers"`
	OtherProviders []string   `json:"other_providers"`
	// Models are the configured models, those used within the window, and those in
	// cooldown; the busiest, if there are too many. OtherModels names the others,
	// up to a limit.
	Models      []Model      `json:"models"`
	OtherModels []OtherModel `json:"other_models"`
	Keys        []Key        `json:"keys"`
	// Money is the cost of requests since the page was mounted.
	Money Money `json:"money"`
	// Requests are the latest, the newest first.
	Requests []*Request `json:"requests"`
	// Fleet is the state of the replicas, nil without a shared store.
	Fleet *Fleet `json:"fleet,omitempty"`
	// Config is the config without secrets. Runtime is the part of it that only a
	// Go program can set.
	Config  json.RawMessage `json:"config"`
	Runtime Runtime         `json:"runtime"`
	// Explain is the answer to the form. Nil if no form was sent.
	Explain *Explain `json:"explain,omitempty"`

	// ConfigText is Config for the reader.
	ConfigText string `json:"-"`

	// OnlyTroubled is set if Requests holds only those that failed or failed over.
	// Kept and KeptTroubled count the remembered requests of both kinds.
	OnlyTroubled bool   `json:"-"`
	Filter       Filter `json:"-"`
	Kept         int    `json:"-"`
	KeptTroubled int    `json:"-"`
}

// choose counts the requests, and keeps those that f matches. With onlyTroubled it
// keeps only those that failed or failed over.
func (s *State) choose(onlyTroubled bool, f Filter) {
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
	s.Filter = f
	s.Requests = slices.DeleteFunc(slices.Clone(s.Requests), func(r *Request) bool { return !f.matches(r) })
}

// Load is measured on the upstream requests within the window.
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

// ErrorRate is the fraction of failed requests, in total and by cause.
type ErrorRate struct {
	Total     float64 `json:"total"`
	Timeout   float64 `json:"timeout"`
	RateLimit float64 `json:"rate_limit"`
	Client    float64 `json:"client"`
	Server    float64 `json:"server"`
}

// Latency is zero if nothing was measured.
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

// Tokens are the providers' own counts.
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
	Due        = "due"      // its cooldown is over, and the next request is a probe
	Probing    = "probing"  // the probe is under way, and all else comes first
	InCooldown = "cooldown" // all else comes first
)

// Health says whether requests go to a model, or with a key.
type Health struct {
	State string `json:"state"`
	// CooldownMS is the time left of the cooldown. Zero outside of one.
	CooldownMS float64 `json:"cooldown_ms,omitempty"`
	// OfKeys is set if a model is in cooldown only because all keys of its provider
	// are.
	OfKeys bool `json:"cooldown_of_keys,omitempty"`
	// Failures counts the failures in a row.
	Failures int `json:"failures,omitempty"`
}

// Provider is one provider.
type Provider struct {
	ID          string   `json:"id"`
	Aliases     []string `json:"id_aliases,omitempty"`
	DisplayName string   `json:"display_name,omitempty"`
	BaseURL     string   `json:"base_url"`
	// Endpoint is the real address of the host of BaseURL. Empty if the host is not
	// mapped.
	Endpoint   string   `json:"endpoint,omitempty"`
	Configured bool     `json:"configured"`
	BuiltIn    bool     `json:"built_in"`
	Disabled   bool     `json:"disabled"`
	Formats    []string `json:"formats"`
	// Models and Keys count all of them, and the next fields those that are not
	// healthy. A model does not count for a cooldown of its keys.
	Models           int  `json:"models"`
	ModelsInCooldown int  `json:"models_in_cooldown"`
	ModelsProbing    int  `json:"models_probing"`
	ModelsDue        int  `json:"models_due"`
	Keys             int  `json:"keys"`
	KeysInCooldown   int  `json:"keys_in_cooldown"`
	Load             Load `json:"load"`
	// Discovery is nil if the provider is not asked for its models.
	Discovery *Discovery `json:"discovery,omitempty"`
}

// Discovery is about the question to a provider for its models.
type Discovery struct {
	// Models counts those of the last good answer, and AgeMS is its age.
	Models int     `json:"models"`
	AgeMS  float64 `json:"age_ms,omitempty"`
	// Error says why the latest question failed. Empty if it did not.
	Error string `json:"error,omitempty"`
}

// Model is one model at one provider.
type Model struct {
	Provider   string `json:"provider"`
	ID         string `json:"id"`
	Configured bool   `json:"configured"`
	// Unlisted is set for a name that only a client has used.
	Unlisted bool   `json:"unlisted,omitempty"`
	Disabled bool   `json:"disabled"`
	Health   Health `json:"health"`
	Load     Load   `json:"load"`
}

// maxQuietRows is the number of models up to which idle ones have rows too.
const maxQuietRows = 12

// idle reports whether the page has nothing to tell about a model.
func (m *Model) idle() bool {
	return m.Load.Requests == 0 && m.Load.InFlight == 0 && (m.Disabled || m.Health == Health{State: Healthy})
}

// ModelRows are the models with a row on the page. The rule depends on the number
// of all models. The config sets that number, so rows do not come and go with the
// traffic.
func (s *State) ModelRows() []Model {
	if len(s.Models) <= maxQuietRows {
		return s.Models
	}
	return slices.DeleteFunc(slices.Clone(s.Models), func(m Model) bool { return m.idle() })
}

// IdleModels are the models without a row.
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

// OtherModel is a provider's models without rows of their own.
type OtherModel struct {
	Provider string `json:"provider"`
	Count    int    `json:"count"`
	// IDs are some of them.
	IDs []string `json:"ids"`
}

// More counts the models that IDs leaves out.
func (m OtherModel) More() int { return m.Count - len(m.IDs) }

// Key is one API key. Its ID is a hash of its text in the config.
type Key struct {
	Provider string    `json:"provider"`
	ID       string    `json:"id"`
	Health   Health    `json:"health"`
	Requests Allowance `json:"quota_requests"`
	Tokens   Allowance `json:"quota_tokens"`
	Load     Load      `json:"load"`
}

// Allowance is a provider's last word about a limit of its own. Nil is unknown.
type Allowance struct {
	Remaining *int64 `json:"remaining"`
	Limit     *int64 `json:"limit"`
	// ResetMS is the time until the limit starts anew. Zero is unknown.
	ResetMS float64 `json:"reset_ms,omitempty"`
}

// Spent reports whether nothing is left.
func (a Allowance) Spent() bool { return a.Remaining != nil && *a.Remaining <= 0 }

// Runtime names the dependencies of the gateway by their types.
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

// Question is a request pasted into the form.
type Question struct {
	Path   string // of the API, such as /v1/chat/completions
	Header string // lines of "Name: value"
	Body   string
}

// Explain is the gateway's decision about a pasted request.
type Explain struct {
	// Error says why the request would be refused. Empty if it would be sent.
	Error string `json:"error,omitempty"`
	// Result is the whole decision. Nil if the form was wrong.
	Result any `json:"result,omitempty"`

	// Turns are the candidates in order, and Rest all other models with the
	// reasons. More counts the models left out of Rest.
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

// Fleet is a replica's view of its fleet.
type Fleet struct {
	Name  string `json:"name"`
	Store struct {
		State string    `json:"state"` // up or down
		Since time.Time `json:"since"`
		Error string    `json:"error"`
	} `json:"store"`
	// SnapshotAgeMs is -1 before the first exchange.
	SnapshotAgeMs int64     `json:"snapshot_age_ms"`
	Replicas      []Replica `json:"replicas"`
}

// Replica is a living replica.
type Replica struct {
	Name       string `json:"name"`
	LastSeenMs int64  `json:"last_seen_ms"`
	InFlight   int64  `json:"in_flight"`
	Requests   int64  `json:"requests"`
	// OtherSecret: nothing is shared with it.
	OtherSecret bool `json:"other_secret,omitempty"`
}
