package dialect

// efforts are the words for how much a model reasons. The budget in tokens stands
// for the word in formats without words.
//
// The budgets are the gateway's own choice. They rise from the least budget of
// messages.
var efforts = []struct {
	word   string
	budget int64
}{
	{"minimal", 1024},
	{"low", 2048},
	{"medium", 8192},
	{"high", 16384},
	{"xhigh", 32768},
	{"max", 49152},
}

const (
	// minBudget is the least budget of messages.
	minBudget = 1024
	// defaultMaxTokens is the limit of an answer in messages if nothing is known.
	defaultMaxTokens = 8192
)

// budgetOf is the budget for an effort; an unknown word counts as medium.
func budgetOf(effort string) int64 {
	for _, e := range efforts {
		if e.word == effort {
			return e.budget
		}
	}
	return budgetOf("medium")
}

// effortOf is the effort for a budget: low, medium or high. All servers know them.
//
// Below 4,096 tokens it is low, and from 16,384 on it is high.
func effortOf(budget int64) string {
	switch {
	case budget < 4096:
		return "low"
	case budget < budgetOf("high"):
		return "medium"
	}
	return "high"
}

// word is the effort for chat and responses; nil to leave it open.
//
// A client's own word goes through as it is, also an unknown one: the upstream
// knows its words best.
func (t *thinking) word() raw {
	switch {
	case t.effort != nil:
		return t.effort
	case t.budget > 0 && !t.off:
		return quote(effortOf(t.budget))
	}
	return nil
}
