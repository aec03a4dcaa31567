package debugpage

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// The bounds of a Ledger.
const (
	maxAccounts = 500 // of each kind
	moneyRows   = 50  // of each kind on the page
)

// restAccount is the account of what has no account of its own.
const restAccount = "all others"

// Ledger adds up what requests cost, from the first on: in all, and by provider,
// model and label. The zero Ledger is ready for use. Its methods may be called from
// many goroutines at once.
//
// It is lost with the process.
type Ledger struct {
	mu        sync.Mutex
	since     time.Time
	total     Account
	providers map[string]*Account
	models    map[string]*Account
	labels    map[string]*Account
}

// Entry is what one attempt cost. USD is in units of 10⁻¹² USD.
//
// An attempt counts once for its provider, its model and each of its labels. The
// sums of the labels may therefore be above the total.
type Entry struct {
	Provider, Model string
	Labels          []string // as "name=value"
	USD             int64
	Known           bool // whether USD is known
	Estimated       bool
}

// Account is a sum of costs.
type Account struct {
	Name string `json:"name,omitempty"`
	USD  Amount `json:"usd"`
	// Attempts counts what was added, and Unpriced the part without a known price.
	Attempts int64 `json:"attempts"`
	Unpriced int64 `json:"unpriced,omitempty"`
	// Estimated is set if a part of the sum is an estimate.
	Estimated bool `json:"estimated,omitempty"`
}

// Amount is money in units of 10⁻¹² USD. Its JSON is a number of USD.
type Amount int64

// MarshalJSON writes all digits.
func (a Amount) MarshalJSON() ([]byte, error) { return json.Marshal(json.Number(a.text(12))) }

// text writes the amount with up to some digits behind the point.
//
// Amounts are not negative. Further digits are cut off.
func (a Amount) text(digits int) string {
	whole, rest := int64(a)/1e12, int64(a)%1e12
	b := []byte(nil)
	for ; rest > 0 && digits > 0; digits-- {
		rest *= 10
		b = append(b, byte('0'+rest/1e12))
		rest %= 1e12
	}
	fraction := strings.TrimRight(string(b), "0")
	text := json.Number(itoa(whole)).String()
	if fraction != "" {
		text += "." + fraction
	}
	return text
}

// itoa writes a number.
func itoa(n int64) string {
	text, _ := json.Marshal(n) //nolint:errchkjson // a number
	return string(text)
}

// Add enters what an attempt cost.
func (l *Ledger) Add(now time.Time, e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.providers == nil {
		l.since = now
		l.providers, l.models, l.labels = map[string]*Account{}, map[string]*Account{}, map[string]*Account{}
	}
	l.total.add(e)
	account(l.providers, e.Provider).add(e)
	account(l.models, e.Provider+":"+e.Model).add(e)
	for _, label := range e.Labels {
		account(l.labels, label).add(e)
	}
}

// account returns the account of a name, or the one for all others.
//
// A client that makes up labels fills the account of all others, and not the
// memory.
func account(of map[string]*Account, name string) *Account {
	a := of[name]
	if a == nil && len(of) >= maxAccounts {
		name = restAccount
		a = of[name]
	}
	if a == nil {
		a = &Account{Name: name}
		of[name] = a
	}
	return a
}

// add enters one attempt. One without a known price is counted, and costs nothing.
func (a *Account) add(e Entry) {
	a.Attempts++
	if !e.Known {
		a.Unpriced++
		return
	}
	a.USD += Amount(e.USD)
	a.Estimated = a.Estimated || e.Estimated
}

// Money is a Ledger at one time. The dearest accounts come first, at most 50 of each
// kind.
type Money struct {
	Since     time.Time `json:"since,omitzero"`
	Total     Account   `json:"total"`
	Providers []Account `json:"providers"`
	Models    []Account `json:"models"`
	Labels    []Account `json:"labels"`
}

// Money returns the sums so far.
func (l *Ledger) Money() Money {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Money{l.since, l.total, dearest(l.providers), dearest(l.models), dearest(l.labels)}
}

// dearest lists the accounts by their cost, then by their attempts.
func dearest(of map[string]*Account) []Account {
	list := make([]Account, 0, len(of))
	for _, a := range of {
		list = append(list, *a)
	}
	slices.SortFunc(list, func(a, b Account) int {
		return cmp.Or(cmp.Compare(b.USD, a.USD), cmp.Compare(b.Attempts, a.Attempts), cmp.Compare(a.Name, b.Name))
	})
	return list[:min(len(list), moneyRows)]
}

// dollars writes an amount for people, rounded to cents, or to two digits that count.
//
// 1.5 USD is "$ 1.50", and 0.00123456789 USD is "$ 0.0012".
func dollars(a Amount) string {
	digits := 2
	for limit := Amount(1e11); a > 0 && a < limit && digits < 9; limit /= 10 {
		digits++
	}
	unit := Amount(1)
	for range 12 - digits {
		unit *= 10
	}
	if up := unit - a%unit; up <= unit/2 && a <= math.MaxInt64-up {
		a += up
	}
	text := a.text(digits)
	if digits == 2 && a > 0 {
		whole, cents, _ := strings.Cut(text, ".")
		text = whole + "." + (cents + "00")[:2]
	}
	return "$\u00a0" + text
}
