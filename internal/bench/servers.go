package main

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fleet starts each server when a row first needs it.
type fleet struct {
	up      *process
	running map[string]*process // by variant
	folder  string              // of what servers need in files, once one does
}

// server returns the running server of a variant: the twin, a program of its own, or
// a gateway.
func (f *fleet) server(variant string) *process {
	if f.running[variant] == nil {
		var err error
		switch variant {
		case "twin":
			f.running[variant], err = start("twin", "", f.up.addr)
		case "server":
			f.running[variant], err = f.exampleServer()
		case "server-quiet":
			f.running[variant], err = f.exampleServer("-log-level", "warn")
		case "tls upstream":
			f.running[variant], err = start("upstream", "tls", "")
		case "tls":
			f.running[variant], err = start("gateway", "tls:"+f.authority(), f.server("tls upstream").addr)
		case "tls twin":
			f.running[variant], err = start("twin", "tls:"+f.authority(), f.server("tls upstream").addr)
		default:
			f.running[variant], err = start("gateway", variant, f.up.addr)
		}
		check(err)
	}
	return f.running[variant]
}

func (f *fleet) stop() {
	for _, p := range f.running {
		p.stop()
	}
	if f.folder != "" {
		os.RemoveAll(f.folder)
	}
}

// file returns the path of a file in the fleet's folder.
func (f *fleet) file(name string) string {
	if f.folder == "" {
		var err error
		f.folder, err = os.MkdirTemp("", "bench")
		check(err)
	}
	return filepath.Join(f.folder, name)
}

// authority writes the authority of the TLS upstream to a file.
func (f *fleet) authority() string {
	u := httptest.NewTLSServer(nil) // all have one certificate
	defer u.Close()
	file := f.file("ca.pem")
	check(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: u.Certificate().Raw}), 0o600))
	return file
}

// exampleServer builds and starts examples/server as it is shipped, with further flags.
// Its log goes to a file.
func (f *fleet) exampleServer(flags ...string) (*process, error) {
	const config = `
providers:
  - id: p
    base_url: http://p.internal
    models: [{id: %s}, {id: %s}, {id: %s}]
    api_keys: [{value: "${secrets.get('p', 'api-key')}"}]
internal_endpoints: {p.internal: "http://%s"}
`
	err := os.WriteFile(f.file("gateway.yaml"), fmt.Appendf(nil, config, modelSmall, modelLarge, modelFast, f.up.addr), 0o600)
	if err != nil {
		return nil, err
	}
	out, err := exec.Command("go", "build", "-o", f.file("server"), "github.com/aigateway-go/aigateway/examples/server").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	logs, err := os.CreateTemp(f.folder, "*.log")
	if err != nil {
		return nil, err
	}
	defer logs.Close() // the server has its own
	flags = append(flags, "-config", f.file("gateway.yaml"), "-listen", "127.0.0.1:0", "-hosts", "gateway")
	cmd := exec.Command(f.file("server"), flags...)
	cmd.Env = append(os.Environ(), "P_API_KEY=sk-1234567890abcdef12345678")
	cmd.Stderr = logs
	p, err := run(cmd)
	if err != nil {
		return nil, err
	}
	p.foreign = true
	_, p.addr, _ = strings.Cut(p.addr, "http://")
	return p, nil
}
