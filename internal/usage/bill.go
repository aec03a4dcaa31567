package usage

import (
	"cmp"
	"strings"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// maxTools bounds the kinds of tools that are counted.
const maxTools = 16

// Bill is what a price needs to know beside the tokens.
//
// The zero Bill is the usual one: a price list needs nothing beside tokens then.
type Bill struct {
	// Cost is the provider's own figure in USD, a JSON number. Empty if it gave none.
	Cost string
	// BehindCost is what the provider behind the provider takes from the operator's own
	// account there, beside Cost. A JSON number in USD; empty if there is none.
	BehindCost string
	// Ticks is the provider's own figure in units of 10⁻¹⁰ USD. Zero if it gave none.
	Ticks int64
	// ServiceTier is the tier that served, in the provider's word. Empty if it gave
	// none.
	ServiceTier string
	// Surcharge is set if the speed or the place of the model has a price of its own.
	Surcharge bool
	// Media counts tokens of sound and images.
	Media int64
	// Tools are the calls of the provider's own tools, by name.
	Tools []Tool
}

// Known reports whether the bill has an amount of its own. Rerankers and makers of images may tell no tokens beside it.
func (b Bill) Known() bool { return b.Cost != "" || b.Ticks > 0 || len(b.Tools) > 0 }

// Tool counts the calls of one tool of the provider's.
// Prices of tools are by the same names.
type Tool struct {
	Name  string // such as "web_search"
	Calls int64
}

// bill collects a Bill.
type bill struct {
	cost, tier        string
	guess             string // the cost under the name of an estimate
	behind            string // the cost of the provider behind the provider
	ownKey            bool   // the operator pays it
	fast, local       bool   // a speed, and a place, with a surcharge
	ticks             int64
	mediaIn, mediaOut int64
	tools             []Tool
}

// Bill returns the facts so far. The slice is the meter's.
func (m *Meter) Bill() Bill {
	b := &m.b
	bill := Bill{Cost: cmp.Or(b.cost, b.guess), Ticks: b.ticks, ServiceTier: b.tier, Surcharge: b.fast || b.local, Media: b.mediaIn + b.mediaOut, Tools: b.tools}
	if b.ownKey {
		bill.BehindCost = b.behind
	}
	return bill
}

// read reads a member of a usage object.
func (b *bill) read(name []byte, c *jsonscan.Cursor) {
	switch string(name) {
	case "cost", "total_cost": // of OpenRouter; Perplexity has the second in the first
		b.readCost(c)
	case "estimated_cost": // of DeepInfra, which charges it
		if text, ok := readAmount(c); ok {
			b.guess = text
		}
	case "is_byok": // of OpenRouter
		b.ownKey = c.Peek() == 't'
		c.Skip()
	case "cost_details":
		b.readBehind(c)
	case "cost_in_usd_ticks": // of xAI
		readCount(c, &b.ticks, nil)
	case "cost_in_nano_usd": // of xAI
		var nano int64
		readCount(c, &nano, nil)
		if b.ticks == 0 && nano < 1<<53/10 {
			b.ticks = nano * 10
		}
	case "search_units": // of Cohere's rerankers, and of OpenRouter's
		var n int64
		readCount(c, &n, nil)
		if n > 0 {
			b.tool("search").Calls = n
		}
	case "service_tier":
		b.readTier(c)
	case "speed": // of Anthropic, as it was served
		b.fast = string(c.Text()) == "fast"
	case "inference_geo":
		switch place := string(c.Text()); place {
		case "", "global", "not_available":
		default:
			b.local = true
		}
	case "server_tool_use": // of Anthropic
		b.readRequests(c)
	default:
		c.Skip()
	}
}

// readCost reads an amount in USD as it is written, or the total of an object:
//
//	"cost": 0.00123
//	"cost": {"input_tokens_cost": 0.001, "total_cost": 0.002}
func (b *bill) readCost(c *jsonscan.Cursor) {
	if c.Peek() != '{' {
		if text, ok := readAmount(c); ok {
			b.cost = text
		}
		return
	}
	for name, ok := c.First(); ok; name, ok = c.Key() {
		if string(name) == "total_cost" && c.Peek() != '{' {
			b.readCost(c)
		} else {
			c.Skip()
		}
	}
}

// readBehind reads the cost of the provider behind OpenRouter:
//
//	"cost": 0, "is_byok": true, "cost_details": {"upstream_inference_cost": 0.0360795}
//
// With a key of the operator's own there, cost is OpenRouter's fee alone. Else it is the
// whole, and this is a part of it.
func (b *bill) readBehind(c *jsonscan.Cursor) {
	for name, ok := c.First(); ok; name, ok = c.Key() {
		if string(name) != "upstream_inference_cost" {
			c.Skip()
		} else if text, ok := readAmount(c); ok {
			b.behind = text
		}
	}
}

// readAmount reads an amount as it is written, for a float64 would round it. It is false
// for a negative one, a text of more than 40 bytes, and another value.
func readAmount(c *jsonscan.Cursor) (string, bool) {
	text := c.Value()
	return string(text), len(text) > 0 && text[0] >= '0' && text[0] <= '9' && len(text) <= 40
}

// readTier reads the service tier, such as "priority". An answer may name another
// one than its request.
// A longer word than 40 bytes is not a tier.
func (b *bill) readTier(c *jsonscan.Cursor) {
	if c.Peek() != '"' {
		c.Skip()
		return
	}
	if text := c.Text(); len(text) > 0 && len(text) <= 40 {
		b.tier = string(text)
	}
}

// readRequests reads counts such as web_search_requests.
//
// Counts are totals so far. The last one above zero holds.
func (b *bill) readRequests(c *jsonscan.Cursor) {
	for key, ok := c.First(); ok; key, ok = c.Key() {
		name, counts := strings.CutSuffix(string(key), "_requests")
		if !counts {
			c.Skip()
			continue
		}
		var n int64
		readCount(c, &n, nil)
		if n > 0 {
			b.tool(name).Calls = n
		}
	}
}

// readOutput counts the items of a response that are calls of the provider's own
// tools. The list replaces an earlier one.
//
// web_search_call counts as web_search. Items that the client runs are not the
// provider's.
func (b *bill) readOutput(c *jsonscan.Cursor) {
	if !c.Enter('[') {
		c.Skip()
		return
	}
	b.tools = b.tools[:0]
	for c.Elem() {
		for key, ok := c.First(); ok; key, ok = c.Key() {
			if string(key) != "type" {
				c.Skip()
				continue
			}
			kind := c.Text()
			if len(kind) > 40 {
				continue
			}
			if name, call := strings.CutSuffix(string(kind), "_call"); call && !isClients(name) {
				b.tool(name).Calls++
			}
		}
	}
}

// isClients reports whether the client runs the tool, or its server does.
func isClients(tool string) bool {
	switch tool {
	case "function", "custom_tool", "computer", "local_shell", "shell", "apply_patch", "mcp":
		return true
	}
	return false
}

// tool returns the count of a tool.
// Beyond maxTools kinds the count goes nowhere.
func (b *bill) tool(name string) *Tool {
	for i := range b.tools {
		if b.tools[i].Name == name {
			return &b.tools[i]
		}
	}
	if len(b.tools) == maxTools {
		return &Tool{} // counts for nothing
	}
	b.tools = append(b.tools, Tool{Name: name})
	return &b.tools[len(b.tools)-1]
}
