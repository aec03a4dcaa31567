package dialect

import "slices"

// fate is what becomes of a field in another format.
type fate uint8

const (
	carried fate = iota // the upstream gets it
	lost                // dropped and named: the answer could be another one
	hint                // dropped and named: the answer cannot change
	refused             // the candidate cannot serve the request
	same                // the format is the client's own
)

// field is one row of what becomes of a request: a field of the client's format,
// and its fate in each format of an upstream.
//
// Values compare by their text: 0.0 and 0 are two values.
type field struct {
	format Format
	name   string
	to     [formats]way
	// idle are values without effect: the field is left out unnamed.
	idle []string
	// A lost field with one of these values is a hint.
	hints []string
	// idly is set for a carried field that cannot change the answer.
	idly bool
}

// way is the fate of a field in one format. As names its place there, or the
// reason for its loss.
type way struct {
	fate fate
	as   string
}

// row makes the ways of a field of a format: the first for the first of the
// other formats in the order chat, responses, messages.
func row(f Format, name string, first, second way) field {
	r := field{format: f, name: name}
	ways := []way{first, second}
	for to := range r.to {
		if Format(to) == f {
			r.to[to] = way{fate: same}
			continue
		}
		r.to[to], ways = ways[0], ways[1:]
	}
	return r
}

// idleAt sets the values without effect.
func (f field) idleAt(values ...string) field { f.idle = values; return f }

// hintsAt sets the values with the rank of a hint.
func (f field) hintsAt(values ...string) field { f.hints = values; return f }

// harmless sets that the field cannot change the answer, carried or not.
func (f field) harmless() field { f.idly = true; return f }

// cacheMarks is the place of a key for a cache in messages.
const cacheMarks = "cache_control, at the end of the instructions and of the last turn"

// The four fates, in the words of the table.
// as has a place in the upstream's format. drop may change the answer. nudge
// cannot. stops rules the candidate out.
func as(place string) way     { return way{carried, place} }
func drop(why string) way     { return way{lost, why} }
func nudge(why string) way    { return way{hint, why} }
func stops(reason string) way { return way{refused, reason} }

// fields are the top-level fields of the three APIs. Other fields are lost.
// docs/translation.md is checked against it.
var fields = []field{
	// Chat, to responses and to messages.
	row(Chat, "model", as("model"), as("model")),
	row(Chat, "messages", as("input, instructions"), as("messages, system")),
	row(Chat, "max_tokens", as("max_output_tokens"), as("max_tokens")),
	row(Chat, "max_completion_tokens", as("max_output_tokens"), as("max_tokens")),
	row(Chat, "temperature", as("temperature"), as("temperature, at most 1")),
	row(Chat, "top_p", as("top_p"), as("top_p")),
	row(Chat, "stop", drop(""), as("stop_sequences")),
	row(Chat, "stream", as("stream"), as("stream")),
	row(Chat, "stream_options", as("the gateway's own: usage at the end"), as("the gateway's own: usage at the end")),
	row(Chat, "tools", as("tools"), as("tools")),
	row(Chat, "tool_choice", as("tool_choice"), as("tool_choice")),
	row(Chat, "parallel_tool_calls", as("parallel_tool_calls"), as("tool_choice.disable_parallel_tool_use")),
	row(Chat, "response_format", as("text.format"), as("output_config.format; json_object is lost")),
	row(Chat, "reasoning_effort", as("reasoning.effort"), as("thinking, output_config.effort")),
	row(Chat, "verbosity", as("text.verbosity"), drop("")),
	row(Chat, "n", stops("n is over 1, and the provider gives one answer"), stops("n is over 1, and the provider gives one answer")).idleAt("1"),
	row(Chat, "metadata", as("metadata"), nudge("")),
	row(Chat, "user", as("user"), nudge("")),
	row(Chat, "safety_identifier", as("safety_identifier"), nudge("")),
	row(Chat, "prompt_cache_key", as("prompt_cache_key"), as(cacheMarks)).harmless(),
	row(Chat, "prompt_cache_retention", nudge(""), nudge("")),
	row(Chat, "prompt_cache_options", nudge(""), nudge("")),
	row(Chat, "store", nudge("always false"), nudge("")).idleAt("false"),
	row(Chat, "service_tier", as("service_tier"), drop("")).hintsAt(`"auto"`, `"default"`),
	row(Chat, "seed", drop(""), drop("")),
	row(Chat, "logprobs", drop(""), drop("")).idleAt("false"),
	row(Chat, "top_logprobs", drop(""), drop("")).idleAt("0"),
	row(Chat, "logit_bias", drop(""), drop("")).idleAt("{}"),
	row(Chat, "frequency_penalty", drop(""), drop("")).idleAt("0", "0.0"),
	row(Chat, "presence_penalty", drop(""), drop("")).idleAt("0", "0.0"),
	row(Chat, "modalities", drop(""), drop("")).idleAt(`["text"]`),
	row(Chat, "audio", drop(""), drop("")),
	row(Chat, "prediction", drop(""), drop("")),
	row(Chat, "web_search_options", drop(""), drop("")),
	row(Chat, "moderation", drop(""), drop("")),
	row(Chat, "functions", as("tools"), as("tools")),
	row(Chat, "function_call", as("tool_choice"), as("tool_choice")),

	// Responses, to chat and to messages.
	row(Responses, "model", as("model"), as("model")),
	row(Responses, "input", as("messages"), as("messages")),
	row(Responses, "instructions", as("messages[0], system"), as("system")),
	row(Responses, "max_output_tokens", as("max_tokens or max_completion_tokens"), as("max_tokens")),
	row(Responses, "temperature", as("temperature"), as("temperature, at most 1")),
	row(Responses, "top_p", as("top_p"), as("top_p")),
	row(Responses, "stream", as("stream"), as("stream")),
	row(Responses, "stream_options", nudge(""), nudge("")),
	row(Responses, "tools", as("tools"), as("tools")),
	row(Responses, "tool_choice", as("tool_choice"), as("tool_choice")),
	row(Responses, "parallel_tool_calls", as("parallel_tool_calls"), as("tool_choice.disable_parallel_tool_use")),
	row(Responses, "text", as("response_format, verbosity"), as("output_config.format; verbosity and json_object are lost")),
	row(Responses, "reasoning", as("reasoning_effort; summary is a hint"), as("thinking, output_config.effort; summary is a hint")),
	row(Responses, "metadata", nudge("the answer repeats it"), nudge("the answer repeats it")),
	row(Responses, "user", nudge(""), nudge("")),
	row(Responses, "safety_identifier", nudge(""), nudge("")),
	row(Responses, "prompt_cache_key", nudge(""), as(cacheMarks)).harmless(),
	row(Responses, "prompt_cache_retention", nudge(""), nudge("")),
	row(Responses, "prompt_cache_options", nudge(""), nudge("")),
	row(Responses, "client_metadata", nudge(""), nudge("")),
	row(Responses, "include", nudge("reasoning.encrypted_content is always included"), nudge("reasoning.encrypted_content is always included")),
	row(Responses, "store", drop("nothing is stored"), drop("nothing is stored")).hintsAt("false"),
	row(Responses, "service_tier", drop(""), drop("")).hintsAt(`"auto"`, `"default"`),
	row(Responses, "truncation", drop(""), drop("")).idleAt(`"disabled"`),
	row(Responses, "top_logprobs", drop(""), drop("")).idleAt("0"),
	row(Responses, "max_tool_calls", drop(""), drop("")),
	row(Responses, "context_management", drop(""), drop("")),
	row(Responses, "moderation", drop(""), drop("")),
	row(Responses, "access_programs", drop(""), drop("")),
	row(Responses, "background", stops("background answers need a provider that speaks responses"), stops("background answers need a provider that speaks responses")).idleAt("false"),
	row(Responses, "previous_response_id", stops("previous_response_id names an answer that the provider does not have"), stops("previous_response_id names an answer that the provider does not have")),
	row(Responses, "conversation", stops("conversation names a state that the provider does not have"), stops("conversation names a state that the provider does not have")),
	row(Responses, "prompt", stops("prompt names a template that the provider does not have"), stops("prompt names a template that the provider does not have")),

	// Messages, to chat and to responses.
	row(Messages, "model", as("model"), as("model")),
	row(Messages, "messages", as("messages"), as("input")),
	row(Messages, "system", as("messages[0], system"), as("instructions")),
	row(Messages, "max_tokens", as("max_tokens or max_completion_tokens"), as("max_output_tokens")),
	row(Messages, "temperature", as("temperature"), as("temperature")),
	row(Messages, "top_p", as("top_p"), as("top_p")),
	row(Messages, "top_k", drop(""), drop("")).idleAt("-1"),
	row(Messages, "stop_sequences", as("stop, the first four"), drop("")).idleAt("[]"),
	row(Messages, "stream", as("stream"), as("stream")),
	row(Messages, "tools", as("tools"), as("tools")),
	row(Messages, "tool_choice", as("tool_choice, parallel_tool_calls"), as("tool_choice, parallel_tool_calls")),
	row(Messages, "thinking", as("reasoning_effort"), as("reasoning.effort")),
	row(Messages, "output_config", as("response_format, reasoning_effort"), as("text.format, reasoning.effort")),
	row(Messages, "output_format", as("response_format"), as("text.format")),
	row(Messages, "metadata", nudge(""), nudge("")),
	row(Messages, "cache_control", nudge(""), nudge("")),
	row(Messages, "diagnostics", nudge(""), nudge("")),
	row(Messages, "service_tier", drop(""), drop("")).hintsAt(`"auto"`),
	row(Messages, "inference_geo", drop(""), drop("")),
	row(Messages, "speed", drop(""), drop("")).idleAt(`"standard"`),
	row(Messages, "container", drop(""), drop("")),
	row(Messages, "context_management", drop(""), drop("")).idleAt(`{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}`),
	row(Messages, "thread", stops("thread names a conversation that the provider does not hold"), stops("thread names a conversation that the provider does not hold")),
	row(Messages, "mcp_servers", drop(""), drop("")).idleAt("[]"),
}

// Matters reports whether a field of a request can change the answer. Hints cannot,
// nor can values without effect.
//
// A field that is a hint in one format counts as a hint. Unknown fields matter.
func (f Format) Matters(name string, value []byte) bool {
	i := slices.IndexFunc(fields, func(r field) bool { return r.format == f && r.name == name })
	if i < 0 {
		return true
	}
	r := &fields[i]
	return name != "stream_options" && !r.idly && !slices.Contains(r.idle, string(value)) && !slices.Contains(r.hints, string(value)) &&
		!slices.ContainsFunc(r.to[:], func(w way) bool { return w.fate == hint })
}

// settle names a top-level field without a counterpart in the upstream's format.
// It returns false for a carried field, and has not moved then.
//
// null is the absence of a field, and loses nothing. An unknown field is lost.
//
// It walks over the table for each member: about ninety rows, most of them of
// other formats.
func (d *reader) settle(name []byte) bool {
	way, f := way{fate: lost}, (*field)(nil)
	for i := range fields {
		if fields[i].format == d.from && string(name) == fields[i].name {
			f = &fields[i]
			way = f.to[d.to]
			break
		}
	}
	// The reader of the format has a case for it.
	if way.fate == carried {
		return false
	}
	v := d.value()
	if v == nil {
		return true
	}
	if f != nil && slices.Contains(f.idle, string(v)) {
		return true
	}
	if f != nil && slices.Contains(f.hints, string(v)) {
		way.fate = hint
	}
	switch way.fate {
	case hint:
		d.report.hint(string(name))
	case refused:
		d.report.refuse(way.as)
	default:
		d.report.Lose(string(name))
	}
	return true
}
