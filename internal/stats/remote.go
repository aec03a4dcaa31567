package stats

import (
	"encoding/binary"
	"time"
)

// Remote is what another replica measured for a Track.
type Remote struct {
	// Region and Account are the places of the replica, in the words of [Fleet]. Empty
	// is a place of its own.
	Region, Account string
	// Slots are its slots of the window.
	Slots []RemoteSlot
	// InFlight is its number of requests under way.
	InFlight int64
}

// RemoteSlot is a slot of another replica.
type RemoteSlot struct {
	Start time.Time
	Data  []byte // see [Series.Export]
}

// Fleet names the places of a replica.
type Fleet struct{ Region, Account string }

// SetFleet makes the wider scopes of r those of a fleet: what replicas measured by
// [Track.SetRemote], in place of other gateways of the process.
func (r *Recorder) SetFleet(here Fleet) { r.fleet.Store(&here) }

// Place returns the names of r's scopes.
func (r *Recorder) Place() (region, account string) {
	p := r.place.Load()
	return p.region, p.account
}

// SetRemote replaces what other replicas measured for a Track. The list must not be
// changed afterwards.
func (t *Track) SetRemote(list []Remote) {
	if len(list) == 0 {
		t.remote.Store(nil)
		return
	}
	t.remote.Store(&list)
}

// Everywhere returns the requests under way, of all replicas.
func (t *Track) Everywhere() int64 {
	n := t.InFlight()
	if list := t.remote.Load(); list != nil {
		for i := range *list {
			n += (*list)[i].InFlight
		}
	}
	return n
}

// readFleet is Read for the scopes of a fleet.
// Before the first word of another replica all four scopes are this replica's
// own. Replicas without a region are each in a region of their own.
func (r *Recorder) readFleet(t *Track, now time.Time, here *Fleet) Scopes {
	var endpoint tally
	endpoint.collect(&t.Series, now)
	list := t.remote.Load()
	if list == nil {
		w := endpoint.window()
		return Scopes{w, w, w, w}
	}
	region, account, global := endpoint, endpoint, endpoint
	for _, o := range *list {
		sample := tally{inFlight: o.InFlight}
		for _, s := range o.Slots {
			if now.Sub(s.Start) < windowLength {
				sample.decode(s.Data)
			}
		}
		if here.Region != "" && here.Region == o.Region {
			region.add(&sample)
		}
		if here.Account != "" && here.Account == o.Account {
			account.add(&sample)
		}
		global.add(&sample)
	}
	return Scopes{endpoint.window(), region.window(), account.window(), global.window()}
}

// Export calls do with each slot of the window that has records: its number, its
// start, and its requests so far.
func (s *Series) Export(now time.Time, do func(index int64, start time.Time, requests int64, encode func() []byte)) {
	r := s.ring.Load()
	if r == nil {
		return
	}
	cur := r.index(now)
	for i := range r.slots {
		p := r.slots[i].Load()
		if p != nil && p.holds(cur) {
			do(p.index, r.start.Add(time.Duration(p.index)*slotLength), p.requests.Load(), p.encode)
		}
	}
}

// encode writes a slot as varints. Errors come before requests, as in collect.
func (p *slot) encode() []byte {
	var t tally
	for k := range p.errors {
		t.errors[k] = p.errors[k].Load()
	}
	t.requests = p.requests.Load()
	out := binary.AppendVarint(nil, t.requests)
	for _, n := range t.errors {
		out = binary.AppendVarint(out, n)
	}
	for k := range p.tokens {
		out = binary.AppendVarint(out, p.tokens[k].Load())
	}
	for k := range p.latency {
		var l spread
		l.collect(&p.latency[k])
		out = binary.AppendVarint(out, l.count)
		if l.count == 0 {
			continue
		}
		out = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(out, l.low), l.high), l.sum)
		for i := bucket(l.low); i <= bucket(l.high); i++ {
			out = binary.AppendVarint(out, l.counts[i])
		}
	}
	return out
}

// decode adds an encoded slot. Data that is not one adds what could be read of it.
//
// The data comes from another replica, perhaps of another version: a negative
// number counts as zero, and a latency with impossible bounds ends the reading.
func (t *tally) decode(data []byte) {
	next := func() int64 {
		n, size := binary.Varint(data)
		if size <= 0 {
			data = nil
			return 0
		}
		data = data[size:]
		return max(n, 0)
	}
	t.requests += next()
	for k := range t.errors {
		t.errors[k] += next()
	}
	for k := range t.tokens {
		t.tokens[k] += next()
	}
	for k := range t.latency {
		count := next()
		if count == 0 {
			continue
		}
		l := spread{low: next(), high: next(), sum: next()}
		if l.low <= 0 || l.high < l.low {
			return
		}
		for i := bucket(l.low); i <= bucket(l.high); i++ {
			l.counts[i] = next()
			l.count += l.counts[i]
		}
		t.latency[k].add(&l)
	}
}
