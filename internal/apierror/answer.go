package apierror

// answer reads the signs of a refusal under status 200, from a whole answer or an event.
func (r *Report) answer(top map[string]any) {
	for _, c := range list(top["choices"]) {
		if choice, ok := c.(map[string]any); ok {
			r.string("finish", choice["finish_reason"])
			r.speech(choice["message"])
			r.speech(choice["delta"])
		}
	}
	for _, c := range list(top["candidates"]) {
		if candidate, ok := c.(map[string]any); ok {
			r.string("finish", candidate["finishReason"])
		}
	}
	r.string("finish", top["stop_reason"])
	r.string("finish", object(top["delta"])["stop_reason"])
	r.string("block", object(top["promptFeedback"])["blockReason"])
	r.string("incomplete", object(top["incomplete_details"])["reason"])
	for _, o := range list(top["output"]) {
		for _, part := range list(object(o)["content"]) {
			if object(part)["type"] == "refusal" {
				r.add("refusal", "refusal")
			}
		}
	}
}

func (r *Report) speech(v any) {
	message := object(v)
	if text, _ := message["refusal"].(string); text != "" {
		r.add("refusal", text)
	}
	r.string("content", message["content"])
}
