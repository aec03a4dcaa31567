package aigateway

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/debugpage"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/measure"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// The most models and names on the debug page. The page shows how many are left
// out.
const (
	maxDebugModels = 200
	maxDebugNames  = 500
)

// DebugHandler returns a page of the gateway's state:
//
//   - providers, models and keys, with their health, limits, quotas, error rates,
//     latencies and tokens of the last five minutes
//   - the latest 50 requests, and the latest 50 that failed or failed over, each with
//     its trail of attempts and reasons
//   - the config
//   - a form that runs [Gateway.Explain] on a pasted request
//
// Mount it like net/http/pprof, at any path:
//
//	mux.Handle("/debug/aigateway", gateway.DebugHandler())
//
// The page holds no key and no secret. Requests to it change nothing. It shows
// models, errors and the config to everybody who asks: mount it where only operators
// come. It loads no other file, and works without JavaScript. With JavaScript the
// page keeps itself up to date.
//
// Requests are remembered from the first call of DebugHandler on. They take at most
// 3.2 MB, usually 100 KB, for all handlers together.
//
// With ?format=json it answers the same as JSON:
//
//   - time, window_seconds, slot_seconds
//   - total: the load of all
//   - providers, models and keys, each with its load: requests, in_flight, limits,
//     error_rate, latency, tokens, and slots from the oldest to now
//   - of providers with discover their discovery: models, age_ms and error
//   - of models and keys their health: the state healthy, cooldown, due (for a probe)
//     or probing; cooldown_ms; cooldown_of_keys if the cooldown is that of all keys;
//     failures in a row
//   - of keys quota_requests and quota_tokens
//   - other_providers and other_models, not used lately
//   - money: the cost of requests since the page was mounted, in all and by provider,
//     model and label
//   - requests, the newest first, each with its trail; the outcome of a step is
//     success, failed, relayed, not_sent or skipped
//   - config and runtime
//   - explain: the error and the [Result], for a POST of the form's fields path,
//     header and body
//
// Rates are from 0 to 1. Fields may be added. With ?only=failed, page and JSON have
// only the requests that failed or failed over. With ?model=, ?label= and ?id= they
// have only those with that text in a model, in a label or the caller, and in their id.
func (g *Gateway) DebugHandler() http.Handler {
	g.history.Want()
	var paths []string
	for _, path := range []string{"chat/completions", "responses", "messages", "embeddings", "completions"} {
		paths = append(paths, "/v1/"+path)
	}
	return debugpage.NewHandler(debugpage.Source{State: g.debugState, Explain: g.debugExplain, Paths: paths})
}

// debugState is the state of the gateway at a time, for the page.
func (g *Gateway) debugState(now time.Time) *debugpage.State {
	s := g.current.Load()
	d := debugView{s: s, now: now, servers: &g.servers, unlisted: map[string][]stats.Named{}}
	for _, named := range g.recorder.UnlistedInUse(now) {
		d.unlisted[named.Provider] = append(d.unlisted[named.Provider], named)
	}
	state := &debugpage.State{
		Time:           now,
		WindowSeconds:  int((stats.SlotCount * stats.SlotLength).Seconds()),
		SlotSeconds:    int(stats.SlotLength.Seconds()),
		Providers:      []debugpage.Provider{},
		OtherProviders: []string{},
		Keys:           []debugpage.Key{},
		Requests:       g.history.Latest(),
		Money:          g.ledger.Money(),
		Config:         s.debug.config,
		ConfigText:     configText(s.debug.config),
		Runtime:        s.debug.runtime,
	}
	var all []*stats.Series
	for _, p := range s.selector.providers {
		series := d.series(p)
		all = append(all, series...)
		if !p.configured && len(series) == 0 {
			state.OtherProviders = append(state.OtherProviders, p.id)
			continue
		}
		state.Providers = append(state.Providers, d.provider(p, series))
		for _, k := range p.keys {
			state.Keys = append(state.Keys, d.key(p, k))
		}
	}
	state.Total = d.load(all...)
	state.Models, state.OtherModels = d.models()
	state.Fleet = debugFleet(g.Fleet())
	return state
}

// debugFleet is the fleet for the page, nil without one.
func debugFleet(f *FleetStatus) *debugpage.Fleet {
	if f == nil {
		return nil
	}
	out := &debugpage.Fleet{Name: f.Name, SnapshotAgeMs: max(f.SnapshotAge.Milliseconds(), -1), Replicas: []debugpage.Replica{}}
	out.Store.State, out.Store.Since = "up", f.StoreSince
	if !f.StoreUp {
		out.Store.State = "down"
	}
	if f.StoreError != nil {
		out.Store.Error = f.StoreError.Error()
	}
	for _, r := range f.Replicas {
		out.Replicas = append(out.Replicas, debugpage.Replica{
			Name: r.Name, LastSeenMs: r.LastSeen.Milliseconds(), InFlight: r.InFlight, Requests: r.Requests, OtherSecret: r.OtherSecret,
		})
	}
	return out
}

// debugView collects the parts of the page, at one time.
// All figures of a page are of the same moment.
type debugView struct {
	s        *settings
	now      time.Time
	unlisted map[string][]stats.Named // by the folded id of their provider
	servers  *servers
}

// series are the loads of a provider's models with requests in their window.
// Idle models are left out: their windows are empty.
func (d *debugView) series(p *provider) []*stats.Series {
	var list []*stats.Series
	for _, m := range p.models {
		if !m.track.Idle(d.now) {
			list = append(list, &m.track.Series)
		}
	}
	for _, named := range d.unlisted[fold(p.id)] {
		list = append(list, &named.Series)
	}
	return list
}

// provider is a row of the page. The load adds up the series of its models, listed and
// unlisted; the counts of models and keys go by their state at this moment.
func (d *debugView) provider(p *provider, series []*stats.Series) debugpage.Provider {
	out := debugpage.Provider{
		ID: p.id, Aliases: p.view.IDAliases, DisplayName: p.view.DisplayName,
		// A query may hold a key.
		BaseURL:    (&url.URL{Scheme: p.base.Scheme, Host: p.base.Host, Path: p.base.Path}).String(),
		Configured: p.configured, BuiltIn: p.known, Disabled: p.disabled, Formats: []string{},
		Models: len(p.models), Keys: len(p.keys),
		Load: d.load(series...),
	}
	out.Load.Limits = debugLimits(p.gate, p.limits, d.now)
	d.addFleet(out.Load.Limits, p.limits, d.tracks(p)...)
	if p.isAsked() {
		models, age, err := d.servers.of(p).State(d.now)
		out.Discovery = &debugpage.Discovery{Models: models, AgeMS: ms(age), Error: err}
	}
	if p.hasTarget {
		out.Endpoint = shownTarget(p.target.Host)
	}
	for _, a := range p.surfaces {
		if !slices.Contains(out.Formats, string(a.format)) {
			out.Formats = append(out.Formats, string(a.format))
		}
	}
	for _, m := range p.models {
		switch m.track.Health.State(d.now, everybody).Phase {
		case stats.CoolingDown:
			out.ModelsInCooldown++
		case stats.Probing:
			out.ModelsProbing++
		case stats.Due:
			out.ModelsDue++
		}
	}
	for _, k := range p.keys {
		if k.track.Key.State(d.now, nil, everybody).Phase == stats.CoolingDown {
			out.KeysInCooldown++
		}
	}
	return out
}

// everybody stands for a request of any caller: the page shows the health that all
// of them share.
var everybody stats.Request

// models lists the models with a row of their own, and the names of the others. If
// there are too many, the busiest get the rows.
//
// Names of rows and others come in the order of the config, except for the
// busiest of too many.
func (d *debugView) models() ([]debugpage.Model, []debugpage.OtherModel) {
	type row struct {
		model  debugpage.Model
		track  *stats.Track
		keys   []*apiKey
		limits *debugpage.Limits
	}
	var rows []row
	others := map[string][]string{}
	for _, p := range d.s.selector.providers {
		for _, m := range p.models {
			// An idle, healthy model of the catalog has nothing to show.
			if !m.configured && m.track.Idle(d.now) && m.track.Health.State(d.now, everybody).Phase == stats.Healthy {
				others[p.id] = append(others[p.id], m.id)
				continue
			}
			limits := debugLimits(m.gate, m.limits, d.now)
			d.addFleet(limits, m.limits, m.track)
			rows = append(rows, row{debugpage.Model{
				Provider: p.id, ID: m.id, Configured: m.configured, Disabled: m.disabled || p.disabled,
			}, m.track, p.keys, limits})
		}
		for _, named := range d.unlisted[fold(p.id)] {
			// Its name is a client's, and may be long and strange.
			rows = append(rows, row{debugpage.Model{Provider: p.id, ID: debugpage.Name(named.Name), Unlisted: true}, named.Track, p.keys, nil})
		}
	}
	if len(rows) > maxDebugModels {
		busy := map[*stats.Track]int64{}
		for _, r := range rows {
			busy[r.track] = r.track.Window(d.now).Requests
		}
		// The sort is stable, so that rows with equal load keep the config's order.
		slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(busy[b.track], busy[a.track]) })
		for _, r := range rows[maxDebugModels:] {
			others[r.model.Provider] = append(others[r.model.Provider], r.model.ID)
		}
		rows = rows[:maxDebugModels]
	}
	list := make([]debugpage.Model, 0, len(rows))
	for _, r := range rows {
		r.model.Health, r.model.Load = d.modelHealth(r.track, r.keys), d.load(&r.track.Series)
		r.model.Load.Limits = r.limits
		list = append(list, r.model)
	}
	// Each provider shows its count, and names as long as there is room.
	rest := []debugpage.OtherModel{}
	room := maxDebugNames
	for _, p := range d.s.selector.providers {
		ids := others[p.id]
		if len(ids) == 0 {
			continue
		}
		n := min(len(ids), room)
		room -= n
		rest = append(rest, debugpage.OtherModel{Provider: p.id, Count: len(ids), IDs: ids[:n]})
	}
	return list, rest
}

// key is a key's row. Its health is the whole key's, without single models.
func (d *debugView) key(p *provider, k *apiKey) debugpage.Key {
	out := debugpage.Key{
		Provider: p.id, ID: k.id,
		Health:   d.health(k.track.Key.State(d.now, nil, everybody)),
		Requests: d.allowance(k.track.Quota.Requests(d.now)),
		Tokens:   d.allowance(k.track.Quota.Tokens(d.now)),
		Load:     d.load(&k.track.Series),
	}
	out.Load.Limits = debugLimits(k.gate, k.limits, d.now)
	return out
}

// allowance is a limit of the provider's. Without numbers the reset means nothing.
func (d *debugView) allowance(a stats.Allowance) debugpage.Allowance {
	out := debugpage.Allowance{Remaining: measure.Count(a.Remaining), Limit: measure.Count(a.Limit)}
	if out.Remaining != nil || out.Limit != nil {
		out.ResetMS = left(a.Reset, d.now)
	}
	return out
}

// modelHealth is the health of a model with its keys. It takes the later end of two
// cooldowns, the model's and the first key's, as a request does.
func (d *debugView) modelHealth(track *stats.Track, keys []*apiKey) debugpage.Health {
	own := track.Health.State(d.now, everybody)
	states := make([]stats.State, len(keys))
	for i, k := range keys {
		states[i] = k.track.Key.State(d.now, track, everybody)
	}
	key := stats.FirstReady(states...)
	out := d.health(own.And(key))
	out.OfKeys = out.State == debugpage.InCooldown && key.CooldownUntil().After(own.CooldownUntil())
	return out
}

// health translates the phase of a cooldown into the page's words.
func (d *debugView) health(state stats.State) debugpage.Health {
	out := debugpage.Health{State: debugpage.Healthy, Failures: state.Failures}
	switch state.Phase {
	case stats.CoolingDown:
		out.State, out.CooldownMS = debugpage.InCooldown, left(state.CooldownUntil(), d.now)
	case stats.Probing:
		out.State = debugpage.Probing
	case stats.Due:
		out.State = debugpage.Due
	}
	return out
}

// load sums the windows of several models or keys. An empty window has no slots.
// The sum of windows is exact for counts and averages. A percentile comes from
// the added histograms.
func (d *debugView) load(series ...*stats.Series) debugpage.Load {
	w := stats.Sum(d.now, series...)
	out := debugpage.Load{
		Requests: w.Requests, InFlight: w.InFlight,
		ErrorRate: debugpage.ErrorRate(w.Errors),
		Latency: debugpage.Latency{
			UpstreamAvg: w.Upstream.Avg, UpstreamP95: w.Upstream.P95,
			GatewayAvg: w.Gateway.Avg, GatewayP95: w.Gateway.P95,
			FirstTokenAvg: w.FirstToken.Avg, FirstTokenP95: w.FirstToken.P95,
			PerTokenAvg: w.PerOutputToken.Avg, PerTokenP95: w.PerOutputToken.P95,
		},
		Tokens: debugpage.Tokens{Input: w.Tokens.ProviderInput, Output: w.Tokens.ProviderOutput},
	}
	if w.Requests == 0 {
		return out
	}
	for _, slot := range stats.Slots(d.now, series...) {
		out.Slots = append(out.Slots, debugpage.Slot{
			Requests: slot.Requests, Failed: slot.Failed, LatencyMS: ms(slot.Latency),
			Tokens: debugpage.Tokens{Input: slot.InputTokens, Output: slot.OutputTokens},
		})
	}
	return out
}

// debugExplain runs Explain on a pasted request. The visitor of the page counts as
// its client.
func (g *Gateway) debugExplain(asker *http.Request, q *debugpage.Question) *debugpage.Explain {
	header, err := pastedHeader(&q.Header)
	if err != nil {
		return &debugpage.Explain{Error: err.Error()}
	}
	// A pasted request is JSON unless it says otherwise.
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	path, _, _ := strings.Cut(strings.TrimSpace(q.Path), "?")
	r := (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: path}, Header: header, Host: asker.Host, RemoteAddr: asker.RemoteAddr,
		Body: io.NopCloser(strings.NewReader(q.Body)), ContentLength: int64(len(q.Body)),
	}).WithContext(asker.Context())
	res, err := g.Explain(r) //nolint:contextcheck // r carries the context of who asks
	var out debugpage.Explain
	if err != nil {
		out.Error = strings.TrimPrefix(err.Error(), "aigateway: ")
	}
	if res == nil {
		return &out
	}
	out.Result = res
	for _, m := range res.ModelsTried {
		out.Turns = append(out.Turns, debugpage.Turn{Provider: m.Provider, Model: m.Model, Why: debugTurn(m)})
	}
	for _, m := range res.Client.RejectedModels {
		if m.Provider == "" { // the others are among those not tried
			out.Rest = append(out.Rest, debugpage.Turn{Model: m.Model, Why: m.Message})
		}
	}
	for _, m := range res.NotTried {
		if len(out.Rest) == maxDebugModels {
			out.More++
			continue
		}
		out.Rest = append(out.Rest, debugpage.Turn{Provider: m.Provider, Model: m.Model, Why: m.Message})
	}
	var strategies []string // each name runs them anew
	notes := map[string][]string{}
	for _, st := range res.ModelSelection {
		if st.Error != "" {
			out.Notes = append(out.Notes, st.Strategy+": "+st.Error)
		}
		if _, ok := notes[st.Strategy]; !ok {
			strategies = append(strategies, st.Strategy)
		}
		notes[st.Strategy] = append(notes[st.Strategy], st.Notes...)
	}
	for _, text := range strategies {
		for _, note := range debugpage.Grouped(notes[text]) {
			out.Notes = append(out.Notes, text+": "+note)
		}
	}
	out.Notes = append(out.Notes, debugpage.Grouped(res.Notes)...)
	return &out
}

// debugTurn describes the turn of a candidate.
// A dry run sends nothing, so it speaks of what would happen.
func debugTurn(m TriedModel) string {
	keys, healthy := "without a key", true
	if len(m.APIKeySelection) > 0 {
		var ids []string
		healthy = false
		for _, k := range m.APIKeySelection {
			if k.CooldownMS > 0 {
				ids = append(ids, k.ID+" (in cooldown for "+seconds(milliseconds(k.CooldownMS))+")")
			} else {
				ids = append(ids, k.ID)
				healthy = true
			}
		}
		keys = "with key " + strings.Join(ids, ", then ")
	}
	switch {
	case m.Error != "":
		return "would be refused: " + m.Error
	case m.Limit != "":
		return "is at its limit " + m.Limit + ", and so comes last; " + keys
	case m.CooldownMS > 0:
		return "in cooldown for " + seconds(milliseconds(m.CooldownMS)) + ", and so comes last; " + keys
	case m.Probed:
		return "is being probed, and so comes last; " + keys
	case !healthy:
		return "its keys are in cooldown, and so it comes last; " + keys
	default:
		return keys
	}
}

// milliseconds makes a duration of a Result's milliseconds.
func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// pastedHeader reads lines of "Name: value". The page shows the text again, so
// credentials are cut from it.
//
// Data:
//
//	X-Tier: gold
//	Authorization: Bearer sk-…
//
// A line in another form empties the text: it may hold a credential anywhere.
func pastedHeader(text *string) (http.Header, error) {
	h := http.Header{}
	var shown []string
	for line := range strings.Lines(*text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !header.IsName(name) || !header.IsValue(value) {
			*text = ""
			return nil, fmt.Errorf("a line of the headers is not like %q", "X-Tier: gold")
		}
		h.Add(name, value)
		if redact.IsCredentialHeader(http.CanonicalHeaderKey(name)) || redact.IsSecretName(name) {
			value = redact.Text(value)
		}
		shown = append(shown, name+": "+value)
	}
	*text = strings.Join(shown, "\n")
	return h, nil
}

// debugLimits is what is used of limits now. Nil without limits.
func debugLimits(g *limit.Gate, l limit.Limits, now time.Time) *debugpage.Limits {
	if g == nil {
		return nil
	}
	requests, tokens := g.Left(now)
	return &debugpage.Limits{
		InFlight: g.InFlight(), MaxInFlight: l.InFlight, Waiting: g.Waiting(),
		RequestsLeft: requests, RequestsPerMinute: l.RequestsPerMinute,
		TokensLeft: tokens, TokensPerMinute: l.TokensPerMinute,
	}
}

// addFleet adds the requests under way of all replicas, where they have one limit. Keys
// have no such number: replicas tell it of models.
func (d *debugView) addFleet(shown *debugpage.Limits, l limit.Limits, tracks ...*stats.Track) {
	if shown == nil || !l.Exact || d.s.fleet == nil {
		return
	}
	n := int64(0)
	for _, t := range tracks {
		n += t.Everywhere()
	}
	shown.InFleet = &n
}

// tracks are those of a provider's models, listed and unlisted.
func (d *debugView) tracks(p *provider) (list []*stats.Track) {
	for _, m := range p.models {
		list = append(list, m.track)
	}
	for _, named := range d.unlisted[fold(p.id)] {
		list = append(list, named.Track)
	}
	return list
}
