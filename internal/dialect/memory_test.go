package dialect_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// Nothing of a stream is kept in the memory that it came in: a relay reads the next bytes
// into it.
func TestStreamsKeepNothingOfTheirPieces(t *testing.T) {
	pairs(func(client, upstream dialect.Format) {
		for seed := range uint64(40) {
			r := rand.New(rand.NewPCG(seed, 8))
			in := newAnswer(r).stream(upstream, r, seed%2 == 0)
			run := func(memory []byte) (out string) {
				s := begun(t, client, upstream, true).Stream()
				for rest := in; len(rest) > 0; {
					n := min(1+r.IntN(60), len(rest))
					piece := []byte(rest[:n])
					if memory != nil {
						piece = memory[:copy(memory, rest[:n])]
					}
					out += string(s.Write(piece))
					rest = rest[n:]
					scribble(memory)
				}
				last, _ := s.Close()
				return out + string(last)
			}
			require.Equal(t, run(nil), run(make([]byte, 60)), "seed %d", seed)
		}
	})
}

// Nor is a translated answer in the memory of the provider's: that is used again.
func TestAnswersAreInMemoryOfTheirOwn(t *testing.T) {
	pairs(func(client, upstream dialect.Format) {
		for seed := range uint64(40) {
			in := []byte(compact(newAnswer(rand.New(rand.NewPCG(seed, 9))).whole(upstream)))
			for _, stream := range []bool{false, true} {
				tr := begun(t, client, upstream, stream)
				translate := tr.Answer
				if stream {
					translate = tr.AnswerStream
				}
				given := append([]byte(nil), in...)
				out, err := translate(given)
				require.NoError(t, err)
				want := string(out)
				scribble(given)
				require.Equal(t, want, string(out), "seed %d", seed)
			}
		}
	})
}

// scribble overwrites memory.
func scribble(b []byte) {
	for i := range b {
		b[i] = 0x01
	}
}
