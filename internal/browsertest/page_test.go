package browsertest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
)

const (
	wide   = 1280
	narrow = 360
)

func TestPageRenders(t *testing.T) {
	s := newScene(t)
	b := newTab(t, wide)
	b.do(chromedp.Navigate(s.page()))
	assert.Equal(t, []string{"total", "providers", "models", "keys", "requests", "explain", "config"},
		eval[[]string](b, `[...document.querySelectorAll("main > section")].map(s => s.id)`))
	assert.Positive(t, eval[int](b, `document.querySelector("#providers svg rect.bad").getBoundingClientRect().height`), "charts are drawn and coloured")
	assert.NotEqual(t, "rgb(0, 0, 0)", eval[string](b, `getComputedStyle(document.querySelector("svg rect.bad")).fill`), "the style sheet is in force")
	assert.Equal(t, "live", eval[string](b, `document.querySelector("#status span").textContent`), "the script has run")

	// Names are names, whatever is in them.
	assert.Equal(t, "aigateway", eval[string](b, `document.title`))
	assert.Zero(t, eval[int](b, `document.querySelectorAll("img, main b").length`))
	assert.Contains(t, eval[string](b, `document.getElementById("models").textContent`), hostile)
	b.shot("light")
	eval[bool](b, `document.querySelectorAll("details").forEach(d => d.open = true) || true`)
	b.shot("light-open")
	b.shotOf("trail", "#requests details:nth-child(6)")
	b.shotOf("refusal", "#requests details:nth-child(2)")
	b.shotOf("config", "#config")
}

func TestPageUpdatesItself(t *testing.T) {
	s := newScene(t)
	b := newTab(t, wide)
	b.do(chromedp.Navigate(s.page()))
	// What the reader did must survive what comes in.
	eval[bool](b, `(() => {
		window.stays = true;
		const first = document.querySelector("#requests details");
		window.opened = first.id;
		first.querySelector("summary").click();
		first.querySelector("summary").focus();
		document.getElementById("body").value = "half a request";
		return true;
	})()`)
	before := eval[int](b, `document.querySelectorAll("#requests details").length`)
	s.chat(`"llama"`)
	b.wait(`document.querySelector("#requests .route").textContent.startsWith("llama →")`)
	assert.Equal(t, before+1, eval[int](b, `document.querySelectorAll("#requests details").length`))
	assert.True(t, eval[bool](b, `window.stays`), "without a reload")
	assert.True(t, eval[bool](b, `document.getElementById(opened).open`), "what was open is open")
	assert.True(t, eval[bool](b, `document.getElementById(opened).querySelector("summary") === document.activeElement`), "the focus is where it was")
	assert.Equal(t, "half a request", eval[string](b, `document.getElementById("body").value`))

	b.do(chromedp.Click(chromedp.CSS(`.status button`)))
	assert.Equal(t, "paused", eval[string](b, `document.querySelector("#status span").textContent`))
	s.chat(`"cellar:llama3.2"`)
	b.do(chromedp.Click(chromedp.CSS(`.status button`)))
	b.wait(`document.querySelector("#requests .route").textContent.startsWith("cellar:llama3.2")`)
}

func TestPageExplains(t *testing.T) {
	for name, script := range map[string]bool{"with JavaScript": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			b := newTab(t, wide)
			call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script})
			b.do(chromedp.Navigate(s.page()))
			b.do(chromedp.SetValue(chromedp.CSS(`#body`), `{"models": ["llama", "nobody"]}`), chromedp.SetValue(chromedp.CSS(`#header`), "Authorization: Bearer sk-pasted-canary-123456789"))
			b.do(chromedp.Click(chromedp.CSS(`#explain button`)), chromedp.WaitVisible(chromedp.CSS(`.answer`)))
			text, err := chromedp.Run(b.ctx, chromedp.TextContent(chromedp.CSS(`.answer`)))
			assert.NoError(t, err)
			assert.Contains(t, text, "rack:llama3.2")
			assert.Contains(t, text, "nobody")
			header, err := chromedp.Run(b.ctx, chromedp.Value(chromedp.CSS(`#header`)))
			assert.NoError(t, err)
			assert.NotContains(t, header, "canary")
			location, err := chromedp.Run(b.ctx, chromedp.Location())
			assert.NoError(t, err)
			assert.Equal(t, s.page()+"#explain", location, "what was pasted is in no address")
			if script {
				b.shotOf("explain", "#explain")
			}
		})
	}
}

func TestPageWithoutJavaScript(t *testing.T) {
	s := newScene(t)
	b := newTab(t, wide)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.do(chromedp.Navigate(s.page()))
	status, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(`.status`)))
	assert.NoError(t, err)
	assert.Contains(t, status, "no JavaScript")
	b.do(chromedp.Click(chromedp.CSS(`#requests details:first-child summary`)), chromedp.WaitVisible(chromedp.CSS(`#requests details:first-child .trail`)))
	b.shot("without-javascript")
}

func TestPageSchemes(t *testing.T) {
	s := newScene(t)
	b := newTab(t, wide)
	const darkness = `(() => {
		const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
		return 255 - (r + g + b) / 3;
	})()`
	b.scheme("light")
	b.do(chromedp.Navigate(s.page()))
	assert.Less(t, eval[float64](b, darkness), 60.)
	b.scheme("dark")
	assert.Greater(t, eval[float64](b, darkness), 195.)
	b.shot("dark")
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		assert.Empty(t, eval[[]string](b, faint), scheme)
	}
}

// faint lists the texts whose contrast is below 4.5, the least that WCAG asks for
// (level AA).
const faint = `(() => {
	const parse = c => { const v = c.match(/[\d.]+/g).map(Number); return v.length > 3 ? v : [...v, 1]; };
	const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
	const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
	const ground = e => {
		for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; }
		return [255, 255, 255];
	};
	const bad = new Set();
	for (const e of document.querySelectorAll("body *")) {
		if (e.closest("svg, script, style, noscript, option") || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
		const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))];
		const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (contrast < 4.5) bad.add(e.localName + "." + e.className + " " + contrast.toFixed(2));
	}
	return [...bad];
})()`

func TestPageNarrow(t *testing.T) {
	s := newScene(t)
	b := newTab(t, narrow)
	b.do(chromedp.Navigate(s.page()))
	b.shot("narrow")
	b.shotOf("narrow-total", "#total")
	b.shotOf("narrow-providers", "#providers")
	eval[bool](b, `document.querySelectorAll("details").forEach(d => d.open = true) || true`)
	assert.Equal(t, float64(narrow), eval[float64](b, `document.documentElement.scrollWidth`), "nothing sticks out, however much is open")
	assert.Empty(t, eval[[]string](b, `[...document.querySelectorAll("main *")]
		.filter(e => !e.closest(".scroll, .chart") && e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 80))`))
	b.shot("narrow-open")
	b.shotOf("narrow-trail", "#requests details:nth-child(6)")
}

// A browser is a good judge of JSON, too, and of where a link leads.
func TestPageJSON(t *testing.T) {
	s := newScene(t)
	b := newTab(t, wide)
	b.do(chromedp.Navigate(s.page()), chromedp.Click(chromedp.CSS(`a[href="?format=json"]`)))
	b.do(chromedp.WaitReady(chromedp.CSS(`pre`)))
	text := eval[string](b, `document.body.textContent`)
	var state struct {
		Requests []struct {
			Asked []string `json:"models_asked"`
		} `json:"requests"`
	}
	start := strings.Index(text, "{")
	assert.NoError(t, json.NewDecoder(strings.NewReader(text[max(start, 0):])).Decode(&state))
	assert.NotEmpty(t, state.Requests)
}
