package dialect

// messagesSampling writes temperature and top_p. A thinking model takes no
// other temperature than 1, and late Claude models take one of the two at most.
//
// Other formats have temperatures up to 2, and this one up to 1. A higher one
// becomes 1, and counts as lost.
func (w *requestWriter) messagesSampling(c *conversation, thinks bool) {
	v := claudeVersion(text(c.model))
	if t := c.temperature; t != nil {
		switch f := float(t); {
		case thinks && f != 1, v >= claudeNoSampler && f < 1:
			w.report.Lose("temperature")
		case f > 1:
			w.report.Lose("temperature")
			w.number("temperature", 1)
		default:
			w.field("temperature", t)
		}
	}
	if p := c.topP; p != nil {
		f := float(p)
		one := v >= claudeNoSampler || v >= claudeOneSampler && c.temperature != nil
		switch {
		case one && f == 1: // the default
		case one, thinks && f < 0.95:
			w.report.Lose("top_p")
		default:
			w.field("top_p", p)
		}
	}
}

// messagesStops writes the stop sequences. One of only white space is refused.
func (w *requestWriter) messagesStops(stops []raw) {
	// The slice has no room on purpose: stops belongs to the conversation.
	kept := stops[:0:0]
	for _, s := range stops {
		if white(s) {
			w.report.Lose("stop")
			continue
		}
		kept = append(kept, s)
	}
	if len(kept) == 0 {
		return
	}
	w.array("stop_sequences")
	for _, s := range kept {
		w.put(s)
	}
	w.close("]")
}

// messagesThinking writes max_tokens, thinking and output_config, and reports
// whether the model thinks.
//
//	"max_tokens": 24576, "thinking": {"type": "enabled", "budget_tokens": 16384}
//	"max_tokens": 8192, "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}
//
// A budget is a part of the limit. A limit of the client's stays as it is, and the
// budget shrinks below it; a limit of the gateway's makes room for the budget.
//
// forced says that the model is made to call a tool.
func (w *requestWriter) messagesThinking(c *conversation, forced bool) (on bool) {
	th := &c.thinking
	limit := integer(c.maxTokens)
	on = th.asked()
	adaptive := decides(text(c.model))
	budget := int64(0)
	if on && forced {
		// A thinking model chooses its tools by itself.
		on = false
		w.report.Lose(w.effortName)
	}
	if on && !adaptive {
		if budget = th.budget; budget == 0 {
			budget = budgetOf(text(th.effort))
		}
		if limit > 0 {
			// The API wants the budget below the limit.
			budget = min(budget, limit-1)
		}
		// A limit too small for the least budget, or a conversation that a thinking
		// model would refuse, is served without thinking.
		if budget < minBudget || lacksThinking(c.turns) {
			on, budget = false, 0
			w.report.Lose(w.effortName)
		}
	}
	switch {
	case limit > 0:
		w.field("max_tokens", c.maxTokens)
	case w.opts.MaxTokens > 0:
		limit = w.opts.MaxTokens
		if on && !adaptive && budget >= limit {
			// Half of the limit is left for the answer.
			budget = max(minBudget, limit/2)
		}
		w.number("max_tokens", limit)
	default:
		w.number("max_tokens", defaultMaxTokens+budget)
	}
	if on {
		w.object("thinking")
		if adaptive {
			w.word("type", "adaptive")
			if claudeVersion(text(c.model)) >= claudeSilent {
				w.word("display", "summarized")
			}
		} else {
			w.word("type", "enabled")
			w.number("budget_tokens", budget)
		}
		w.close("}")
	} else if th.off || forced {
		w.thinkingOff(text(c.model), th.off)
	}
	w.messagesOutput(c, on && adaptive)
	return on
}

// thinkingOff has a model not think that would do so by itself. It is lost if the client
// asked for it, and the model always thinks.
func (w *requestWriter) thinkingOff(model string, asked bool) {
	switch {
	case claudeVersion(model) < claudeThinks:
	case !alwaysThinks(model):
		w.constant("thinking", `{"type":"disabled"}`)
	case asked:
		w.report.Lose(w.effortName)
	}
}

// messagesOutput writes output_config: the effort, and the schema of the output.
// json_object has no counterpart.
//
// effort says whether the word may be written: to a thinking model that takes
// one.
func (w *requestWriter) messagesOutput(c *conversation, effort bool) {
	o := &c.output
	if o.kind == outputObject {
		w.report.Lose("response_format")
	}
	effort = effort && c.thinking.effort != nil
	if o.kind != outputSchema && !effort {
		return
	}
	w.object("output_config")
	if effort {
		word := c.thinking.effort
		switch v := claudeVersion(text(c.model)); {
		case is(word, "minimal"):
			word = raw(`"low"`)
		case is(word, "xhigh") && v > 0 && v < claudeVeryHigh:
			word = raw(`"high"`)
			w.report.Lose(w.effortName)
		}
		w.field("effort", word)
	}
	if o.kind == outputSchema {
		w.object("format")
		w.word("type", "json_schema")
		w.key("schema")
		if o.schema == nil {
			w.lit("{}")
		} else {
			w.put(w.closedSchema(o.schema))
		}
		w.close("}")
	}
	w.close("}")
}

// lacksThinking reports whether the turn before the last results has no thinking
// block of this format. A model with a budget refuses to go on from there.
//
// A later turn of the assistant's ends the search. One turn of the user's right
// behind the results belongs to the same turn in messages.
func lacksThinking(turns []turn) bool {
	n := len(turns)
	for n > 0 && turns[n-1].role != roleTool {
		if turns[n-1].role == roleAssistant || turns[n-1].role == roleUser && n < len(turns) {
			return false
		}
		n--
	}
	if n < 2 || turns[n-2].role != roleAssistant {
		return false
	}
	for i := range turns[n-2].parts {
		if p := &turns[n-2].parts[i]; p.kind == kindReasoning && p.seal.native() {
			return false
		}
	}
	return true
}

// native reports whether the seal is one of messages.
func (s *seal) native() bool {
	return s.origin == originRedacted || s.origin == originMessages && len(s.data) > 0
}
