package standin

import (
	"fmt"
	"strings"
)

func (c *call) usage(output int) string {
	return fmt.Sprintf(`{"input_tokens":9,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":%d,"service_tier":"standard"}`, output)
}

func (c *call) messageObject(content, stop string, output int) string {
	return `{"id":"msg_1","type":"message","role":"assistant","model":"$MODEL","content":[` + content + `],"stop_reason":` + stop + `,"stop_sequence":null,"usage":` + c.usage(output) + c.vendor() + `}`
}

func createMessage(c *call) {
	if c.scenario == "rich" {
		c.richMessage()
		return
	}
	tool := c.wantsTool(`"tool_result"`)
	if c.fields.isTrue("stream") {
		c.stream(c.messageEvents(tool))
		return
	}
	if tool {
		c.json(c.messageObject(`{"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Paris"}}`, `"tool_use"`, 3))
		return
	}
	c.json(c.messageObject(fmt.Sprintf(`{"type":"text","text":"Hello, world (%d bytes)."}`, len(c.fields["messages"].raw)), `"end_turn"`, 3))
}

func (c *call) messageEvents(tool bool) []event {
	var list []event
	add := func(name, rest string, content bool) {
		list = append(list, event{name: name, content: content, data: `{"type":"` + name + `"` + rest + `}`})
	}
	block, kind, field, parts, stop := `{"type":"text","text":""}`, "text_delta", "text", pieces(), "end_turn"
	if tool {
		block, kind, field = `{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}`, "input_json_delta", "partial_json"
		parts, stop = arguments(), "tool_use"
	}
	add("message_start", `,"message":`+c.messageObject("", "null", 1), false)
	add("content_block_start", `,"index":0,"content_block":`+block, false)
	add("ping", "", false)
	for _, p := range parts {
		add("content_block_delta", `,"index":0,"delta":{"type":"`+kind+`","`+field+`":"`+p+`"}`, true)
	}
	add("content_block_stop", `,"index":0`, false)
	add("message_delta", `,"delta":{"stop_reason":"`+stop+`","stop_sequence":null},"usage":`+strings.TrimSpace(c.usage(3)), false)
	add("message_stop", "", false)
	return list
}

func countTokens(c *call) {
	c.json(`{"input_tokens":9,"context_management":{"original_input_tokens":9}}`)
}
