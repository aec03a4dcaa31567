package dialect_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// pairAt picks a pair of formats.
func pairAt(n byte) (client, upstream dialect.Format) {
	client = dialect.Format(n % 3)
	return client, (client + 1 + dialect.Format(n/3%2)) % 3
}

func FuzzRequest(f *testing.F) {
	for n := range byte(6) {
		client, upstream := pairAt(n)
		for seed := range uint64(4) {
			f.Add(n, []byte(compact(newScene(rand.New(rand.NewPCG(seed, 5)), client, upstream).write(client))))
		}
		for _, e := range fieldExamples(client) {
			f.Add(n, []byte(e.request()))
		}
	}
	f.Fuzz(func(t *testing.T, n byte, body []byte) {
		client, upstream := pairAt(n)
		tr, _ := dialect.For(client, upstream)
		models := []string{"", "claude-sonnet-4-5", "claude-opus-4-8", "claude-sonnet-5", "claude-fable-5-1"}
		out, report, err := tr.Request(body, dialect.Options{Model: models[int(n/6)%len(models)], NoReasoning: n >= 128})
		switch {
		case err != nil:
			return
		case !json.Valid(body):
			t.Fatalf("took a body that is not JSON: %q", body)
		case report.Refuse == "" && !json.Valid(out):
			t.Fatalf("%q became %q", body, out)
		}
		for _, name := range append(report.Lost, report.Dropped...) {
			if name == "" || len(name) > 80 || strings.ContainsAny(name, ",; \r\n") {
				t.Fatalf("%q may not stand in a header", name)
			}
		}
		if cut := dialect.Cut(client, body); !json.Valid(cut) {
			t.Fatalf("%q was cut to %q", body, cut)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for n := range byte(6) {
		_, upstream := pairAt(n)
		for seed := range uint64(6) {
			f.Add(n, []byte(compact(newAnswer(rand.New(rand.NewPCG(seed, 6))).whole(upstream))))
		}
		f.Add(n, []byte(`[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]`))
	}
	f.Fuzz(func(t *testing.T, n byte, body []byte) {
		client, upstream := pairAt(n)
		tr, _ := dialect.For(client, upstream)
		if out, err := tr.Answer(body); err == nil && !(json.Valid(body) && json.Valid(out)) {
			t.Fatalf("%q became %q", body, out)
		}
		streaming, _ := dialect.For(client, upstream)
		if out, err := streaming.AnswerStream(body); err == nil {
			for _, e := range events(t, string(out)) {
				if e.data != "[DONE]" && !json.Valid([]byte(e.data)) {
					t.Fatalf("%q became the event %q", body, e.data)
				}
			}
		}
		if out := tr.Error(500, body); !json.Valid(out) {
			t.Fatalf("%q became %q", body, out)
		}
	})
}

func FuzzStream(f *testing.F) {
	for n := range byte(6) {
		_, upstream := pairAt(n)
		for seed := range uint64(6) {
			r := rand.New(rand.NewPCG(seed, 7))
			f.Add(n, uint16(seed*31), []byte(newAnswer(r).stream(upstream, r, seed%2 == 0)))
		}
	}
	f.Fuzz(func(t *testing.T, n byte, cut uint16, stream []byte) {
		client, upstream := pairAt(n)
		run := func(pieces ...[]byte) (string, bool) {
			tr, _ := dialect.For(client, upstream)
			tr.CountIDs()
			if _, _, err := tr.Request([]byte(request(client, true)), dialect.Options{}); err != nil {
				t.Fatal(err)
			}
			s := tr.Stream()
			var out strings.Builder
			for _, p := range pieces {
				out.Write(s.Write(p))
			}
			last, whole := s.Close()
			out.Write(last)
			if whole != (s.Err() == nil) {
				t.Fatalf("whole is %v, and the error is %v", whole, s.Err())
			}
			return out.String(), whole
		}
		got, whole := run(stream)
		at := min(int(cut), len(stream))
		if again, _ := run(stream[:at], stream[at:]); again != got {
			t.Fatalf("cut at %d, it is another stream:\n%s\n%s", at, got, again)
		}
		ended, broken := 0, 0
		for _, e := range events(t, got) {
			switch {
			case e.data == "[DONE]" || e.name == "response.completed" || e.name == "response.incomplete" || e.name == "message_stop":
				ended++
			case e.name == "error" || strings.HasPrefix(e.data, `{"error":`):
				broken++
			}
			if e.data != "[DONE]" && !json.Valid([]byte(e.data)) {
				t.Fatalf("not JSON: %q", e.data)
			}
		}
		if whole && (ended != 1 || broken != 0) || !whole && (ended != 0 || broken != 1) {
			t.Fatalf("whole is %v, with %d ends and %d errors:\n%s", whole, ended, broken, got)
		}
	})
}
