package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// soakSettings turn on what a config can. Each request is in two limits at least.
const soakSettings = `per_request_timeout: 1s
first_token_timeout: 1s
total_timeout: 8s
client_timeout: 2s
stream_keepalive: 1s
response_headers: [request-id, model, attempts, removed-params, rejected-models, affinity, cost]
model_selection:
  strategy:
    - "ai.models.sticky(req.headers['x-session'][0], 1.5)"
client_limits:
  - {key: "req.headers['x-team'][0]", requests_per_minute: 60000, tokens_per_minute: 10000000, usd_per_day: 1000, usd_per_month: 10000, required: false}
  - {key: "req.headers['x-greedy'][0]", required: false, requests_per_minute: 30}
  - {key: "req.headers['x-exact'][0]", required: false, requests_per_minute: 6000, usd_per_day: 1000, exact: true}`

// soakFields are those of each provider.
const soakFields = `, limits: {in_flight: 200, requests_per_minute: 60000, tokens_per_minute: 10000000, wait: 100ms}`

// The sizes of the soak's traffic.
const (
	soakRate     = 60
	soakTeams    = 48
	soakUsers    = 20 // at a time; each second brings a new one
	soakSessions = 40 // at a time
	soakTurns    = 6  // of a session, about
)

// turn is a request of the soak.
type turn struct {
	path, body string
	header     []string
	leaves     time.Duration // the client's patience, or zero
}

// soakKind is a kind of requests, and its share of the traffic.
type soakKind struct {
	share int
	make  func(n uint64, t *turn)
}

func failing(prompt string) func(uint64, *turn) {
	return func(n uint64, t *turn) {
		t.body = body(prompt, fmt.Sprintf("p%d:m", n%flaky), fmt.Sprintf("p%d:m", (n+7)%flaky), "good:m")
	}
}

// streamed makes a request one for a stream.
func streamed(make func(uint64, *turn)) func(uint64, *turn) {
	return func(n uint64, t *turn) {
		make(n, t)
		t.body = strings.TrimSuffix(t.body, "}") + `,"stream":true}`
	}
}

var soakKinds = []soakKind{
	{20, func(uint64, *turn) {}},
	{10, func(n uint64, t *turn) { t.body = body(fmt.Sprintf("slow=%dms", n%400), "good:m") }},
	{15, streamed(func(uint64, *turn) {})},
	{8, failing("status=503")},
	{8, failing("status=429 retry=2")},
	{4, failing("status=404")},
	{4, failing("cut")},
	{4, streamed(failing("status=500"))},
	{4, streamed(failing("cut"))},
	{1, failing("hold=3s")},
	{4, func(n uint64, t *turn) { t.body = body("hi", fmt.Sprintf("good:unlisted-%d", n/100)) }}, // a new name each few seconds
	{4, func(_ uint64, t *turn) { t.body = body(strings.Repeat("long ", 20_000), "good:m") }},
	{3, func(n uint64, t *turn) {
		t.path, t.body = "/v1/responses", `{"model":"good:m","input":"hi"}`
		t.header = append(t.header, "X-User", fmt.Sprint("archivist-", n%10)) // ids are kept for 30 days
	}},
	{4, func(n uint64, t *turn) { t.header = append(t.header, "X-Exact", fmt.Sprint("client-", n%10)) }},
	{3, func(_ uint64, t *turn) { t.header = append(t.header, "X-Greedy", "greedy") }},
	{4, func(n uint64, t *turn) {
		t.body, t.leaves = body("slow=500ms", "good:m"), time.Duration(1+n%40)*5*time.Millisecond
	}},
}

// soakLoad sends the traffic, and counts how it ends.
type soakLoad struct {
	begin time.Time
	next  atomic.Uint64

	sent, failed, limited, left atomic.Int64
	first                       atomic.Pointer[string] // failure
}

// turn makes the next request. Users, sessions and some models are new ones all the
// time, and those before never come back.
func (l *soakLoad) turn(n uint64) *turn {
	second := int(time.Since(l.begin).Seconds())
	t := &turn{path: "/v1/chat/completions", body: body("hi", "good:m", fmt.Sprintf("p%d:m", n%flaky))}
	t.header = []string{
		"X-Team", fmt.Sprint("team-", rand.IntN(soakTeams)),
		"X-User", fmt.Sprint("user-", second+rand.IntN(soakUsers)),
		"X-Session", fmt.Sprint("session-", int(n/soakTurns)+rand.IntN(soakSessions)),
	}
	all := 0
	for _, k := range soakKinds {
		all += k.share
	}
	at := rand.IntN(all)
	for _, k := range soakKinds {
		if at -= k.share; at < 0 {
			k.make(n, t)
			break
		}
	}
	return t
}

// one sends a request. A refusal by a client's limit is right, and so is the end of a
// client that leaves.
func (l *soakLoad) one(ctx context.Context, replicas []*replica) {
	n := l.next.Add(1)
	t := l.turn(n)
	if t.leaves > 0 {
		var leave func()
		ctx, leave = context.WithTimeout(ctx, t.leaves)
		defer leave()
	}
	err := replicas[n%uint64(len(replicas))].post(ctx, t.path, t.body, t.header...)
	l.sent.Add(1)
	var answer *answerError
	switch {
	case err == nil:
	case t.leaves > 0 && ctx.Err() != nil:
		l.left.Add(1)
	case errors.As(err, &answer) && answer.status == http.StatusTooManyRequests && strings.Contains(answer.text, "client_limit_exceeded"):
		l.limited.Add(1)
	default:
		l.failed.Add(1)
		text := fmt.Sprintf("%.200s: %v", t.body, err)
		l.first.CompareAndSwap(nil, &text)
	}
}

// soak keeps a fleet with everything on under load, and looks for what grows.
func soak(ctx context.Context, o *options) error {
	s, err := o.stageOf(ctx, 3, everything, soakSettings, soakFields)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.acquainted(ctx); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: s.store.Addr, PoolSize: 1})
	defer func() { _ = client.Close() }()
	load := &soakLoad{begin: time.Now()}
	loadCtx, stop := context.WithTimeout(ctx, o.length)
	defer stop()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		steady(loadCtx, o.rateOr(soakRate), func(ctx context.Context) { load.one(ctx, s.replicas) })
	}()
	list, err := s.watch(loadCtx, o, load, client)
	stop()
	<-loaded
	o.printf("%d replicas, %d requests a second for %s: %d requests, %d failed; %d refused at a client's limit, %d left by their clients",
		len(s.replicas), o.rateOr(soakRate), o.length, load.sent.Load(), load.failed.Load(), load.limited.Load(), load.left.Load())
	if text := load.first.Load(); text != nil {
		err = errors.Join(err, fmt.Errorf("%d requests failed, the first: %s", load.failed.Load(), *text))
	}
	for _, r := range s.replicas {
		err = errors.Join(err, r.stop())
	}
	unlevel := level(o, list)
	if o.update != "" && err == nil {
		err = writeSamples(o, load, list) // also those of a fleet that grows
	}
	return errors.Join(err, unlevel)
}
