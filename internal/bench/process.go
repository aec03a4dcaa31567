package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// process is a server under test, or its upstream, in a process of its own, with
// its own CPU time and memory.
type process struct {
	addr string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader

	foreign bool // it is another program, and takes no commands
}

// start runs this program again in a role. variant names the gateway.
func start(role, variant, upstream string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-role", role, "-variant", variant, "-upstream", upstream)
	cmd.Stderr = os.Stderr
	return run(cmd)
}

// run starts a command. Its first line is its address.
func run(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.addr, err = p.line()
	return p, err
}

func (p *process) line() (string, error) {
	line, err := p.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

// stop ends the process. It lives as long as its input, unless it is foreign.
func (p *process) stop() {
	if p.in != nil {
		p.in.Close()
	}
	if p.foreign {
		p.cmd.Process.Signal(syscall.SIGTERM)
	}
	p.cmd.Wait()
}

// state is a process's report on itself.
type state struct {
	CPU    time.Duration // user and system
	Heap   int64         // and stacks, after a collection, in bytes
	Stacks int64         // alone
	RSS    int64         // in bytes
	Peak   int64         // of the RSS
}

// ask sends a command and reads the state. "gc" collects garbage first,
// "profile" and "heap" write one to the file named behind.
func (p *process) ask(command string) (state, error) {
	var s state
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		return s, err
	}
	line, err := p.line()
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(line), &s)
}

// cpu is the CPU time of the process so far.
func (p *process) cpu() time.Duration {
	if p.foreign {
		return foreignCPU(p.cmd.Process.Pid)
	}
	s, err := p.ask("state")
	check(err)
	return s.CPU
}

// foreignCPU is the CPU time of a program and its children, as the system counts it: in
// hundredths of a second. Where the system has no /proc, it is zero.
func foreignCPU(pid int) (total time.Duration) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name, in brackets, may hold blanks. The state comes after it.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		own := file == fmt.Sprintf("/proc/%d/stat", pid)
		if !own && string(fields[1]) != strconv.Itoa(pid) {
			continue
		}
		for _, ticks := range fields[11:13] { // user and system
			n, err := strconv.Atoi(string(ticks))
			check(err)
			total += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return total
}

// child is the other side: it serves until its input ends.
func child(role, variant, upstream string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	switch {
	case role == "upstream" && variant == "tls":
		go serveTLSUpstream(l)
	case role == "upstream":
		go serveUpstream(l)
	default:
		h, err := handler(role, variant, upstream)
		if err != nil {
			return err
		}
		go http.Serve(l, h)
	}
	fmt.Println(l.Addr())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		what, file, _ := strings.Cut(in.Text(), " ")
		if err := obey(what, file); err != nil {
			return err
		}
		s, err := measure()
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
			return err
		}
	}
	return in.Err()
}

func obey(what, file string) error {
	switch what {
	case "gc":
		runtime.GC()
		debug.FreeOSMemory() // waits for the sweep, and gives back what is not used
	case "profile":
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		return pprof.StartCPUProfile(f)
	case "heap":
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		return pprof.WriteHeapProfile(f)
	case "end":
		pprof.StopCPUProfile()
	}
	return nil
}

// measure reads the figures of this process from the system and the runtime.
func measure() (state, error) {
	var (
		s  state
		ru syscall.Rusage
		ms runtime.MemStats
	)
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return s, err
	}
	s.CPU = time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	runtime.ReadMemStats(&ms)
	s.Heap, s.Stacks = int64(ms.HeapAlloc+ms.StackInuse), int64(ms.StackInuse)
	status, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, os.ErrNotExist) {
		return s, nil // no Linux
	}
	for line := range bytes.Lines(status) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		kb, _ := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))), 10, 64)
		switch string(name) {
		case "VmRSS":
			s.RSS = kb << 10
		case "VmHWM":
			s.Peak = kb << 10
		}
	}
	return s, err
}

// handler returns the handler of a process.
func handler(role, variant, upstream string) (http.Handler, error) {
	scheme, authority := "http", ""
	if kind, file, _ := strings.Cut(variant, ":"); kind == "tls" {
		scheme, authority = "https", file
	}
	u := &url.URL{Scheme: scheme, Host: upstream}
	if role == "twin" {
		return twin(u, authority)
	}
	cfg, err := variantConfig(variant)
	if err != nil {
		return nil, err
	}
	cfg.InternalEndpoints = map[string]string{"p.internal": u.String()}
	if variant == "dead" {
		// Nothing listens there once it is closed.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		l.Close()
		cfg.InternalEndpoints["dead.internal"] = "http://" + l.Addr().String()
	}
	g, err := aigateway.New(cfg)
	if err == nil && variant == "features" {
		g.DebugHandler() // has each request remembered
	}
	return g, err
}

// twin is the bare proxy. With an authority's file it trusts that, and speaks HTTP/2.
func twin(u *url.URL, authority string) (http.Handler, error) {
	transport := gatewaytest.BareProxyTransport()
	if authority != "" {
		roots := x509.NewCertPool()
		bundle, err := os.ReadFile(authority)
		if err != nil {
			return nil, err
		}
		roots.AppendCertsFromPEM(bundle)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: tlsName, MinVersion: tls.VersionTLS12}
		transport.ForceAttemptHTTP2 = true
	}
	return gatewaytest.BareProxy(u, transport), nil
}

// variantConfig is the config of a gateway under test. Each has the upstream's
// models at the provider p.
func variantConfig(variant string) (aigateway.Config, error) {
	models := []aigateway.Model{{ID: modelSmall}, {ID: modelLarge}, {ID: modelFast}, {ID: modelSlow}}
	p := aigateway.Provider{
		ID: "p", BaseURL: "http://p.internal", Models: models,
		APIKeys: []aigateway.APIKey{{Value: "${secrets.get('p', 'api-key')}"}},
	}
	cfg := aigateway.Config{
		Secrets: aigateway.MapSecrets(map[string]map[string]string{"p": {"api-key": "sk-1234567890abcdef12345678", "second": "sk-2234567890abcdef12345678", "third": "sk-3234567890abcdef12345678"}}),
	}
	kind, argument, _ := strings.Cut(variant, ":")
	switch kind {
	case "plain":
	case "tls":
		p.BaseURL, p.TLS = "https://p.internal", aigateway.TLS{CAFile: argument, ServerName: tlsName}
	case "keys":
		p.APIKeys = append(p.APIKeys, aigateway.APIKey{Value: "${secrets.get('p', 'second')}"}, aigateway.APIKey{Value: "${secrets.get('p', 'third')}"})
	case "static":
		cfg.ModelSelection.Strategy = []string{"ai.models.filter(m, m.provider_id == 'p')"}
	case "metric":
		cfg.ModelSelection.Strategy = []string{"ai.models.sortBy(m, m.metrics.endpoint.latency.upstream_ms_avg)"}
	case "random":
		cfg.ModelSelection.Strategy = []string{"ai.models.randomize()"}
	case "bare":
		cfg.StreamUsage, cfg.ResponseHeaders = aigateway.StreamUsageClient, []aigateway.ResponseHeader{}
	case "features":
		allFeatures(&cfg, &p)
	case "translated":
		p.SupportedAPISurfaces = []aigateway.APISurface{{Format: "openai", Surface: "chat-completions"}}
		p.Translate = aigateway.TranslateOn
	case "dead":
		cfg.Providers = append(cfg.Providers, aigateway.Provider{ID: "dead", BaseURL: "http://dead.internal", Models: models})
	case "models":
		n, err := strconv.Atoi(argument)
		if err != nil {
			return cfg, err
		}
		for i := range n - len(models) {
			p.Models = append(p.Models, aigateway.Model{ID: fmt.Sprintf("m-%d", i)})
		}
		cfg.ModelSelection.Strategy = []string{"ai.models.filter(m, m.provider_id == 'p')"}
	default:
		return cfg, fmt.Errorf("no variant %q", variant)
	}
	cfg.Providers = append(cfg.Providers, p)
	return cfg, nil
}
