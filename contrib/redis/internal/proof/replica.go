package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aigateway-go/aigateway/contrib/redis/internal/redistest"
)

// stage is a fleet: a store, a provider, and replicas in processes of their own.
type stage struct {
	store    *redistest.Server
	provider *provider
	replicas []*replica

	dir, config string
	program     *program // of the replicas
	client      *http.Client
}

// secret is that of the fleets here.
const secret = "0123456789abcdef0123456789abcdef0123456789abcdef"

// stage starts a store, a provider and replicas of the example: n, unless the options
// name a number. It returns when all replicas share. Settings are lines of the config
// beside its providers: p0 to p19, with a key each, good, and gpu with slots.
func (o *options) stage(ctx context.Context, n int, settings string) (*stage, error) {
	return o.stageOf(ctx, n, example, settings, "")
}

// stageOf is stage for another program, and with further fields of each provider.
func (o *options) stageOf(ctx context.Context, n int, p *program, settings, fields string) (*stage, error) {
	s, err := newStage(p, settings, fields)
	if err != nil {
		return nil, err
	}
	if err = s.add(o.replicasOr(n)); err == nil {
		err = s.settled(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// newStage starts a store and a provider.
func newStage(p *program, settings, fields string) (s *stage, err error) {
	s = &stage{program: p, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "proof-"); err != nil {
		return s, err
	}
	if s.store, err = redistest.Start(); err != nil {
		return s, err
	}
	if s.provider, err = startProvider(); err != nil {
		return s, err
	}
	s.config = filepath.Join(s.dir, "gateway.yaml")
	if err = os.WriteFile(s.config, []byte(s.document(settings, fields)), 0o600); err != nil {
		return s, err
	}
	return s, p.build()
}

// flaky is the number of providers p0, p1, … that scenarios break.
const flaky = 20

// document is the config of all replicas.
func (s *stage) document(settings, fields string) string {
	var b, hosts strings.Builder
	b.WriteString(settings + "\ncaller: \"req.headers['x-user'][0]\"\nproviders:\n")
	var ids []string
	for i := range flaky {
		ids = append(ids, fmt.Sprint("p", i))
	}
	for _, id := range append(ids, "good") {
		fmt.Fprintf(&b, "  - {id: %s, base_url: \"http://%s.internal\", api_keys: [{value: \"${secrets.get('p', 'key')}\"}], models: [{id: m, pricing: {input: 1, output: 1}}]%s}\n", id, id, fields)
		fmt.Fprintf(&hosts, "  %s.internal: %q\n", id, s.provider.URL)
	}
	fmt.Fprintf(&b, "  - {id: gpu, base_url: \"http://gpu.internal\", limits: {in_flight: %d, exact: true, wait: 25s}, models: [{id: m}]}\n", slotLimit)
	fmt.Fprintf(&b, "only_allow_configured_providers: true\ninternal_endpoints:\n%s  gpu.internal: %q\n", hosts.String(), s.provider.URL)
	return b.String()
}

// program is one of replicas, built once a process.
type program struct {
	in   string // the folder of its module, in the repository
	args []string

	once sync.Once
	path string
	err  error
}

var (
	// example is the replica that users copy.
	example = &program{in: "contrib/redis/example", args: []string{"-drain-delay", "500ms"}}
	// everything is a replica with labels and telemetry too, and figures of its memory.
	everything = &program{in: "internal/fleetreplica"}
)

// build builds the program, under the race detector if this one is.
func (p *program) build() error {
	p.once.Do(func() {
		root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aigateway-go/aigateway").Output()
		if err != nil {
			p.err = fmt.Errorf("go list: %w", err)
			return
		}
		dir, err := os.MkdirTemp("", "proof-program-")
		if err != nil {
			p.err = err
			return
		}
		p.path = filepath.Join(dir, "replica")
		args := []string{"build", "-C", filepath.Join(strings.TrimSpace(string(root)), p.in), "-o", p.path}
		if raceDetector {
			args = append(args, "-race")
		}
		out, err := exec.Command("go", args...).CombinedOutput()
		if err != nil {
			p.err = fmt.Errorf("go build: %w: %s", err, out)
		}
	})
	return p.err
}

// removePrograms removes the programs at the end of this one.
func removePrograms() {
	for _, p := range []*program{example, everything} {
		if p.path != "" {
			_ = os.RemoveAll(filepath.Dir(p.path))
		}
	}
}

// url is the store's for the replicas.
func (s *stage) url() string { return "redis://" + s.store.Addr }

// add starts replicas that share the store.
func (s *stage) add(n int) error {
	for range n {
		r, err := s.start(fmt.Sprintf("replica-%d", len(s.replicas)), s.url())
		if err != nil {
			return err
		}
		s.replicas = append(s.replicas, r)
	}
	return nil
}

// close ends all processes.
func (s *stage) close() {
	for _, r := range s.replicas {
		r.kill()
	}
	if s.provider != nil {
		s.provider.close()
	}
	if s.store != nil {
		s.store.Close()
	}
	_ = os.RemoveAll(s.dir)
}

// replica is a gateway in a process of its own.
type replica struct {
	name, url, admin string

	cmd    *exec.Cmd
	done   chan struct{}
	err    error // of the process, behind done
	log    *tail
	client *http.Client
}

// start starts a replica. Without a store's URL it works alone.
func (s *stage) start(name, store string) (*replica, error) {
	args := []string{"-config", s.config, "-listen", "127.0.0.1:0", "-admin-listen", "127.0.0.1:0", "-name", name, "-log-level", "warn"}
	args = append(args, s.program.args...)
	if store != "" {
		args = append(args, "-redis", store, "-prefix", "proof")
	}
	r := &replica{name: name, client: s.client, log: new(tail), done: make(chan struct{})}
	r.cmd = exec.Command(s.program.path, args...)
	r.cmd.Env = append(os.Environ(), "AIGATEWAY_SHARED_SECRET="+secret, "P_KEY=sk-canary-of-the-provider")
	redistest.EndWithParent(r.cmd)
	r.cmd.Stderr = r.log
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for _, at := range []*string{&r.url, &r.admin} {
		if !lines.Scan() {
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
			return nil, fmt.Errorf("%s has not started: %s", name, r.log)
		}
		_, *at, _ = strings.Cut(lines.Text(), " on ")
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		r.err = r.cmd.Wait()
		close(r.done)
	}()
	return r, nil
}

// kill ends the process at once.
func (r *replica) kill() {
	_ = r.cmd.Process.Kill()
	<-r.done
}

// stop drains the process. A race or another fault is an error.
func (r *replica) stop() error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-r.done
	if r.err != nil {
		return fmt.Errorf("%s: %w: %s", r.name, r.err, r.log)
	}
	return nil
}

// cpu is the processor time that the process has used.
func (r *replica) cpu() (time.Duration, error) { return redistest.ProcessCPU(r.cmd.Process.Pid) }

// tail keeps the last output of a process.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buf.Len() > 1<<20 {
		t.buf.Reset()
	}
	return t.buf.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// body is a request to models in their order of preference.
func body(prompt string, models ...string) string {
	names, err := json.Marshal(models)
	if err != nil {
		panic(err) // never: strings
	}
	return fmt.Sprintf(`{"models":%s,"messages":[{"role":"user","content":%q}]}`, names, prompt)
}

// chat sends a request. Its error is anything but a whole answer of the status 200,
// as an *answerError if there was one.
func (r *replica) chat(ctx context.Context, body string, header ...string) error {
	return r.post(ctx, "/v1/chat/completions", body, header...)
}

func (r *replica) post(ctx context.Context, path, body string, header ...string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-User", fmt.Sprint("user-", rand.IntN(10)))
	req.Header.Set("X-Session", "session")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"hello"`)) {
		return &answerError{resp.StatusCode, string(text)}
	}
	return nil
}

// answerError is an answer that is not the wanted one.
type answerError struct {
	status int
	text   string
}

func (e *answerError) Error() string { return fmt.Sprintf("%d: %s", e.status, e.text) }

// state is what the scenarios read from the debug page.
type state struct {
	Models []stateModel `json:"models"`
	Fleet  struct {
		Name  string `json:"name"`
		Store struct {
			State string `json:"state"`
			Error string `json:"error"`
		} `json:"store"`
		SnapshotAgeMS float64 `json:"snapshot_age_ms"`
		Replicas      []struct {
			Name     string `json:"name"`
			InFlight int    `json:"in_flight"`
			Requests int    `json:"requests"`
		} `json:"replicas"`
	} `json:"fleet"`
}

type stateModel struct {
	Provider string `json:"provider"`
	Health   struct {
		State string `json:"state"`
	} `json:"health"`
}

func (r *replica) state(ctx context.Context) (*state, error) {
	s := new(state)
	return s, r.ask(ctx, http.MethodGet, "/debug/aigateway?format=json", func(resp *http.Response) error { return json.NewDecoder(resp.Body).Decode(s) })
}

// ask sends a request to the second address of the replica, and has its answer read.
func (r *replica) ask(ctx context.Context, method, path string, read func(*http.Response) error) error {
	req, err := http.NewRequestWithContext(ctx, method, r.admin+path, nil)
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers with %s", path, resp.Status)
	}
	return read(resp)
}

// cools reports whether the replica knows of a cooldown of a provider's model.
func (r *replica) cools(ctx context.Context, provider string) (bool, error) {
	s, err := r.state(ctx)
	if err != nil {
		return false, err
	}
	for _, m := range s.Models {
		if m.Provider == provider {
			return m.Health.State == "cooldown", nil
		}
	}
	return false, fmt.Errorf("the debug page has no model of %s", provider)
}

// How often until asks: to measure a time, and to see something happen at all. A replica
// that is asked often for its debug page has less time for requests.
const (
	measured = 3 * time.Millisecond
	relaxed  = 25 * time.Millisecond
)

// until asks until the answer is yes, and returns how long it took.
func until(ctx context.Context, limit, every time.Duration, ask func() (bool, error)) (time.Duration, error) {
	begin := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := ask()
		took := time.Since(begin)
		switch {
		case err != nil:
			return took, err
		case ok:
			return took, nil
		case took > limit:
			return took, fmt.Errorf("not within %s", limit)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return took, context.Cause(ctx)
		}
	}
}

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
