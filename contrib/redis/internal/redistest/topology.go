package redistest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// Cluster is three masters that share the slots.
type Cluster struct{ Nodes []*Server }

// StartCluster starts a Cluster, and waits until each node knows all of it.
func StartCluster() (c *Cluster, err error) {
	c = new(Cluster)
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	var addrs []string
	for range 3 {
		node, err := Start("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-config-file", "nodes.conf")
		if err != nil {
			return c, err
		}
		c.Nodes = append(c.Nodes, node)
		addrs = append(addrs, node.Addr)
	}
	if _, err := cli(append(append([]string{"--cluster", "create"}, addrs...), "--cluster-yes")...); err != nil {
		return c, err
	}
	for _, node := range c.Nodes {
		err := eventually(func() error {
			info, err := node.CLI("CLUSTER", "INFO")
			if err == nil && !strings.Contains(info, "cluster_state:ok") {
				err = errors.New(info)
			}
			return err
		})
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

// URL is that of all nodes.
func (c *Cluster) URL() string {
	url := "redis://" + c.Nodes[0].Addr + "?cluster=true"
	for _, node := range c.Nodes[1:] {
		url += "&addr=" + node.Addr
	}
	return url
}

// Close ends all nodes.
func (c *Cluster) Close() {
	for _, node := range c.Nodes {
		node.Close()
	}
}

// Sentinel is a master with one replica, watched by one sentinel.
type Sentinel struct{ Master, Replica, Watcher *Server }

// StartSentinel starts them, and waits until the sentinel knows the replica.
func StartSentinel() (s *Sentinel, err error) {
	s = new(Sentinel)
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.Master, err = Start(); err != nil {
		return s, err
	}
	host, port, err := net.SplitHostPort(s.Master.Addr)
	if err != nil {
		return s, err
	}
	if s.Replica, err = Start("--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0"); err != nil {
		return s, err
	}
	err = eventually(func() error {
		info, err := s.Replica.CLI("INFO", "replication")
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New(info)
		}
		return err
	})
	if err != nil {
		return s, err
	}
	if s.Watcher, err = startWatcher(host, port); err != nil {
		return s, err
	}
	return s, eventually(func() error {
		replicas, err := s.Watcher.CLI("SENTINEL", "REPLICAS", "fleet")
		if err == nil && !strings.Contains(replicas, s.Replica.Addr) {
			err = errors.New("the sentinel does not know the replica yet")
		}
		return err
	})
}

func startWatcher(host, port string) (*Server, error) {
	own, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: net.JoinHostPort("127.0.0.1", own), dir: dir}
	config, err := s.write("sentinel.conf", fmt.Sprintf(`port %s
bind 127.0.0.1
sentinel monitor fleet %s %s 1
sentinel down-after-milliseconds fleet 500
sentinel failover-timeout fleet 3000
`, own, host, port))
	if err == nil {
		s.args = []string{config, "--sentinel"}
		err = s.launch(s.args...)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// URL is that of the sentinel.
func (s *Sentinel) URL() string {
	return "redis://" + s.Watcher.Addr + "?master_name=fleet"
}

// Close ends all three.
func (s *Sentinel) Close() {
	for _, server := range []*Server{s.Watcher, s.Replica, s.Master} {
		if server != nil {
			server.Close()
		}
	}
}
