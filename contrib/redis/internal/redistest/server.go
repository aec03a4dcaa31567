// Package redistest runs real Redis servers on loopback: one alone, a Cluster, and one
// behind Sentinel. It needs redis-server and redis-cli in the PATH.
package redistest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTimeout is the time for a server to answer, and for a Cluster or Sentinel to
// agree.
const startTimeout = 20 * time.Second

// Server is one redis-server. It keeps its port over restarts, and nothing on disk.
// Its methods must not be called at the same time.
type Server struct {
	Addr string // host:port on loopback

	dir  string
	args []string
	tls  bool
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when the process has ended
}

// Start starts a server on a free port. args are those of redis-server, after the
// ones for a server in memory alone; --tls-port 0 makes the port one of TLS.
func Start(args ...string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return startAt(port, args...)
}

func startAt(port string, args ...string) (*Server, error) {
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: net.JoinHostPort("127.0.0.1", port), dir: dir}
	s.args = append([]string{"--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", dir}, args...)
	if i := indexOf(args, "--tls-port"); i >= 0 {
		s.tls = true
		s.args = append(s.args, "--port", "0", "--tls-port", port)
	} else {
		s.args = append(s.args, "--port", port)
	}
	if err := s.launch(s.args...); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func indexOf(args []string, arg string) int {
	for i, a := range args {
		if a == arg {
			return i
		}
	}
	return -1
}

// launch starts the process, and waits until it answers.
func (s *Server) launch(args ...string) error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return fmt.Errorf("%w: install Debian's package redis-server", err)
	}
	s.out = new(output)
	s.cmd = exec.Command(path, args...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, s.out, s.out
	EndWithParent(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(s.cmd, s.done)
	if err := s.answers(); err != nil {
		s.Kill()
		return fmt.Errorf("redis-server %s: %w\n%s", strings.Join(args, " "), err, s.out)
	}
	return nil
}

// answers waits for the first answer. Any one will do, also that it wants a password.
func (s *Server) answers() error {
	return eventually(func() error {
		select {
		case <-s.done:
			return errEnded
		default:
		}
		conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
		if err != nil || s.tls {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
			return err
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil && strings.HasPrefix(line, "-LOADING") {
			return errors.New(line)
		}
		return err
	})
}

var errEnded = errors.New("the process has ended")

// Kill ends the process at once, and waits for its end. The memory is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// Pause stops the process with SIGSTOP: connections stay open, and nobody answers.
func (s *Server) Pause() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (s *Server) Resume() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Restart starts a server that was killed, empty, on the same port.
func (s *Server) Restart() error { return s.launch(s.args...) }

// Close ends the server, and removes its files.
func (s *Server) Close() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

// CPU returns the processor time that the process has used.
func (s *Server) CPU() (time.Duration, error) {
	return ProcessCPU(s.cmd.Process.Pid)
}

// CLI runs redis-cli against the server, and returns its output.
func (s *Server) CLI(args ...string) (string, error) {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return "", err
	}
	return cli(append([]string{"-h", host, "-p", port}, args...)...)
}

func cli(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-cli", args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("redis-cli %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return text, nil
}

// write puts a file into the folder of the server, and returns its path.
func (s *Server) write(name, text string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// eventually tries until there is no error, or too long.
func eventually(try func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(startTimeout)
	for {
		err := try()
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-tick.C:
		case <-end:
			return err
		}
	}
}

// freePort returns a port that is free, and whose bus port in a Cluster is free too.
func freePort() (string, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		// The bus of a Cluster listens 10,000 above. Below the range of outgoing ports nobody
		// takes the port by chance.
		port = 10_000 + port%20_000
		if free(port) && free(port+10_000) {
			return fmt.Sprint(port), nil
		}
	}
	return "", errors.New("no free port on loopback")
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// output keeps the last output of a process.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf.Len() > 1<<20 {
		o.buf.Reset()
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
