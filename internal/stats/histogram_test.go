package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// maxError is what the package promises of a percentile.
const maxError = 0.0865

func TestBucketsMeet(t *testing.T) {
	assert.Equal(t, 0, bucket(1))
	assert.Equal(t, 0, bucket(1<<lowestOctave-1))
	assert.Equal(t, 1, bucket(1<<lowestOctave))
	assert.Equal(t, bucketCount-2, bucket(1<<highestOctave-1))
	assert.Equal(t, bucketCount-1, bucket(1<<highestOctave))
	assert.Equal(t, bucketCount-1, bucket(math.MaxInt64))
	for i := 1; i < bucketCount-1; i++ {
		from := math.Exp2(lowestOctave + float64(i-1)/perOctave)
		to := math.Exp2(lowestOctave + float64(i)/perOctave)
		first, last := int64(math.Ceil(from)), int64(math.Ceil(to))-1
		assert.Equal(t, i, bucket(first), "first of %d", i)
		assert.Equal(t, i, bucket(last), "last of %d", i)
		for _, v := range []int64{first, last} {
			assert.LessOrEqual(t, math.Abs(estimate(i)/float64(v)-1), maxError, "%d in %d", v, i)
		}
	}
}

func TestPercentileError(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	distributions := map[string]func() float64{
		"constant":    func() float64 { return 123_456_789 },
		"uniform":     func() float64 { return 1e6 + r.Float64()*1e9 },
		"exponential": func() float64 { return 1e5 + r.ExpFloat64()*5e8 },
		"log normal":  func() float64 { return math.Exp(19 + 1.5*r.NormFloat64()) },
		"normal":      func() float64 { return max(2e9+3e8*r.NormFloat64(), 1e6) },
		"two humps":   func() float64 { return []float64{20e6, 30e9}[r.IntN(20)/18] * (1 + r.Float64()/10) },
		"heavy tail":  func() float64 { return 1e6 / math.Pow(1-r.Float64(), 1.2) },
		"microsecond": func() float64 { return 4096 + r.Float64()*1e5 },
	}
	for name, draw := range distributions {
		t.Run(name, func(t *testing.T) {
			worst := 0.
			for _, n := range []int{1, 2, 19, 20, 21, 100, 999, 20_000} {
				var h histogram
				values := make([]int64, n)
				sum := 0.
				for i := range values {
					values[i] = int64(min(draw(), 1<<highestOctave-1))
					sum += float64(values[i])
					h.record(values[i])
				}
				slices.Sort(values)
				exact := float64(values[int(math.Ceil(float64(n)*95/100))-1])
				var s spread
				s.collect(&h)
				e := math.Abs(s.p95()/exact - 1)
				if n < 20 || name == "constant" {
					assert.Zero(t, e, "%d values", n)
				}
				assert.LessOrEqual(t, e, maxError, "%d values", n)
				assert.InEpsilon(t, sum/float64(n), s.avg(), 1e-12, "%d values", n)
				worst = max(worst, e)
			}
			t.Logf("worst error %.2f %%", 100*worst)
		})
	}
}

// The sum of two spreads is the spread of both.
func TestSpreadAdds(t *testing.T) {
	var a, b, both histogram
	for i := int64(1); i <= 200; i++ {
		v := i * i * i * 1000
		if both.record(v); i%3 == 0 {
			a.record(v)
		} else {
			b.record(v)
		}
	}
	var sa, sb, want, empty spread
	sa.collect(&a)
	sb.collect(&b)
	want.collect(&both)
	sa.add(&sb)
	sa.add(&empty)
	assert.Equal(t, want, sa)
	empty.add(&sa)
	assert.Equal(t, want, empty)
}

// Values outside of the buckets are held to what was seen.
func TestOuterBuckets(t *testing.T) {
	for _, v := range []int64{1, 17, 4095, 1 << 40, 1 << 45} {
		var h histogram
		for range 100 {
			h.record(v)
		}
		var s spread
		s.collect(&h)
		assert.EqualValues(t, v, s.p95())
		assert.EqualValues(t, v, s.avg())
	}
}
