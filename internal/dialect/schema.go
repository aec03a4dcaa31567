package dialect

import (
	"bytes"
	"slices"
)

// maxSchemas bounds how deep schemas stand in schemas. Deeper ones are not looked at.
const maxSchemas = 24

// stringFormats are those that both APIs know. uri is messages' alone.
var stringFormats = []string{"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}

// closedSchema is a schema that messages takes for an output or for a strict tool.
//
// The API knows a part of JSON Schema, and refuses a request with the rest. It wants
// each object closed, which the other formats do not. Bounds of numbers, strings and
// lists go into the description, as the API's own SDKs have it, and count as lost.
func (w *requestWriter) closedSchema(schema raw) raw { return w.closeSchema(schema, 0) }

// closeSchema is closedSchema of a schema within others.
//
// The result is the schema itself if there is nothing to change.
func (w *requestWriter) closeSchema(schema raw, depth int) raw {
	c := cursor{b: schema}
	if depth == maxSchemas || !c.enter('{') {
		return schema
	}
	var out, told writer
	var description raw
	object, closed, changed := false, false, false
	drop := func(name []byte, value raw) {
		w.report.Lose("schema." + string(name))
		if told.comma {
			told.b = append(told.b, ", "...)
		}
		told.b = append(append(append(told.b, name...), ": "...), value...)
		told.comma, changed = true, true
	}
	out.open('{')
	for name := range c.members() {
		value, key := c.value(), name
		if value == nil {
			value = raw("null")
		}
		was := value
		switch string(name) {
		case "properties":
			object = true
			value = w.closeEach(value, depth)
		case "$defs", "definitions":
			value = w.closeEach(value, depth)
		case "items", "anyOf", "allOf":
			value = w.closeOneOrList(value, depth)
		case "oneOf":
			w.report.Lose("schema.oneOf")
			key, changed = []byte("anyOf"), true
			value = w.closeOneOrList(value, depth)
		case "type":
			object = object || bytes.Contains(value, []byte(`"object"`))
		case "additionalProperties":
			if closed = string(value) == "false"; !closed {
				drop(name, value)
				continue
			}
		case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
			"maxItems", "uniqueItems", "minProperties", "maxProperties":
			drop(name, value)
			continue
		case "minItems":
			if n := string(value); n != "0" && n != "1" {
				drop(name, value)
				continue
			}
		case "format":
			if f := text(value); f != "uri" && !slices.Contains(stringFormats, f) {
				drop(name, value)
				continue
			}
		case "description":
			if value[0] == '"' {
				description = value // it may grow
				continue
			}
		}
		changed = changed || &value[0] != &was[0]
		out.sep()
		out.b = append(append(appendQuoted(out.b, key), ':'), value...)
	}
	if object && !closed {
		out.constant("additionalProperties", "false")
		changed = true
	}
	if !changed || c.bad {
		return schema
	}
	if told.comma {
		note := quotedJSON(slices.Concat([]byte("{"), told.b, []byte("}")))
		out.key("description")
		if blank(description) {
			out.put(note)
		} else {
			out.joined(`\n\n`, description, note)
		}
	} else {
		out.field("description", description)
	}
	out.close("}")
	return out.b
}

// closeEach closes the schemas that are the values of an object.
func (w *requestWriter) closeEach(schemas raw, depth int) raw {
	c := cursor{b: schemas}
	changed := false
	out := mapMembers(&c, func(_ []byte, schema raw) raw {
		closed := w.closeSchema(schema, depth+1)
		changed = changed || &closed[0] != &schema[0]
		return closed
	})
	if !changed || out == nil {
		return schemas
	}
	return out
}

// closeOneOrList closes a schema, or each of a list.
func (w *requestWriter) closeOneOrList(schemas raw, depth int) raw {
	if schemas[0] != '[' {
		return w.closeSchema(schemas, depth+1)
	}
	changed := false
	out := mapElements(schemas, func(schema raw) raw {
		closed := w.closeSchema(schema, depth+1)
		changed = changed || &closed[0] != &schema[0]
		return closed
	})
	if !changed {
		return schemas
	}
	return out
}

// strictSchema reports whether OpenAI takes a schema as a strict one. It wants each
// property required and each object closed, and knows a part of JSON Schema. Messages
// takes more.
func strictSchema(schema raw) bool { return isStrict(schema, 0) }

// isStrict is strictSchema of a schema within others. The outermost is an object.
func isStrict(schema raw, depth int) bool {
	c := cursor{b: schema}
	if depth == maxSchemas || !c.enter('{') {
		return false
	}
	names, required := map[string]struct{}{}, 0
	object, closed, ref, beside := false, false, false, 0
	ok := true
	for name := range c.members() {
		beside++
		switch string(name) {
		case "properties":
			if object = c.object(); object {
				for name := range c.members() {
					names[string(name)] = struct{}{}
					ok = isStrict(c.value(), depth+1) && ok
				}
			}
		case "required":
			if c.array() {
				for c.elem() {
					c.str()
					required++
				}
			}
		case "$defs", "definitions":
			beside--
			if c.object() {
				for range c.members() {
					ok = isStrict(c.value(), depth+1) && ok
				}
			}
		case "anyOf":
			ok = ok && depth > 0
			if c.array() {
				for c.elem() {
					ok = isStrict(c.value(), depth+1) && ok
				}
			}
		case "items":
			ok = isStrict(c.value(), depth+1) && ok
		case "type":
			object = bytes.Contains(c.value(), []byte(`"object"`)) || object
		case "additionalProperties":
			closed = string(c.value()) == "false"
		case "$ref":
			ref = true
			c.value()
		case "format":
			ok = slices.Contains(stringFormats, c.text()) && ok
		case "title", "description", "enum", "const", "pattern", "minItems", "maxItems", "minimum", "maximum",
			"exclusiveMinimum", "exclusiveMaximum", "multipleOf":
			c.value()
		case "$schema":
			beside--
			c.value()
		default:
			ok = false
			c.value()
		}
	}
	switch {
	case !ok, c.bad, depth == 0 && !object, ref && beside > 1:
		return false
	}
	return !object || closed && required >= len(names)
}
