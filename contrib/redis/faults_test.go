package gatewayredis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	gatewayredis "github.com/aigateway-go/aigateway/contrib/redis"
	"github.com/aigateway-go/aigateway/contrib/redis/internal/redistest"
)

func record(key, value string) aigateway.SharedRecord {
	return aigateway.SharedRecord{Key: key, Value: []byte(value), Rank: 1, TTL: time.Minute}
}

func exchange(t *testing.T, s aigateway.Shared, after aigateway.SharedCursor, put ...aigateway.SharedRecord) aigateway.SharedChanges {
	t.Helper()
	c, err := s.Exchange(t.Context(), put, after)
	require.NoError(t, err)
	return c
}

func take(s aigateway.Shared) error {
	_, err := s.Take(context.Background(), []aigateway.SharedTake{{Key: "b/1", Kind: aigateway.SharedBucket, Amount: 1, Limit: 1000, Per: time.Minute}})
	return err
}

// wantFault asserts the kind and the words of an error.
func wantFault(t *testing.T, err error, fault gatewayredis.Fault, words ...string) {
	t.Helper()
	var e *gatewayredis.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, fault, e.Fault, err)
	for _, w := range words {
		assert.ErrorContains(t, err, w)
	}
}

func cli(t *testing.T, s *redistest.Server, args ...string) string {
	t.Helper()
	out, err := s.CLI(args...)
	require.NoError(t, err)
	return out
}

// A store that has lost its records begins another history.
func TestLostState(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, s *redistest.Server){
		"emptied": func(t *testing.T, s *redistest.Server) { cli(t, s, "FLUSHALL") },
		"restarted": func(t *testing.T, s *redistest.Server) {
			s.Kill()
			require.NoError(t, s.Restart())
		},
		"one key evicted": func(t *testing.T, s *redistest.Server) { cli(t, s, "DEL", "{lost}:records") },
		"another evicted": func(t *testing.T, s *redistest.Server) { cli(t, s, "DEL", "{lost}:changes") },
		"head evicted":    func(t *testing.T, s *redistest.Server) { cli(t, s, "DEL", "{lost}:fleet") },
	} {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			s := open(t, gatewayredis.Options{URL: "redis://" + server.Addr, Prefix: "lost"})
			before := exchange(t, s, aigateway.SharedCursor{}, record("a", "1"), record("b", "2"))
			lose(t, server)
			after := exchange(t, s, before.Cursor, record("c", "3"))
			assert.NotEqual(t, before.Cursor.Epoch, after.Cursor.Epoch)
			require.Len(t, after.Records, 1)
			assert.Equal(t, "c", after.Records[0].Key)
			again := exchange(t, s, after.Cursor, record("a", "1"))
			assert.Equal(t, after.Cursor.Epoch, again.Cursor.Epoch, "a new history lasts")
			require.Len(t, again.Records, 1)
		})
	}
}

// A backup is an older state of the same history. Its server is another process.
func TestRestored(t *testing.T) {
	t.Parallel()
	server := start(t)
	s := open(t, gatewayredis.Options{URL: "redis://" + server.Addr, Prefix: "backup"})
	before := exchange(t, s, aigateway.SharedCursor{}, record("a", "1"))
	cli(t, server, "SAVE")
	before = exchange(t, s, before.Cursor, record("b", "2"))
	server.Kill()
	require.NoError(t, server.Restart())
	after := exchange(t, s, before.Cursor)
	assert.NotEqual(t, before.Cursor.Epoch, after.Cursor.Epoch)
	require.Len(t, after.Records, 1, "all records of the backup")
	assert.Equal(t, "a", after.Records[0].Key)
}

func TestFull(t *testing.T) {
	t.Parallel()
	server := start(t)
	s := open(t, gatewayredis.Options{URL: "redis://" + server.Addr})
	begin := exchange(t, s, aigateway.SharedCursor{}, record("a", "1"))
	cli(t, server, "CONFIG", "SET", "maxmemory", "1")
	changes, err := s.Exchange(t.Context(), []aigateway.SharedRecord{record("b", "2")}, aigateway.SharedCursor{})
	wantFault(t, err, gatewayredis.Full, server.Addr, "maxmemory", "OOM")
	assert.Len(t, changes.Records, 1, "it can still be read")
	assert.Equal(t, begin.Cursor, changes.Cursor)
	wantFault(t, take(s), gatewayredis.Full)
	cli(t, server, "CONFIG", "SET", "maxmemory", "0")
	changes = exchange(t, s, begin.Cursor, record("b", "2"))
	assert.Len(t, changes.Records, 1, "nothing was written by half")
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	master := start(t)
	s := open(t, gatewayredis.Options{URL: "redis://" + master.Addr, Prefix: "read-only"})
	exchange(t, s, aigateway.SharedCursor{}, record("a", "1"))
	host, port, err := net.SplitHostPort(master.Addr)
	require.NoError(t, err)
	replica := start(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	require.Eventually(t, func() bool {
		out, err := replica.CLI("EXISTS", "{read-only}:records")
		return err == nil && out == "1"
	}, 10*time.Second, 20*time.Millisecond)
	r := open(t, gatewayredis.Options{URL: "redis://" + replica.Addr, Prefix: "read-only"})
	changes, err := r.Exchange(t.Context(), []aigateway.SharedRecord{record("b", "2")}, aigateway.SharedCursor{})
	wantFault(t, err, gatewayredis.ReadOnly, replica.Addr, "master")
	assert.Len(t, changes.Records, 1, "it can still be read")
	wantFault(t, take(r), gatewayredis.ReadOnly)
}

func TestDenied(t *testing.T) {
	t.Parallel()
	const password = "s3cret-canary"
	// The least rights: the keys of the prefix, and the commands of the scripts.
	rights := "~{team}:* -@all +ping +hello +eval +evalsha +time +info +hlen +hget +hgetall +hmget +hset +hdel +get +set +del +zadd +zcard +zrem +zrangebyscore +zrevrange +pttl +pexpire +pexpireat"
	server := start(t)
	cli(t, server, append([]string{"ACL", "SETUSER", "fleet", "on", ">" + password}, strings.Fields(rights)...)...)
	cli(t, server, "ACL", "SETUSER", "poor", "on", ">"+password, "~*", "-@all", "+ping")
	cli(t, server, "ACL", "SETUSER", "default", "off")
	url := func(user, password string) string {
		return fmt.Sprintf("redis://%s:%s@%s", user, password, server.Addr)
	}

	s := open(t, gatewayredis.Options{URL: url("fleet", password), Prefix: "team"})
	exchange(t, s, aigateway.SharedCursor{}, record("a", "1"))
	require.NoError(t, take(s))
	for name, store := range map[string]*gatewayredis.Store{
		"wrong password": open(t, gatewayredis.Options{URL: url("fleet", "guess-canary"), Prefix: "team"}),
		"no password":    open(t, gatewayredis.Options{URL: "redis://" + server.Addr, Prefix: "team"}),
		"no rights":      open(t, gatewayredis.Options{URL: url("poor", password), Prefix: "team"}),
		"another prefix": open(t, gatewayredis.Options{URL: url("fleet", password), Prefix: "other"}),
	} {
		_, err := store.Exchange(t.Context(), nil, aigateway.SharedCursor{})
		wantFault(t, err, gatewayredis.Denied, server.Addr, "password")
		assert.NotContains(t, err.Error(), "canary", name)
		require.Error(t, take(store), name)
	}
}

// A server that is stopped keeps its connections open. Each call ends with its context,
// or with the client's timeout.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	server := start(t)
	s := open(t, gatewayredis.Options{URL: "redis://" + server.Addr, Timeout: 300 * time.Millisecond})
	begin := exchange(t, s, aigateway.SharedCursor{}, record("a", "1"))
	require.NoError(t, server.Pause())
	from := time.Now()
	_, err := s.Exchange(t.Context(), nil, begin.Cursor)
	wantFault(t, err, gatewayredis.Unreachable, server.Addr)
	assert.Less(t, time.Since(from), 2*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	from = time.Now()
	_, err = s.Exchange(ctx, nil, begin.Cursor)
	wantFault(t, err, gatewayredis.Unreachable)
	assert.Less(t, time.Since(from), 250*time.Millisecond)
	require.NoError(t, server.Resume())
	require.Eventually(t, func() bool { _, err := s.Exchange(t.Context(), nil, begin.Cursor); return err == nil }, 5*time.Second, 20*time.Millisecond)
}

func TestDown(t *testing.T) {
	t.Parallel()
	server := start(t)
	s := open(t, gatewayredis.Options{URL: "redis://" + server.Addr})
	exchange(t, s, aigateway.SharedCursor{})
	server.Kill()
	_, err := s.Exchange(t.Context(), nil, aigateway.SharedCursor{})
	wantFault(t, err, gatewayredis.Unreachable, server.Addr)
	require.NoError(t, server.Restart())
	require.Eventually(t, func() bool { return take(s) == nil }, 5*time.Second, 20*time.Millisecond)
}

// After a failover the new master may lack the last writes, so a new history begins.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	fleet, err := redistest.StartSentinel()
	require.NoError(t, err)
	t.Cleanup(fleet.Close)
	s := open(t, gatewayredis.Options{URL: fleet.URL()})
	before := exchange(t, s, aigateway.SharedCursor{}, record("a", "1"))
	require.Eventually(t, func() bool {
		out, err := fleet.Replica.CLI("DBSIZE")
		return err == nil && out != "0"
	}, 5*time.Second, 20*time.Millisecond)
	fleet.Master.Kill()
	var after aigateway.SharedChanges
	require.Eventually(t, func() bool {
		after, err = s.Exchange(context.Background(), nil, before.Cursor)
		return err == nil
	}, 20*time.Second, 50*time.Millisecond)
	assert.NotEqual(t, before.Cursor.Epoch, after.Cursor.Epoch)
	require.Len(t, after.Records, 1)
	assert.Equal(t, "a", after.Records[0].Key)
}

func TestClusterDown(t *testing.T) {
	t.Parallel()
	c, err := redistest.StartCluster()
	require.NoError(t, err)
	t.Cleanup(c.Close)
	s := open(t, gatewayredis.Options{URL: c.URL(), Prefix: "down"})
	exchange(t, s, aigateway.SharedCursor{})
	slot := cli(t, c.Nodes[0], "CLUSTER", "KEYSLOT", "{down}:fleet")
	for _, n := range c.Nodes {
		if out := cli(t, n, "CLUSTER", "COUNTKEYSINSLOT", slot); out == "0" {
			n.Kill()
			break
		}
	}
	require.Eventually(t, func() bool {
		_, err := s.Exchange(context.Background(), nil, aigateway.SharedCursor{})
		e, ok := err.(*gatewayredis.Error) //nolint:errorlint // it is the outermost error by contract
		return ok && e.Fault == gatewayredis.FailingOver
	}, 20*time.Second, 50*time.Millisecond)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificate(t)
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, cert, 0o600))
	require.NoError(t, os.WriteFile(keyFile, key, 0o600))
	server := start(t, "--tls-port", "0", "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile, "--tls-auth-clients", "no")
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(cert))
	url := "rediss://" + server.Addr
	s := open(t, gatewayredis.Options{URL: url, TLS: &tls.Config{RootCAs: roots}})
	require.Eventually(t, func() bool { return take(s) == nil }, 10*time.Second, 50*time.Millisecond)
	_, err := open(t, gatewayredis.Options{URL: url}).Exchange(t.Context(), nil, aigateway.SharedCursor{})
	wantFault(t, err, gatewayredis.Unreachable, "certificate")
}

func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// A store holds as many records as a replica keeps. Ids live for a month, and would fill
// its memory. Those that changed last stay.
func TestBound(t *testing.T) {
	t.Parallel()
	server := start(t)
	s := open(t, gatewayredis.Options{URL: "redis://" + server.Addr, Prefix: "bound", Timeout: 10 * time.Second})
	const bound, part = 1 << 18, 1 << 11
	var at aigateway.SharedCursor
	for i := range bound/part + 1 {
		var put []aigateway.SharedRecord
		for j := range part {
			put = append(put, record(fmt.Sprintf("i/%d", i*part+j), ""))
		}
		if i == bound/part { // the oldest one changes, and is the newest
			newest := record("i/0", "again")
			newest.Rank = 2
			put = append(put, newest)
		}
		at = exchange(t, s, at, put...).Cursor
	}
	for _, name := range []string{"changes", "ends"} {
		assert.Equal(t, fmt.Sprint(bound), cli(t, server, "ZCARD", "{bound}:"+name), name)
	}
	assert.Equal(t, fmt.Sprint(bound), cli(t, server, "HLEN", "{bound}:records"))
	for key, want := range map[string]string{"i/0": "1", "i/1": "0", fmt.Sprint("i/", part): "0", fmt.Sprint("i/", part+1): "1", fmt.Sprint("i/", bound+part-1): "1"} {
		assert.Equal(t, want, cli(t, server, "HEXISTS", "{bound}:records", key), key)
	}
	assert.Equal(t, at.Epoch, exchange(t, s, at, record("c/1", "")).Cursor.Epoch, "it is the same history")
	t.Log(cli(t, server, "INFO", "memory"))
}

// Each key of the store ends by itself, also after its first record has.
func TestEverythingEnds(t *testing.T) {
	t.Parallel()
	server := start(t)
	s := open(t, gatewayredis.Options{URL: "redis://" + server.Addr})
	short := record("a", "1")
	short.TTL = 50 * time.Millisecond
	c := exchange(t, s, aigateway.SharedCursor{}, short)
	require.Eventually(t, func() bool {
		c = exchange(t, s, c.Cursor)
		n, err := server.CLI("DBSIZE")
		return err == nil && n == "1"
	}, 5*time.Second, 20*time.Millisecond, "an ended record leaves")
	exchange(t, s, c.Cursor, record("b", "2"))
	_, err := s.Take(t.Context(), []aigateway.SharedTake{
		{Key: "b", Kind: aigateway.SharedBucket, Amount: 1, Limit: 10, Per: time.Minute},
		{Key: "m", Kind: aigateway.SharedBudget, Amount: 1, Limit: 10, TTL: time.Minute},
		{Key: "l", Kind: aigateway.SharedLease, Owner: "o", Amount: 1, Limit: 10, TTL: time.Minute},
	})
	require.NoError(t, err)
	keys := strings.Fields(cli(t, server, "KEYS", "*"))
	require.Len(t, keys, 7)
	for _, key := range keys {
		assert.NotContains(t, []string{"-1", "-2"}, cli(t, server, "PTTL", key), key)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	obeys := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true})
	defer obeys.Close()
	_, err := gatewayredis.New(gatewayredis.Options{Client: obeys, Prefix: "team:eu"})
	require.NoError(t, err)
	ignores := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer ignores.Close()
	for want, o := range map[string]gatewayredis.Options{
		"either Client or URL":   {},
		"Client or URL":          {Client: obeys, URL: "redis://127.0.0.1"},
		"ContextTimeoutEnabled":  {Client: ignores},
		"without braces":         {URL: "redis://127.0.0.1", Prefix: "{a}"},
		"cannot be read":         {URL: "redis://user:canary@127.0.0.1:x y"},
		"invalid URL scheme":     {URL: "http://127.0.0.1"},
		"Options.TLS goes with":  {URL: "redis://127.0.0.1", TLS: &tls.Config{}},
		"unexpected option: bad": {URL: "redis://127.0.0.1?bad=1"},
		"database number":        {URL: "redis://127.0.0.1/x?master_name=m"},
	} {
		_, err := gatewayredis.New(o)
		require.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, "gatewayredis: ")
		assert.NotContains(t, err.Error(), "canary")
	}
}
