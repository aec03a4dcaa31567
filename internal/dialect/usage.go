package dialect

// tokens are the counts of an upstream's usage, as they were told.
//
// A stream tells them in several events. Later counts replace earlier ones.
type tokens struct {
	input, output, reasoning int64
	total                    int64
	cached, written          int64 // within input
	read, created            int64 // by Anthropic's names: beside input, but for chat
	known                    bool
	chat                     bool // input has chat's name
}

// beside returns the part of the cached tokens that input leaves out.
//
// Messages leave all of them out. Chat counts them in, also where a server writes
// Anthropic's names as well. Some servers do not: the total tells, or more cached
// tokens than the prompt has.
func (t *tokens) beside() int64 {
	named := t.read + t.created
	if !t.chat {
		return named
	}
	if left := t.total - t.input - t.output; left > 0 && (left == named || left == t.created) {
		return left
	}
	if named > t.input {
		return named
	}
	return 0
}

// usage is the counts in one sense for all formats.
//
// OpenAI counts cached tokens within the input; Anthropic counts them beside it.
// Input is the whole prompt in both cases.
func (t *tokens) usage() Usage {
	return Usage{
		Input:      t.input + t.beside(),
		Cached:     max(t.cached, t.read),
		CacheWrite: max(t.written, t.created),
		Output:     t.output,
		Reasoning:  t.reasoning,
		Known:      t.known,
	}
}

// usage reads a usage object of any format. The last count over zero holds: some
// servers put a zero for an unknown count.
//
//	{"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
//	{"input_tokens": 9, "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 1}}
//	{"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 3}
//
// The names of the three formats differ, so one reader knows them all.
func (c *cursor) usage(t *tokens) {
	if !c.object() {
		return
	}
	t.known = true
	for name := range c.members() {
		switch string(name) {
		case "prompt_tokens":
			c.count(&t.input)
			t.chat = true
		case "input_tokens":
			c.count(&t.input)
		case "total_tokens":
			c.count(&t.total)
		case "completion_tokens", "output_tokens":
			c.count(&t.output)
		case "cache_read_input_tokens":
			c.count(&t.read)
		case "cache_creation_input_tokens":
			c.count(&t.created)
		case "prompt_cache_hit_tokens", "cached_tokens":
			c.count(&t.cached)
		case "prompt_tokens_details", "input_tokens_details", "completion_tokens_details", "output_tokens_details":
			c.details(t)
		default:
			c.value()
		}
	}
}

// count reads a count. Zero does not replace an earlier one.
func (c *cursor) count(n *int64) {
	if v := c.integer(); v > 0 {
		*n = v
	}
}

// details reads the counts that are parts of the input, or of the output.
func (c *cursor) details(t *tokens) {
	if !c.object() {
		return
	}
	for name := range c.members() {
		switch string(name) {
		case "cached_tokens", "cached_read_tokens":
			c.count(&t.cached)
		case "cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens", "cached_write_tokens":
			c.count(&t.written)
		case "reasoning_tokens", "thinking_tokens":
			c.count(&t.reasoning)
		default:
			c.value()
		}
	}
}

// chatUsage writes the usage of chat.
//
//	{"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "prompt_tokens_details": {…}, …}
func (w *writer) chatUsage(u Usage) {
	w.open('{')
	w.number("prompt_tokens", u.Input)
	w.number("completion_tokens", u.Output)
	w.number("total_tokens", u.Input+u.Output)
	w.object("prompt_tokens_details")
	w.number("cached_tokens", u.Cached)
	if u.CacheWrite > 0 {
		w.number("cache_write_tokens", u.CacheWrite)
	}
	w.close("}")
	w.object("completion_tokens_details")
	w.number("reasoning_tokens", u.Reasoning)
	w.close("}}")
}

// responsesUsage writes the usage of responses.
//
//	{"input_tokens": 9, "input_tokens_details": {…}, "output_tokens": 3, …, "total_tokens": 12}
func (w *writer) responsesUsage(u Usage) {
	w.open('{')
	w.number("input_tokens", u.Input)
	w.object("input_tokens_details")
	w.number("cached_tokens", u.Cached)
	if u.CacheWrite > 0 {
		w.number("cache_write_tokens", u.CacheWrite)
	}
	w.close("}")
	w.number("output_tokens", u.Output)
	w.object("output_tokens_details")
	w.number("reasoning_tokens", u.Reasoning)
	w.close("}")
	w.number("total_tokens", u.Input+u.Output)
	w.close("}")
}

// messagesUsage writes the usage of messages. The cached parts stand beside the
// input there.
//
//	{"input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 3}
func (w *writer) messagesUsage(u Usage) {
	w.open('{')
	w.number("input_tokens", max(0, u.Input-u.Cached-u.CacheWrite))
	w.number("cache_creation_input_tokens", u.CacheWrite)
	w.number("cache_read_input_tokens", u.Cached)
	w.number("output_tokens", u.Output)
	w.close("}")
}
