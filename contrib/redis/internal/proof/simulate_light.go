package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// The times of a gateway's records, and the bound of its calls.
const (
	exchangeEvery = 225 * time.Millisecond
	memberEvery   = time.Second
	slotEvery     = 900 * time.Millisecond
	slotLength    = 30 * time.Second
	callTimeout   = time.Second
)

// listeners is the number of light replicas that look at the age of each record.
const listeners = 20

// wire sees the exchanges of gateways on their way to the server.
type wire struct {
	mu      sync.Mutex
	head    []string             // of a call: script, keys, mode
	members map[string]wireWrite // by key
	slots   map[string]wireWrite
}

// wireWrite is one record as it is written.
type wireWrite struct{ ttl, value string }

func (w *wire) DialHook(next redis.DialHook) redis.DialHook                               { return next }
func (w *wire) ProcessPipelineHook(p redis.ProcessPipelineHook) redis.ProcessPipelineHook { return p }

func (w *wire) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		w.note(cmd.Args())
		return next(ctx, cmd)
	}
}

// Places in the arguments of an exchange: EVALSHA, script, 4, four keys, and six
// arguments before the records.
const (
	modeAt    = 7
	recordsAt = 13
)

func (w *wire) note(args []any) {
	if len(args) < recordsAt || args[0] != "evalsha" || args[modeAt] != "write" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.head == nil {
		w.members, w.slots = map[string]wireWrite{}, map[string]wireWrite{}
		for _, a := range args[:modeAt+1] {
			w.head = append(w.head, fmt.Sprint(a))
		}
	}
	for i := recordsAt; i+3 < len(args); i += 4 {
		key := args[i].(string)                                               //nolint:forcetypeassert // the store puts strings
		write := wireWrite{fmt.Sprint(args[i+2]), string(args[i+3].([]byte))} //nolint:forcetypeassert // likewise
		switch {
		case strings.HasPrefix(key, "r/"):
			w.members[key] = write
		case strings.HasPrefix(key, "s/"):
			w.slots[key] = write
		}
	}
}

// pattern is how a light replica writes.
type pattern struct {
	head   string // of a call, as on the wire
	member wireWrite
	slots  []lightSlot // of each model with requests
	writes int         // of slots, each time
}

// lightSlot is a slot's record without its replica and number.
type lightSlot struct {
	model string
	wireWrite
}

// pattern returns what the gateways have written, as that of a replica with a rate.
func (w *wire) pattern(rate int) (p pattern, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p.member = range w.members {
	}
	known := map[string]bool{}
	for key, write := range w.slots {
		if parts := strings.Split(key, "/"); len(parts) == 4 && !known[parts[2]] {
			known[parts[2]] = true
			p.slots = append(p.slots, lightSlot{parts[2], write})
		}
	}
	if len(w.members) == 0 || len(p.slots) == 0 {
		return p, errors.New("the gateways have written no records")
	}
	// A slot is written again if there was a request of its model.
	p.writes = min(len(p.slots), int(float64(rate)*slotEvery.Seconds()+0.5))
	var text bytes.Buffer
	for _, word := range w.head {
		bulk(&text, word)
	}
	p.head = text.String()
	return p, nil
}

// bulk writes a string as on the wire.
func bulk(to *bytes.Buffer, s string) { fmt.Fprintf(to, "$%d\r\n%s\r\n", len(s), s) }

// light is a replica that keeps nothing: it writes its records, and reads all of others.
type light struct {
	pattern  *pattern
	instance string
	listens  bool
	conn     net.Conn
	in       *bufio.Reader

	epoch   string
	seq     int64
	rank    int64
	turn    int // of the next model
	told    time.Time
	slotted time.Time

	mu    sync.Mutex
	calls []time.Duration
	ages  []time.Duration
	fails atomic.Int64
}

func newLight(addr string, p *pattern, listens bool) (*light, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &light{
		pattern: p, instance: fmt.Sprintf("%026x", rand.Uint64()), listens: listens,
		conn: conn, in: bufio.NewReaderSize(conn, 16<<10), epoch: "", turn: rand.IntN(models),
	}, nil
}

// run exchanges as a gateway does, until the context ends.
func (l *light) run(ctx context.Context) {
	defer l.conn.Close()
	defer context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Now()) })()
	pause(ctx, rand.N(warmTime/2)) // not all at once
	for ctx.Err() == nil {
		for records := l.due(time.Now()); ; records = nil {
			begin := time.Now()
			more, err := l.call(records)
			if ctx.Err() != nil {
				return
			}
			l.mu.Lock()
			l.calls = append(l.calls, time.Since(begin))
			l.mu.Unlock()
			if err != nil {
				l.fails.Add(1)
				return
			}
			if !more {
				break
			}
		}
		pause(ctx, time.Duration(float64(exchangeEvery)*(0.89+0.22*rand.Float64())))
	}
}

// lightRecord is one record to write.
type lightRecord struct {
	key string
	wireWrite
}

// due returns the records that a gateway would write now.
func (l *light) due(now time.Time) (list []lightRecord) {
	if now.Sub(l.told) >= memberEvery {
		l.told = now
		list = append(list, lightRecord{"r/" + l.instance, l.pattern.member})
	}
	if now.Sub(l.slotted) >= slotEvery {
		l.slotted = now
		number := strconv.FormatInt(now.UnixNano()/int64(slotLength), 36)
		for range l.pattern.writes {
			s := &l.pattern.slots[l.turn%len(l.pattern.slots)]
			l.turn++
			list = append(list, lightRecord{"s/" + l.instance + "/" + s.model + "/" + number, s.wireWrite})
		}
	}
	return list
}

// call makes one exchange. Ranks are the times of writing in µs, so that readers see
// the age of a record.
func (l *light) call(records []lightRecord) (more bool, err error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "*%d\r\n%s", recordsAt+4*len(records), l.pattern.head)
	for _, word := range []string{l.instance, l.epoch, strconv.FormatInt(l.seq, 10), "1000", strconv.Itoa(1 << 20)} {
		bulk(&out, word)
	}
	l.rank = max(l.rank+1, time.Now().UnixMicro())
	for _, r := range records {
		for _, word := range []string{r.key, fmt.Sprintf("%019d", l.rank), r.ttl, r.value} {
			bulk(&out, word)
		}
	}
	if _, err := l.conn.Write(out.Bytes()); err != nil {
		return false, err
	}
	return l.answer()
}

// answer reads the cursor, and the ages of records.
func (l *light) answer() (more bool, err error) {
	n, err := l.number('*')
	if err != nil {
		return false, err
	}
	first := l.epoch == ""
	if l.epoch, err = l.text(); err != nil {
		return false, err
	}
	if l.seq, err = l.number(':'); err != nil {
		return false, err
	}
	if err := l.skip(); err != nil { // the server's time
		return false, err
	}
	flag, err := l.number(':')
	if err != nil {
		return false, err
	}
	var ages []time.Duration
	for i := int64(4); i < n; i += 2 {
		if err := l.skip(); err != nil { // the key
			return false, err
		}
		age, err := l.age()
		if err != nil {
			return false, err
		}
		if age > 0 && !first {
			ages = append(ages, age)
		}
	}
	l.mu.Lock()
	l.ages = append(l.ages, ages...)
	l.mu.Unlock()
	return flag == 1, nil
}

// errWire is an answer that is none of an exchange.
var errWire = errors.New("an answer of another form")

// number reads a line of a type with a number.
func (l *light) number(kind byte) (int64, error) {
	line, err := l.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 3 || line[0] != kind {
		return 0, fmt.Errorf("%w: %q", errWire, line)
	}
	return strconv.ParseInt(string(line[1:len(line)-2]), 10, 64)
}

func (l *light) skip() error {
	n, err := l.number('$')
	if err != nil {
		return err
	}
	_, err = l.in.Discard(int(n) + 2)
	return err
}

func (l *light) text() (string, error) {
	n, err := l.number('$')
	if err != nil {
		return "", err
	}
	b := make([]byte, n+2)
	_, err = io.ReadFull(l.in, b)
	return string(b[:n]), err
}

// rankLength is that of the rank, which begins a stored text.
const rankLength = 19

// age skips a stored text, and returns its age. Those of gateways, whose ranks are in ms,
// have none.
func (l *light) age() (age time.Duration, err error) {
	n, err := l.number('$')
	if err != nil {
		return 0, err
	}
	if l.listens && n > rankLength {
		head, err := l.in.Peek(rankLength)
		if err != nil {
			return 0, err
		}
		written, err := strconv.ParseInt(string(head), 10, 64)
		if at := time.UnixMicro(written); err == nil && written > 1e14 {
			age = time.Since(at)
		}
	}
	_, err = l.in.Discard(int(n) + 2)
	return age, err
}

// reset forgets the figures before the measurement.
func (l *light) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls, l.ages = nil, nil
}

// lightFigures are those of all light replicas.
type lightFigures struct {
	calls, ages []time.Duration
	slow        int
	failed      int64
}

func (f *lightFigures) add(l *light) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.ages, f.failed = append(f.ages, l.ages...), f.failed+l.fails.Load()
	for _, d := range l.calls {
		f.calls = append(f.calls, d)
		if d > callTimeout {
			f.slow++
		}
	}
}
