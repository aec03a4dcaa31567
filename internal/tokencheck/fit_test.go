package tokencheck

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"strings"

	"github.com/aigateway-go/aigateway/internal/usage"
	"github.com/tiktoken-go/tokenizer"
)

func TestFit(t *testing.T) {
	enc, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil { t.Fatal(err) }
	files, _ := filepath.Glob("testdata/*")
	if extra := os.Getenv("EXTRA"); extra != "" { files = append(files, strings.Fields(extra)...) }
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if len(b) > 100000 { b = b[:100000] }
		ids, _, _ := enc.Encode(string(b))
		text := usage.Estimate(append([]byte("x "), b...))
		body := b
		if !strings.HasSuffix(f, ".json") {
			q, _ := json.Marshal(string(b))
			body = []byte(`{"model":"gpt-4o","messages":[{"role":"user","content":` + string(q) + `}]}`)
		}
		n := usage.Estimate(body)
		bids, _, _ := enc.Encode(string(body))
		pc := func(a int64, b int) float64 { return 100*(float64(a)/float64(b) - 1) }
		fmt.Printf("%-20s text %6d est %6d %+6.1f%% | body %6d est %6d %+6.1f%%\n", filepath.Base(f), len(ids), text, pc(text, len(ids)), len(bids), n, pc(n, len(bids)))
	}
}
