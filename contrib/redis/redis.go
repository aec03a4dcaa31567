package gatewayredis

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/redis/go-redis/v9"
)

// Options are what New needs. Either Client or URL is set.
type Options struct {
	// Client is a client of the service's own. New refuses a client that does not obey
	// contexts, as its Options.ContextTimeoutEnabled says: its calls would outlast
	// their time. Close does not close it.
	Client redis.UniversalClient
	// URL makes a client: redis:// or, with TLS, rediss://, with user and password,
	// host, port, and the number of the database as its path. Parameters are those of
	// go-redis. Some of them say where the store is:
	//
	//	redis://HOST:PORT                            one server
	//	redis://HOST:PORT?master_name=NAME&addr=...  behind Sentinel; the hosts are those of the sentinels
	//	redis://HOST:PORT?cluster=true&addr=...      a Cluster
	URL string
	// TLS is for URL, which must begin with rediss://. If nil, the system's roots and
	// the host of URL.
	TLS *tls.Config
	// Prefix begins each key, so that several fleets can share a store. It has 1 to 64
	// characters, without braces and spaces. If empty, "aigateway".
	Prefix string
	// Timeout bounds a connection's making, each write and each read of the client
	// that URL makes. If zero, 1 s.
	Timeout time.Duration
}

// Store is an aigateway.Shared. Make one with New.
type Store struct {
	client redis.UniversalClient
	own    bool
	prefix string
	place  string // for errors
	keys   []string
}

var _ aigateway.Shared = (*Store)(nil)

// The bounds of one script, which nothing else in the server runs beside.
const (
	mostPut  = 500
	mostBack = 1000
	maxBytes = 1 << 20
)

var (
	//go:embed exchange.lua
	exchangeText string
	//go:embed take.lua
	takeText string

	exchangeScript = redis.NewScript(exchangeText)
	takeScript     = redis.NewScript(takeText)
)

var validPrefix = regexp.MustCompile(`^[^{}\s]{1,64}$`)

// New makes a Store. It does not connect yet, so the store may be down.
func New(o Options) (*Store, error) {
	s := &Store{prefix: cmp.Or(o.Prefix, "aigateway")}
	if !validPrefix.MatchString(s.prefix) {
		return nil, fmt.Errorf("gatewayredis: prefix %q: 1 to 64 characters, without braces and spaces", s.prefix)
	}
	if (o.Client == nil) == (o.URL == "") {
		return nil, errors.New("gatewayredis: set either Client or URL")
	}
	var err error
	if o.Client != nil {
		s.client = o.Client
		err = obeysContexts(o.Client)
	} else {
		s.own = true
		s.client, err = open(o)
	}
	if err != nil {
		return nil, fmt.Errorf("gatewayredis: %w", err)
	}
	s.place = place(s.client)
	for _, name := range []string{"fleet", "records", "changes", "ends"} {
		s.keys = append(s.keys, s.key(name))
	}
	return s, nil
}

// Close closes the client that New made of a URL. Call it after Gateway.Run has
// returned.
func (s *Store) Close() error {
	if !s.own {
		return nil
	}
	return s.client.Close()
}

// key returns a key of this fleet. The braces put all of them into one slot.
func (s *Store) key(name string) string { return "{" + s.prefix + "}:" + name }

// Exchange implements aigateway.Shared. Long puts are several steps.
func (s *Store) Exchange(ctx context.Context, put []aigateway.SharedRecord, after aigateway.SharedCursor) (aigateway.SharedChanges, error) {
	for len(put) > 0 {
		n := part(put)
		if n == len(put) {
			break
		}
		if _, err := s.exchange(ctx, "write", put[:n], after, 0); err != nil {
			return s.readOnly(ctx, after, err)
		}
		put = put[n:]
	}
	changes, err := s.exchange(ctx, "write", put, after, mostBack)
	if err != nil {
		return s.readOnly(ctx, after, err)
	}
	return changes, nil
}

// readOnly returns the changes of a store that refuses to write, with its refusal.
func (s *Store) readOnly(ctx context.Context, after aigateway.SharedCursor, refusal error) (aigateway.SharedChanges, error) {
	var e *Error
	if !errors.As(refusal, &e) || e.Fault != Full && e.Fault != ReadOnly {
		return aigateway.SharedChanges{}, refusal
	}
	changes, err := s.exchange(ctx, "read", nil, after, mostBack)
	if err != nil {
		return aigateway.SharedChanges{}, refusal
	}
	return changes, refusal
}

// part returns how many of the records one step puts.
func part(put []aigateway.SharedRecord) int {
	size := 0
	for i := range put {
		if size += len(put[i].Value); i > 0 && (size > maxBytes || i == mostPut) {
			return i
		}
	}
	return len(put)
}

// exchange is one step. It returns at most so many records.
func (s *Store) exchange(ctx context.Context, mode string, put []aigateway.SharedRecord, after aigateway.SharedCursor, most int) (aigateway.SharedChanges, error) {
	args := make([]any, 0, 6+4*len(put))
	args = append(args, mode, rand.Text(), after.Epoch, after.Seq, most, maxBytes)
	for i := range put {
		r := &put[i]
		args = append(args, r.Key, fmt.Sprintf("%019d", max(r.Rank, 0)), max(r.TTL.Milliseconds(), 1), r.Value)
	}
	answer, err := exchangeScript.Run(ctx, s.client, s.keys, args...).Slice()
	if err != nil {
		return aigateway.SharedChanges{}, s.fault(err)
	}
	changes, err := parseChanges(answer)
	if err != nil {
		return aigateway.SharedChanges{}, s.fault(err)
	}
	return changes, nil
}

// The places in a stored text.
const (
	rankEnd = 19
	textEnd = rankEnd + 15
)

// errAnswer is an answer that no script of this package gives.
var errAnswer = errors.New("an answer of another form: does another program use the prefix?")

func parseChanges(answer []any) (aigateway.SharedChanges, error) {
	var c aigateway.SharedChanges
	if len(answer) < 4 || len(answer)%2 != 0 {
		return c, errAnswer
	}
	epoch, _ := answer[0].(string)
	seq, _ := answer[1].(int64)
	text, _ := answer[2].(string)
	now, err := strconv.ParseInt(text, 10, 64)
	if err != nil || epoch == "" {
		return c, errAnswer
	}
	c.Now = time.UnixMicro(now)
	c.Cursor = aigateway.SharedCursor{Epoch: epoch, Seq: seq}
	c.More = answer[3] == int64(1)
	c.Records = make([]aigateway.SharedRecord, 0, (len(answer)-4)/2)
	for i := 4; i < len(answer); i += 2 {
		key, _ := answer[i].(string)
		text, _ := answer[i+1].(string)
		if len(text) < textEnd {
			return c, errAnswer
		}
		rank, err := strconv.ParseInt(text[:rankEnd], 10, 64)
		if err != nil {
			return c, errAnswer
		}
		end, err := strconv.ParseInt(text[rankEnd:textEnd], 10, 64)
		if err != nil {
			return c, errAnswer
		}
		ttl := time.Duration(max(end-now/1000, 1)) * time.Millisecond
		c.Records = append(c.Records, aigateway.SharedRecord{Key: key, Value: []byte(text[textEnd:]), Rank: rank, TTL: ttl})
	}
	return c, nil
}

// kinds are the names of account kinds in keys and for the script.
var kinds = map[aigateway.SharedKind]string{
	aigateway.SharedBucket: "bucket",
	aigateway.SharedBudget: "budget",
	aigateway.SharedLease:  "lease",
}

// Take implements aigateway.Shared.
func (s *Store) Take(ctx context.Context, takes []aigateway.SharedTake) (aigateway.SharedTaken, error) {
	if len(takes) == 0 {
		return aigateway.SharedTaken{OK: true}, nil
	}
	keys := make([]string, len(takes))
	args := make([]any, 0, 7*len(takes))
	for i := range takes {
		t := &takes[i]
		kind, ok := kinds[t.Kind]
		if !ok {
			return aigateway.SharedTaken{}, fmt.Errorf("gatewayredis: unknown kind %d", t.Kind)
		}
		keys[i] = s.key(kind + ":" + t.Key)
		args = append(args, kind, t.Owner, t.Amount, t.Settle, t.Limit, max(t.Per.Microseconds(), 1), max(t.TTL.Milliseconds(), 1))
	}
	answer, err := takeScript.Run(ctx, s.client, keys, args...).Slice()
	if err != nil {
		return aigateway.SharedTaken{}, s.fault(err)
	}
	taken, err := parseTaken(answer, takes)
	if err != nil {
		return aigateway.SharedTaken{}, s.fault(err)
	}
	return taken, nil
}

func parseTaken(answer []any, takes []aigateway.SharedTake) (aigateway.SharedTaken, error) {
	var taken aigateway.SharedTaken
	if len(answer) != 3+len(takes) {
		return taken, errAnswer
	}
	taken.OK = answer[0] == int64(1)
	full, _ := answer[1].(int64)
	wait, err := integer(answer[2])
	if err != nil {
		return taken, err
	}
	taken.Full, taken.Wait = int(full), time.Duration(wait)*time.Microsecond
	taken.Left = make([]int64, len(takes))
	for i, t := range takes {
		n, err := integer(answer[3+i])
		if err != nil {
			return taken, err
		}
		if t.Kind != aigateway.SharedBucket { // a sum
			n = t.Limit - n
		}
		taken.Left[i] = n
	}
	return taken, nil
}

// integer reads a decimal number. One of more than 63 bits is the largest of its sign.
func integer(v any) (int64, error) {
	text, _ := v.(string)
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && n < 0:
		return math.MinInt64, nil
	case errors.Is(err, strconv.ErrRange):
		return math.MaxInt64, nil
	case err != nil:
		return 0, errAnswer
	}
	return n, nil
}
