package stats

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestOrder(t *testing.T) {
	states := map[string]State{
		"due":   {Phase: Due},
		"due2":  {Phase: Due},
		"1s":    {Phase: CoolingDown, Until: at(time.Second)},
		"2s":    {Phase: CoolingDown, Until: at(2 * time.Second)},
		"probe": {Phase: Probing, Until: at(2 * time.Second)},
		"hour":  {Phase: CoolingDown, Until: at(time.Hour)},
	}
	state := func(name string) State { return states[name] }
	for name, tt := range map[string]struct {
		in, want, withoutProbe []string
	}{
		"empty":         {nil, nil, nil},
		"all healthy":   {[]string{"b", "a"}, []string{"b", "a"}, []string{"b", "a"}},
		"one probe":     {[]string{"due", "b", "due2", "a"}, []string{"due", "b", "a", "due2"}, []string{"b", "a", "due", "due2"}},
		"first cools":   {[]string{"1s", "b", "a"}, []string{"b", "a", "1s"}, []string{"b", "a", "1s"}},
		"by time":       {[]string{"b", "hour", "due", "2s", "1s", "a"}, []string{"b", "due", "a", "1s", "2s", "hour"}, []string{"b", "a", "due", "1s", "2s", "hour"}},
		"stable":        {[]string{"2s", "probe", "a", "2s"}, []string{"a", "2s", "probe", "2s"}, []string{"a", "2s", "probe", "2s"}},
		"all cool":      {[]string{"hour", "2s", "1s"}, []string{"1s", "2s", "hour"}, []string{"1s", "2s", "hour"}},
		"due is ready":  {[]string{"1s", "due", "due2"}, []string{"due", "due2", "1s"}, []string{"due", "due2", "1s"}},
		"due goes last": {[]string{"due", "a"}, []string{"due", "a"}, []string{"a", "due"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := append([]string(nil), tt.in...)
			assert.Equal(t, tt.want, Order(in, true, state))
			assert.Equal(t, tt.withoutProbe, Order(in, false, state))
			assert.Equal(t, tt.in, in, "left as it was")
		})
	}
	healthy := []string{"a", "b", "due"}
	assert.Zero(t, testing.AllocsPerRun(100, func() { Order(healthy, true, state) }))
}

func TestStates(t *testing.T) {
	var (
		healthy = State{Failures: 1}
		due     = State{Phase: Due, Failures: 5}
		probing = State{Phase: Probing, Until: at(time.Second)}
		cooling = State{Phase: CoolingDown, Until: at(time.Minute)}
	)
	for _, tt := range []struct{ a, b, first, both State }{
		{healthy, due, healthy, due},
		{due, probing, due, probing},
		{probing, cooling, probing, cooling},
		{due, cooling, due, cooling},
		{healthy, cooling, healthy, cooling},
	} {
		assert.Equal(t, tt.first, FirstReady(tt.a, tt.b))
		assert.Equal(t, tt.first, FirstReady(tt.b, tt.a))
		for _, both := range []State{tt.a.And(tt.b), tt.b.And(tt.a)} {
			assert.Equal(t, tt.both.Phase, both.Phase)
			assert.Equal(t, tt.both.Until, both.Until)
		}
		assert.Equal(t, tt.a.Failures, tt.a.And(tt.b).Failures)
	}
	assert.Zero(t, FirstReady())
	assert.Equal(t, State{Failures: 7}, FirstReady(State{Failures: 7}, State{}), "the first of equals")
	assert.Equal(t, at(time.Minute), cooling.CooldownUntil())
	assert.Zero(t, probing.CooldownUntil())
	assert.Equal(t, []string{"healthy", "due for a probe", "being probed", "in cooldown"},
		[]string{Healthy.String(), Due.String(), Probing.String(), CoolingDown.String()})
}
