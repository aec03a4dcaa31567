package faultwall

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Setup describes a gateway in front of the wall. An OpenFunc makes the gateway:
// this package does not import the root package.
type Setup struct {
	// Config is a document for ParseConfig.
	Config []byte
	// Secret, if not nil, resolves every secret of the config.
	Secret SecretFunc
	// Transport, if not nil, is the Config's.
	Transport http.RoundTripper
	// Done takes the Result of each request, as JSON.
	Done func(result []byte)
}

// OpenFunc makes a gateway.
type OpenFunc func(Setup) (http.Handler, error)

// Case is a fault in one format, with a fallback or without one.
type Case struct {
	Fault
	Format Format
	Alone  bool
}

// Cases are all faults, each in the formats that it applies to.
func Cases() []Case {
	var cases []Case
	for _, f := range Faults() {
		for _, format := range Formats() {
			only := f.Only
			if f.Link != LinkPlain {
				only = "openai chat" // no format is spoken on the other ways
			}
			if _, ok := format.(responsesFormat); ok && !f.Stream {
				continue // the surfaces of OpenAI differ in their events alone
			}
			if strings.HasPrefix(format.Name(), only) {
				cases = append(cases, Case{f, format, false}, Case{f, format, true})
			}
		}
	}
	return cases
}

// Want is the outcome that the case must have.
func (c Case) Want() Want {
	w := c.WithFallback
	if c.Alone {
		w = c.Fault.Alone
	}
	if _, ok := c.Format.(anthropicFormat); ok {
		w.Primary += c.OtherForm
	}
	if w.Got == Relayed {
		w.Code = errorCode(c.Format, w.Status, w.Code)
	}
	return w
}

// Outcome is the outcome of a case.
type Outcome struct {
	// Primary and Fallback count the attempts of the Result. SeenPrimary and
	// SeenFallback count the requests that arrived.
	Primary, Fallback         int
	SeenPrimary, SeenFallback int
	// Stray are credentials that reached the wrong provider.
	Stray []string
	// Reply is the client's reply, and Alive the reply to its next request.
	Reply, Alive *Reply
	// Report is the Result.
	Report Report
	// Held is an error if the gateway kept a connection after giving it up.
	Held error
}

// Report is the checked part of a Result.
type Report struct {
	Status string
	Error  *struct {
		Code   string
		Status int
	}
	Tried []struct {
		Provider string
		Made     []struct {
			Status, Error string
		} `json:"requests_made"`
	} `json:"models_tried"`
	Success *struct{ Provider string }
	Input   int `json:"input_tokens"`
	Output  int `json:"output_tokens"`

	// Raw is the whole Result.
	Raw string `json:"-"`
}

// attempts counts the attempts at a provider.
func (t *Report) attempts(provider string) (n int) {
	for _, m := range t.Tried {
		if m.Provider == provider {
			n += len(m.Made)
		}
	}
	return n
}

// soon bounds what a gateway does at once: to let a connection go, and to report. Only a
// failing case waits so long. A busy machine is slow over real sockets.
const soon = 20 * time.Second

const (
	primaryModel  = "model-p"
	fallbackModel = "model-f"
)

// Timed reports whether the case waits for a timeout or a pause, over a plain
// connection. Such a case runs InMemory: a busy machine cannot miss a timeout in
// virtual time, and the wait costs nothing.
func (c Case) Timed() bool {
	w := c.Want()
	return c.Link == LinkPlain && (c.Timeout || c.FirstToken || w.Paces >= 1 || w.Time > 0)
}

// Run plays the case against a gateway of its own. It returns an error if the
// wall could not be built. Case.Problems judges the outcome.
func (c Case) Run(ctx context.Context, network Network, pace time.Duration, open OpenFunc) (*Outcome, error) {
	fallbackAt, fallbackURL, err := network.listen("fallback")
	if err != nil {
		return nil, err
	}
	out := new(Outcome)
	var primary *RawUpstream
	fallback := newRaw(fallbackAt, ownerFallback, pace, func(t *Exchange) {
		if t.Number == 1 {
			// The first provider must have been let go before the second is
			// asked.
			ctx, cancel := context.WithTimeout(ctx, soon)
			defer cancel()
			out.Held = primary.Idle(ctx)
		}
		good(t)
	})
	defer fallback.Close()
	primaryAt, primaryURL, err := network.listen("primary")
	if err != nil {
		return nil, err
	}
	setup := Setup{}
	if tr := network.transport(); tr != nil {
		defer tr.CloseIdleConnections()
		setup.Transport = tr
	}
	switch c.Link {
	case LinkNoName:
		tr := unknownHosts()
		defer tr.CloseIdleConnections()
		setup.Transport = tr
		primaryURL = ""
	case LinkRefused:
		// The near end of a connection is a port in use without a listener.
		conn, err := net.Dial("tcp", fallbackAt.Addr().String())
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		primaryURL = "http://" + conn.LocalAddr().String()
	case LinkUntrusted:
		cert, err := selfSigned()
		if err != nil {
			return nil, err
		}
		primaryAt = tls.NewListener(primaryAt, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	if c.Link >= LinkUntrusted {
		primaryURL = strings.Replace(primaryURL, "http:", "https:", 1)
	}
	primary = newRaw(primaryAt, ownerPrimary, pace, c.Behaviour)
	primary.elsewhere, primary.handshake = fallbackURL, c.Link.handshake()
	primary.start()
	defer primary.Close()
	fallback.start()

	results := make(chan []byte, 8)
	setup.Done = func(result []byte) { results <- result }
	if c.Secret != nil {
		closed := make(chan struct{})
		defer close(closed)
		setup.Secret = c.Secret(closed)
	}
	if setup.Config, err = c.config(pace, primaryURL, fallbackURL); err != nil {
		return nil, err
	}
	gateway, err := open(setup)
	if err != nil {
		return nil, err
	}
	url, client, closeServer, err := serve(network, gateway)
	if err != nil {
		return nil, err
	}
	defer closeServer()

	ask := call{client: client, url: url, format: c.Format, models: []string{primaryModel, fallbackModel}, stream: c.Stream}
	if c.Alone {
		ask.models = ask.models[:1]
	}
	out.Reply = ask.do(ctx)
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	if err := out.hear(ctx, results); err != nil {
		return nil, err
	}
	if err := errors.Join(primary.Idle(ctx), fallback.Idle(ctx)); err != nil {
		out.Held = err
	}
	out.SeenPrimary, out.SeenFallback = len(primary.Seen()), len(fallback.Seen())
	for _, a := range append(primary.Seen(), fallback.Seen()...) {
		if a.Stray != "" {
			out.Stray = append(out.Stray, a.Stray)
		}
	}

	// A good request follows. The primary answers it, unless the fault lies in
	// its link or key.
	primary.Heal()
	ask.stream = false
	if c.Link != LinkPlain || c.Secret != nil {
		ask.models = []string{fallbackModel}
	}
	out.Alive = ask.do(ctx)
	return out, nil
}

// hear waits for the Result of the request.
func (o *Outcome) hear(ctx context.Context, results <-chan []byte) error {
	select {
	case raw := <-results:
		o.Report.Raw = string(raw)
		if err := json.Unmarshal(raw, &o.Report); err != nil {
			return err
		}
		o.Primary, o.Fallback = o.Report.attempts("primary"), o.Report.attempts("fallback")
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no Result of a request that ended as %s", o.Reply)
	}
}

// config is the gateway's config, as a document.
func (c Case) config(pace time.Duration, primaryURL, fallbackURL string) ([]byte, error) {
	keys := []map[string]string{{"value": primaryKey("1")}}
	if c.Secret != nil {
		keys[0]["value"] = "${secrets.get('primary', 'key')}"
	}
	if c.TwoKeys {
		keys = append(keys, map[string]string{"value": primaryKey("2")})
	}
	provider := func(id, model string) map[string]any {
		return map[string]any{
			"id": id, "base_url": "http://" + id + ".internal", "models": []map[string]string{{"id": model}},
			"supported_api_surfaces": []map[string]string{{"format": "openai"}, {"format": "anthropic"}},
		}
	}
	primary, fallback := provider("primary", primaryModel), provider("fallback", fallbackModel)
	primary["api_keys"] = keys
	fallback["api_keys"] = []map[string]string{{"value": credential(ownerFallback, "1")}}
	secrets(primary, ownerPrimary)
	secrets(fallback, ownerFallback)
	endpoints := map[string]string{}
	if fallbackURL != "" {
		endpoints["fallback.internal"] = fallbackURL
	}
	if primaryURL != "" {
		endpoints["primary.internal"] = primaryURL
	}
	cfg := map[string]any{
		"providers": []any{primary, fallback}, "only_allow_configured_providers": true,
		"internal_endpoints":  endpoints,
		"per_request_timeout": "30s", "total_timeout": "60s", "max_retries": c.Retries,
	}
	if c.Timeout {
		primary["per_request_timeout"] = pace.String()
	}
	if c.FirstToken {
		cfg["first_token_timeout"] = (3 * pace).String()
	}
	if c.Complete {
		cfg["stream_commit"] = "complete"
	}
	return json.Marshal(map[string]any{"on_http_request": []any{map[string]any{"type": "ai-gateway", "config": cfg}}})
}

// serve serves a gateway on a network, and returns a client for it.
func serve(network Network, gateway http.Handler) (url string, client *http.Client, closeServer func(), err error) {
	l, url, err := network.listen("gateway")
	if err != nil {
		return "", nil, nil, err
	}
	tr := network.transport()
	if tr == nil {
		tr = &http.Transport{DisableCompression: true}
	}
	if url == "" {
		url = "http://gateway.internal"
	}
	server := &http.Server{Handler: gateway}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(l)
	}()
	return url, &http.Client{Transport: tr}, func() {
		tr.CloseIdleConnections()
		server.Close()
		<-served
	}, nil
}

// Problems lists every deviation from the wanted outcome. It is empty if the
// case passed. slack is the longest acceptable delay.
func (c Case) Problems(o *Outcome, pace, slack time.Duration) []string {
	var p problems
	w := c.Want()
	p.check(o.Primary == w.Primary, "%d attempts at the primary, want %d", o.Primary, w.Primary)
	p.check(o.Fallback == w.Fallback, "%d attempts at the fallback, want %d", o.Fallback, w.Fallback)
	arrived := w.Primary
	if c.Link != LinkPlain || c.Secret != nil && w.Primary == 1 {
		arrived = 0
	}
	p.check(o.SeenPrimary == arrived, "%d requests arrived at the primary, want %d", o.SeenPrimary, arrived)
	p.check(o.SeenFallback == w.Fallback, "%d requests arrived at the fallback, want %d", o.SeenFallback, w.Fallback)

	least := time.Duration(w.Paces*float64(pace)) + w.Time
	p.check(o.Reply.Took >= least, "it took %v, less than %v", o.Reply.Took, least)
	p.check(o.Reply.Took <= least+slack, "it took %v, more than %v over", o.Reply.Took, slack)
	c.checkReply(&p, w, o.Reply)
	c.checkResult(&p, w, o)

	p.check(o.Alive.Whole(), "a good request ended next as %s", o.Alive)
	p.check(o.Held == nil, "%v", o.Held)
	p.check(len(o.Stray) == 0, "credentials of others reached a provider: %q", o.Stray)
	for _, text := range []string{o.Report.Raw, o.Reply.Message, o.Reply.Text, fmt.Sprint(o.Reply.Header)} {
		p.check(!strings.Contains(text, SecretMark), "a secret got out in %s", text)
	}
	return p
}

func (c Case) checkReply(p *problems, w Want, r *Reply) {
	switch w.Got {
	case FromPrimary, FromFallback:
		model := primaryModel
		if w.Got == FromFallback {
			model = fallbackModel
		}
		p.check(r.Whole(), "the client got: %s", r)
		p.check(r.Text == wholeText(model), "the client read %q", r.Text)
		p.check(r.Model == model, "the model reported is %q, want %q", r.Model, model)
		p.check(r.Usage, "no usage was reported")
		p.check(r.Length >= bigLength || !c.big(), "the client got only %d bytes", r.Length)
	case Relayed:
		p.check(r.Err == nil, "the client got: %v", r.Err)
		p.check(r.Status == w.Status && r.Code == w.Code, "the client got %d %s, want %d %s", r.Status, r.Code, w.Status, w.Code)
		p.check(strings.HasSuffix(r.Message, saidByPrimary), "the message is not the provider's: %q", r.Message)
		p.check(r.Header.Get("Retry-After") == w.RetryAfter, "Retry-After is %q, want %q", r.Header.Get("Retry-After"), w.RetryAfter)
		// An SDK reads the milliseconds first.
		ms := r.Header.Get("Retry-After-Ms")
		p.check(ms == "" || ms == w.RetryAfter+"000", "retry-after-ms is %q, and Retry-After is %q", ms, w.RetryAfter)
	case Failed:
		p.check(r.Err == nil, "the client got: %v", r.Err)
		p.check(r.Status == w.Status && r.Code == w.Code, "the client got %d %s, want %d %s", r.Status, r.Code, w.Status, w.Code)
		_, reason, named := strings.Cut(r.Message, "primary:"+primaryModel+": ")
		if w.Code == codeKeyRefused {
			p.check(!named && !strings.Contains(r.Message, saidByPrimary), "the client is told of the gateway's own key: %s", r.Message)
			p.check(r.Header.Get("X-Should-Retry") == "false", "an SDK would send it again")
			break
		}
		p.check(named && reason != "", "the error does not say what was tried, and why that failed: %s", r.Message)
		if _, err := strconv.Atoi(c.Reason); err == nil {
			p.check(strings.HasPrefix(reason, c.Reason), "the error hides the status %s: %s", c.Reason, r.Message)
		}
		p.check(r.Header.Get("X-Should-Retry") == "false", "an SDK would send it again")
	case Broken:
		p.check(!r.Whole(), "the client takes the half for all")
		p.check(w.Reported || r.Err != nil, "the connection ended as if all were well")
		p.check(!w.Reported || r.Err == nil, "the upstream's own error may be lost: %v", r.Err)
		p.check(r.Code == w.Code, "the client was told %q, want %q", r.Code, w.Code)
		p.check(r.Text != "" && strings.HasPrefix(wholeText(primaryModel), r.Text), "the client read %q", r.Text)
	}
}

func (c Case) checkResult(p *problems, w Want, o *Outcome) {
	t := &o.Report
	status, code := "error", w.Code
	switch w.Got {
	case FromPrimary, FromFallback:
		status, code = "success", ""
	case Relayed:
		code = "upstream_error"
	case Broken:
		code = "stream_broken"
	}
	p.check(t.Status == status, "the Result says %q, want %q", t.Status, status)
	if code == "" {
		from := map[Got]string{FromPrimary: "primary", FromFallback: "fallback"}[w.Got]
		p.check(t.Error == nil && t.Success != nil && t.Success.Provider == from, "the Result does not say that the %s answered", from)
		p.check(t.Input == inputTokens && t.Output == outputTokens || c.big(), "the Result counts %d and %d tokens", t.Input, t.Output)
	} else {
		p.check(t.Error != nil && t.Error.Code == code && t.Success == nil, "the Result says %+v, want %s", t.Error, code)
		p.check(w.Status == 0 || t.Error != nil && t.Error.Status == w.Status, "the Result has another status than %d", w.Status)
	}
	for _, m := range t.Tried {
		for _, a := range m.Made {
			p.check((a.Status == "success") == (a.Error == ""), "an attempt that is %q says %q", a.Status, a.Error)
			if a.Status != "success" && w.Got != Broken {
				p.check(strings.Contains(a.Error, c.Reason), "the attempt says %q, want %q in it", a.Error, c.Reason)
			}
		}
	}
}

// big reports whether the answer is too large for the gateway to read its usage.
func (c Case) big() bool { return strings.HasPrefix(c.Name, "50 MB") }

// problems collects deviations.
type problems []string

func (p *problems) check(ok bool, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Sprintf(format, args...))
	}
}

// selfSigned makes an untrusted certificate.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "primary.internal"}, DNSNames: []string{"primary.internal"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
