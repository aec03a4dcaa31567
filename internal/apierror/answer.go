package apierror

// answer reads the signs of a refusal under status 200, from a whole answer or an event.
func (r *Report) answer(top map[string]any) {
	for _, c := range list(top["choices"]) {
		choice := object(c)
		r.string("finish", choice["finish_reason"])
		r.speech(choice["message"])
		r.speech(choice["delta"])
	}
	// Google's own format names the block of a prompt, or the end of each candidate.
	for _, c := range list(top["candidates"]) {
		r.string("finish", object(c)["finishReason"])
	}
	// Anthropic has the reason in the answer, or in the delta of a message_delta event.
	r.string("finish", top["stop_reason"])
	r.string("finish", object(top["delta"])["stop_reason"])
	r.string("block", object(top["promptFeedback"])["blockReason"])
	r.string("incomplete", object(top["incomplete_details"])["reason"])
	// The answer of the Responses API has parts of several types.
	for _, o := range list(top["output"]) {
		for _, part := range list(object(o)["content"]) {
			if object(part)["type"] == "refusal" {
				r.add("refusal", "refusal")
			}
		}
	}
}

// speech reads a message, or a delta of one: the model's own refusal, and the text for refusals in prose.
//
// The text is kept for rows with the place "content", such as an apology in
// place of an answer.
func (r *Report) speech(v any) {
	message := object(v)
	if text, _ := message["refusal"].(string); text != "" {
		r.add("refusal", text)
	}
	r.string("content", message["content"])
}
