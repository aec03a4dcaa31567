package fleet

import (
	"encoding/json"
	"time"

	"github.com/aigateway-go/aigateway/internal/stats"
)

// quotaKept is the life of a word about a quota.
// Package stats keeps a limit as long after its reset.
const quotaKept = time.Hour

// quotaRecord is the value of a quota's record.
//
// Data:
//
//	{"v": 1, "r": {"l": 101, "r": 58, "u": 1700000060000, "t": true}, "t": {}}
type quotaRecord struct {
	Version  int       `json:"v"`
	Requests allowance `json:"r"`
	Tokens   allowance `json:"t"`
}

// allowance is a stats.Word: counts are one higher, zero is unknown. Until is in the
// store's milliseconds.
type allowance struct {
	Limit     int64 `json:"l,omitempty"`
	Remaining int64 `json:"r,omitempty"`
	Until     int64 `json:"u,omitempty"`
	Told      bool  `json:"t,omitempty"`
}

// collectQuotas puts the words of providers since the last exchange.
// The rank is the time of the word, or one more than the last rank: clocks
// differ, and the latest word should still be seen.
func (h *Health) collectQuotas(now time.Time) {
	var missing bool
	h.recorder.Keys(func(t *stats.Track) {
		if !t.Quota.New() {
			return
		}
		sum, known := h.sums[t]
		if !known {
			missing = true
			return
		}
		at, requests, tokens := t.Quota.Word()
		r := quotaRecord{version, h.allowance(requests), h.allowance(tokens)}
		value, _ := json.Marshal(r) // of plain fields
		h.fleet.Put(now, "q", sum.String(), value, max(h.fleet.Millis(time.UnixMilli(at)), h.fleet.Rank(now, "q", sum.String())+1), quotaKept)
	})
	if missing {
		h.wantKeys()
	}
}

// allowance translates a word's time into the store's.
func (h *Health) allowance(w stats.Word) allowance {
	a := allowance{Limit: w.Limit, Remaining: w.Remaining, Told: w.Told}
	if w.Until != 0 {
		a.Until = h.fleet.Millis(time.UnixMilli(w.Until))
	}
	return a
}

// word translates back into local time.
func (h *Health) word(a allowance) stats.Word {
	w := stats.Word{Limit: a.Limit, Remaining: a.Remaining, Told: a.Told}
	if a.Until != 0 {
		w.Until = h.fleet.Local(a.Until).UnixMilli()
	}
	return w
}

// learnQuota takes the newest word about a key over.
// A word about an unknown key waits in the fleet's records until its value is
// known.
func (h *Health) learnQuota(key string, value []byte, _ int64, _ time.Duration) {
	var r quotaRecord
	sum, ok := parseSum(key)
	if !ok || json.Unmarshal(value, &r) != nil || r.Version != version {
		return
	}
	tracks := h.tracks[sum]
	if len(tracks) == 0 {
		h.wantKeys()
	}
	for _, t := range tracks {
		t.Quota.Learn(h.word(r.Requests), h.word(r.Tokens))
	}
}
