package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// fleet starts each server when a row first needs it.
type fleet struct {
	up      *process
	running map[string]*process // by variant
	folder  string              // of what servers need in files, once one does
}

// server returns the running server of a variant.
func (f *fleet) server(variant string) *process {
	if f.running[variant] == nil {
		p, err := f.start(variant)
		check(err)
		f.running[variant] = p
	}
	return f.running[variant]
}

// start starts a twin, a program of its own, or a gateway.
func (f *fleet) start(variant string) (*process, error) {
	switch variant {
	case "twin":
		return start("twin", "", f.up.addr)
	case "server":
		return f.exampleServer()
	case "server-quiet":
		return f.exampleServer("-log-level", "warn")
	case "nginx":
		return f.nginx()
	case "tls upstream":
		return start("upstream", "tls", "")
	case "tls":
		return start("gateway", "tls:"+f.authority(), f.server("tls upstream").addr)
	case "tls twin":
		return start("twin", "tls:"+f.authority(), f.server("tls upstream").addr)
	default:
		return start("gateway", variant, f.up.addr)
	}
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

// nginx starts nginx as a plain proxy. Like the twin it keeps connections to the
// upstream, passes streams on at once and writes no log.
func (f *fleet) nginx() (*process, error) {
	const config = `
daemon off;
worker_processes auto;
pid nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
	access_log off;
	client_max_body_size 0;
	client_body_buffer_size 8m;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	keepalive_requests 1000000000;
	upstream p { server %s; keepalive 256; keepalive_requests 1000000000; }
	server {
		listen %s;
		location / {
			proxy_pass http://p;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffering off;
		}
	}
}
`
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close() // nginx takes a port that it is told
	if err := os.WriteFile(f.file("nginx.conf"), fmt.Appendf(nil, config, f.up.addr, addr), 0o600); err != nil {
		return nil, err
	}
	// It says nothing when it listens.
	cmd := exec.Command("nginx", "-p", f.folder, "-c", f.file("nginx.conf"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, addr: addr, foreign: true}
	for range 100 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return p, nil
		}
		pause(50 * time.Millisecond)
	}
	p.stop()
	return nil, errors.New("nginx does not listen")
}
