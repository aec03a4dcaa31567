package expr

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// generator writes random strategies that type-check.
type generator struct {
	*rand.Rand
	variable string // of the innermost loop, '' for none
	depth    int
}

func (g *generator) one(options ...func() string) string { return options[g.IntN(len(options))]() }

func (g *generator) word(words ...string) string { return words[g.IntN(len(words))] }

// deep spends one of the levels that an expression may have. At the end it takes
// the first option.
func (g *generator) deep(options ...func() string) string {
	if g.depth <= 0 {
		return options[0]()
	}
	g.depth--
	defer func() { g.depth++ }()
	return options[g.IntN(len(options))]()
}

func (g *generator) inLoop(f func(v string) string) string {
	outer := g.variable
	defer func() { g.variable = outer }()
	g.variable = "m"
	if outer != "" {
		g.variable = outer + "n"
	}
	return f(g.variable)
}

func (g *generator) list() string {
	return g.deep(
		func() string { return "ai.models" },
		func() string {
			return g.list() + ".filter(" + g.inLoop(func(v string) string { return v + ", " + g.condition() }) + ")"
		},
		func() string {
			return g.list() + ".filter(" + g.inLoop(func(v string) string { return v + ", " + g.condition() }) + ")"
		},
		func() string {
			return g.list() + ".filter(" + g.inLoop(func(v string) string {
				return v + ", " + v + "." + g.word("id", "provider_id", "author_id") + " == " + g.text() + " && " + g.condition()
			}) + ")"
		},
		func() string {
			return g.list() + ".sortBy(" + g.inLoop(func(v string) string { return v + ", " + g.one(g.number, g.text, g.condition) }) + ")"
		},
		func() string { return g.list() + ".randomize()" },
		func() string {
			return g.list() + ".randomize(" + g.inLoop(func(v string) string { return v + ", " + g.number() }) + ")"
		},
		func() string { return "[" + g.model() + "]" },
		func() string { return "[" + g.model() + ", " + g.model() + "]" },
		func() string { return g.list() + " + " + g.list() },
		func() string { return "(" + g.condition() + " ? " + g.list() + " : " + g.list() + ")" },
		func() string { return g.list() + ".leastBusy()" },
		func() string { return g.list() + ".able()" },
		func() string { return g.list() + ".sticky(" + g.text() + ")" },
		func() string { return g.list() + ".sticky(" + g.text() + ", " + g.word("1", "1.5", "2") + ")" },
		func() string { return g.list() + ".underCost('text.input', " + g.word("1", "2.6", "100") + ")" },
		func() string { return g.list() + ".sortBy('price')" },
		func() string {
			return g.list() + "." + g.word("only", "ignore", "onlyProviders", "ignoreProviders", "onlyAuthors", "inRegion", "inCountryCode") + "([" + g.text() + ", " + g.text() + "])"
		},
		func() string {
			return g.list() + "." + g.word("only", "ignoreAuthors", "onlyProviders") + "(" + g.text() + ")"
		},
		func() string {
			return g.list() + ".map(" + g.inLoop(func(v string) string { return v + ", " + g.condition() + ", " + v }) + ")"
		},
		func() string { return g.list() + ".only(" + g.list() + ".map(x, x.id))" },
	)
}

func (g *generator) model() string {
	options := []func() string{
		func() string { return "ai.models[" + g.word("0", "1", "5", "9") + "]" },
		func() string { return g.list() + ".random()" },
		func() string {
			return g.list() + ".random(" + g.inLoop(func(v string) string { return v + ", " + g.number() }) + ")"
		},
		func() string { return g.list() + "[" + g.word("0", "1", "2") + "]" },
		func() string { return "(" + g.condition() + " ? " + g.model() + " : " + g.model() + ")" },
		func() string { return "ai.models.get('openai', " + g.text() + ")" },
	}
	if g.variable != "" {
		options[0] = func() string { return g.variable }
	}
	return g.deep(options...)
}

func (g *generator) text() string {
	options := []func() string{
		func() string {
			return g.word("'openai'", "'gpt-4o'", "'azure'", "'search'", "'gold'", "''", "'meta'", "'us-east-1'", "'DE'", "'s1'")
		},
		func() string {
			return "req.headers['" + g.word("x-team", "X-Tier", "x-none") + "'][" + g.word("0", "0", "1") + "]"
		},
		func() string {
			return g.word("req.method", "req.host", "req.id", "req.url.path", "req.session", "req.caller", "conn.client_ip", "req.ai.surface", "req.ai.user")
		},
		func() string { return "(" + g.condition() + " ? " + g.text() + " : " + g.text() + ")" },
		func() string { return g.text() + ".lowerAscii()" },
		func() string { return "(" + g.text() + " + " + g.text() + ")" },
		func() string { return g.model() + ".id" },
	}
	if g.variable != "" {
		options[0] = func() string {
			return g.variable + "." + g.word("id", "provider_id", "author_id", "display_name", "quantization", "description")
		}
	}
	return g.deep(options...)
}

func (g *generator) number() string {
	options := []func() string{
		func() string { return g.word("0", "1", "3", "-2", "128000") },
		func() string { return g.word("req.ai.input_tokens", "req.ai.images", "req.ai.tools") },
		func() string { return g.list() + ".size()" },
		func() string { return "(" + g.condition() + " ? " + g.word("1", "2") + " : " + g.word("0", "5") + ")" },
		func() string { return "hash(" + g.text() + ") % 10" },
	}
	if v := g.variable; v != "" {
		options[0] = func() string {
			return v + "." + g.word("max_context_window", "max_output_tokens", "data_retention_days")
		}
		options = append(options,
			func() string { return g.double() },
			func() string {
				return v + "." + g.word("metadata.weight", "metadata['gpu']", "getMetadata('limits.rpm')", "metadata.team")
			},
			func() string {
				return v + ".metrics.global." + g.word("request_count", "in_flight", "token.provider_input")
			},
		)
	}
	return g.deep(options...)
}

func (g *generator) double() string {
	options := []func() string{
		func() string { return g.word("0.5", "2.5", "1e6") },
		func() string { return "-" + g.double() },
		func() string { return "(" + g.double() + " " + g.word("+", "-", "*", "/") + " " + g.double() + ")" },
	}
	if v := g.variable; v != "" {
		options[0] = func() string {
			return v + "." + g.word("pricing.input", "pricing.output", "pricing.input_batch", "metrics.global.latency.upstream_ms_avg", "metrics.endpoint.error_rate.total", "metrics.global.cost_usd")
		}
	}
	return g.deep(options...)
}

func (g *generator) condition() string {
	options := []func() string{
		func() string { return g.word("true", "false") },
		func() string { return "!(" + g.condition() + ")" },
		func() string { return "(" + g.condition() + " && " + g.condition() + ")" },
		func() string { return "(" + g.condition() + " || " + g.condition() + ")" },
		func() string { return g.text() + " " + g.word("==", "!=", "<", ">=") + " " + g.text() },
		func() string { return g.number() + " " + g.word("<", "<=", ">", ">=") + " " + g.number() },
		func() string { return g.double() + " " + g.word("==", "!=", "<", ">") + " " + g.double() },
		func() string { return "(" + g.condition() + ") " + g.word("==", "!=") + " (" + g.condition() + ")" },
		func() string {
			return g.text() + "." + g.word("startsWith", "endsWith", "contains") + "(" + g.text() + ")"
		},
		func() string { return g.text() + ".matches('^g.*[0-9o]')" },
		func() string { return g.text() + " in ['openai', 'gpt-4o', 'gold']" },
		func() string { return g.word("'x-team'", "'x-none'", g.text()) + " in req.headers" },
		func() string { return g.word("req.ai.stream", "req.ai.json_schema") },
		func() string {
			return g.list() + ".exists(" + g.inLoop(func(v string) string { return v + ", " + g.condition() }) + ")"
		},
		func() string { return "(" + g.condition() + " ? " + g.condition() + " : " + g.condition() + ")" },
	}
	if v := g.variable; v != "" {
		options[0] = func() string { return v + "." + g.word("known", "custom") }
		options = append(options,
			func() string {
				return g.text() + " in " + v + "." + g.word("id_aliases", "input_modalities", "supported_features", "provider_id_aliases")
			},
			func() string {
				return "has(" + v + "." + g.word("pricing", "pricing.input", "display_name", "id_aliases", "metadata.tier", "max_context_window", "known", "datacenters") + ")"
			},
			func() string {
				return v + "." + g.word("metadata.tier", "metadata['gpu']", "getMetadata('team.name')", "metadata.weight") + " " + g.word("==", "!=") + " " + g.text()
			},
			func() string { return g.text() + " in " + v + ".metadata" },
			func() string { return v + ".pricing " + g.word("==", "!=") + " null" },
			func() string { return v + ".pricing.input == null" },
			func() string {
				return v + ".supported_features." + g.word("exists", "all") + "(f, f == " + g.text() + ")"
			},
			func() string {
				return "['vision', 'tool-calling', 'gold']." + g.word("exists", "all") + "(f, f in " + v + ".supported_features)"
			},
			func() string {
				return "req.headers['" + g.word("x-team", "x-none") + "']." + g.word("exists", "all") + "(f, " + v + ".id.contains(f) || " + g.condition() + ")"
			},
			func() string { return v + " in " + g.list() },
			func() string { return v + " == " + g.model() },
			func() string { return v + ".metadata.weight > 2" },
		)
	}
	return g.deep(options...)
}

// TestPlansAgreeWithCEL evaluates random strategies twice: as a plan, prepared
// and used several times, and only by CEL.
func TestPlansAgreeWithCEL(t *testing.T) {
	rounds := 4000
	if testing.Short() {
		rounds = 500
	}
	g := &generator{Rand: rand.New(rand.NewPCG(5, 6))}
	f := newFixture()
	planned, chosen, failed, noted := 0, 0, 0, 0
	for round := range rounds {
		g.depth, g.variable = 1+g.IntN(5), ""
		src := g.one(g.list, g.list, g.list, g.model)
		s, problems := CompileStrategy(src)
		if len(problems) > 0 {
			require.NotContains(t, problems[0].Message, "undeclared", src)
			continue // one type of number with the other, for one
		}
		if s.plan == nil {
			continue
		}
		planned++
		prepared := s.Prepare(f.input())
		for turn := range 3 {
			in := func() *Input {
				in := f.input()
				random := rand.New(rand.NewPCG(uint64(round), uint64(turn)))
				in.Rand = random.IntN
				in.Snapshot = int64(turn / 2)
				in.InFlight = func(i int) int64 { return int64((i*7 + turn) % 5) }
				in.Request.Session = func() string { return fmt.Sprint("s", turn) }
				in.Request.Caller = "caller"
				in.Request.AI = func() *RequestFacts {
					return &RequestFacts{Surface: "messages", Stream: turn == 0, InputTokens: int64(turn) * 100_000, Tools: 1, Images: int64(turn), User: "u"}
				}
				if turn == 1 {
					in.Request.Header.Del("X-Team")
				}
				if turn == 2 {
					in.Pinned = func(uint64) *Model { return f.models[3] }
				}
				return in
			}
			want, wantErr := s.evalCEL(context.Background(), in())
			got, gotErr := prepared.Eval(context.Background(), in())
			if wantErr != nil {
				failed++
				require.EqualError(t, gotErr, wantErr.Error(), src)
			} else {
				require.NoError(t, gotErr, src)
			}
			require.Equal(t, strings.Join(f.names(t, want.Models), " "), strings.Join(f.names(t, got.Models), " "), src)
			require.Equal(t, want.Affinity, got.Affinity, src)
			if len(want.Notes) <= maxNotes && len(got.Notes) <= maxNotes {
				require.Equal(t, want.Notes, got.Notes, src)
			}
			if len(want.Models) > 0 {
				chosen++
			}
			if len(want.Notes) > 0 {
				noted++
			}
		}
	}
	t.Logf("%d planned of %d, %d chose, %d failed, %d noted", planned, rounds, chosen, failed, noted)
	assert.Greater(t, planned, rounds/2, "the generator writes strategies that compile")
	assert.Greater(t, chosen, rounds/2)
	assert.Greater(t, failed, rounds/50)
	assert.Greater(t, noted, rounds/10)
}
