package browsertest

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	wide   = 1280
	narrow = 360
)

func TestPageRenders(t *testing.T) {
	s := newScene(t)
	b := newTab(t, wide)
	b.do(chromedp.Navigate(s.page()))
	assert.Equal(t, []string{"total", "providers", "models", "keys", "money", "requests", "explain", "config"},
		eval[[]string](b, `[...document.querySelectorAll("main > section")].map(s => s.id)`))
	assert.Positive(t, eval[int](b, `document.querySelector("#providers svg rect.bad").getBoundingClientRect().height`), "charts are drawn and coloured")
	assert.NotEqual(t, "rgb(0, 0, 0)", eval[string](b, `getComputedStyle(document.querySelector("svg rect.bad")).fill`), "the style sheet is in force")
	assert.Equal(t, "live", eval[string](b, `document.querySelector("#status span").textContent`), "the script has run")

	// Markup in a name is shown as text.
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
	// The reader's doings must survive an update.
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

// Regression: what was read moved away when requests came in above it, and an open
// row was taken away when it was no longer among the latest.
func TestPageStaysWhereItIsRead(t *testing.T) {
	const latest = `Number(document.querySelector(".requests > details").id.slice(1))`
	s := newScene(t)
	b := newTab(t, wide)
	b.do(chromedp.Navigate(s.page()))
	eval[bool](b, `(() => {
		document.getElementById("body").value = "half a request";
		window.rows = [...document.querySelectorAll(".requests > details")];
		window.opened = rows.find(row => row.querySelector(".tag").textContent === "ok" && row !== rows[0]).id;
		window.newest = `+latest+`;
		document.getElementById(opened).open = true;
		document.querySelector("#" + opened + " .trail").scrollIntoView({block: "center"});
		window.top0 = document.getElementById(opened).getBoundingClientRect().top;
		return true;
	})()`)
	const drift = `Math.abs(document.getElementById(opened).getBoundingClientRect().top - top0)`
	require.Positive(t, eval[float64](b, `scrollY`))
	for _, n := range []int{1, 6, 60} { // the last are more than are kept
		for range n {
			s.chat(`"llama3.2"`)
		}
		b.wait(latest + ` === newest + ` + strconv.Itoa(n))
		eval[bool](b, `(newest += `+strconv.Itoa(n)+`) > 0`)
		assert.Less(t, eval[float64](b, drift), 2., "after %d requests", n)
	}
	b.shot("open-row")
	assert.Less(t, eval[int](b, `Number(opened.slice(1))`), eval[int](b, latest+` - 50`), "it is no longer among the latest")
	assert.True(t, eval[bool](b, `document.getElementById(opened).open`), "and is there")
	assert.Equal(t, eval[[]int](b, `[...document.querySelectorAll(".requests > details")].map(row => Number(row.id.slice(1))).sort((a, b) => b - a)`),
		eval[[]int](b, `[...document.querySelectorAll(".requests > details")].map(row => Number(row.id.slice(1)))`), "in its place")
	assert.Equal(t, "half a request", eval[string](b, `document.getElementById("body").value`))

	// Closed, it goes, and the rows in sight stay still.
	eval[bool](b, `(() => {
		document.getElementById(opened).open = false;
		document.activeElement.blur();
		window.opened = "body";
		document.getElementById("body").scrollIntoView({block: "center"});
		window.top0 = document.getElementById("body").getBoundingClientRect().top;
		window.count = document.querySelectorAll(".requests > details").length;
		return true;
	})()`)
	s.chat(`"gone:mistral-small"`) // one that is kept for longer
	b.wait(latest + ` === newest + 1`)
	assert.Less(t, eval[float64](b, drift), 2., "of the form")
	assert.LessOrEqual(t, eval[int](b, `document.querySelectorAll(".requests > details").length - count`), 0)

	// At the top, new rows come in.
	eval[bool](b, `(scrollTo(0, 0), true)`)
	s.chat(`"llama3.2"`)
	b.wait(latest + ` === newest + 2`)
	assert.Zero(t, eval[float64](b, `scrollY`))
}

// Failed requests are found without JavaScript too, and the choice outlives an update.
func TestPageFilters(t *testing.T) {
	for name, script := range map[string]bool{"with JavaScript": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			b := newTab(t, wide)
			call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script})
			b.do(chromedp.Navigate(s.page()), chromedp.Click(chromedp.CSS(`.filter a:last-of-type`)), chromedp.WaitVisible(chromedp.CSS(`.filter a:last-of-type[aria-current]`)))
			location, err := chromedp.Run(b.ctx, chromedp.Location())
			assert.NoError(t, err)
			assert.Equal(t, s.page()+"?only=failed#requests", location)
			text, err := chromedp.Run(b.ctx, chromedp.TextContent(chromedp.CSS(`.requests`)))
			assert.NoError(t, err)
			assert.Contains(t, text, "no-such-model")
			assert.NotContains(t, text, "passed over")
			if !script {
				return
			}
			assert.Zero(t, eval[int](b, `[...document.querySelectorAll("#requests .tag.good")].filter(tag => tag.textContent === "ok").length`))
			s.chat(`"llama3.2"`)
			s.chat(`"another-that-nobody-has"`)
			b.wait(`document.querySelector("#requests .route").textContent.includes("another-that-nobody-has")`)
			assert.Zero(t, eval[int](b, `[...document.querySelectorAll("#requests .tag.good")].filter(tag => tag.textContent === "ok").length`))
			b.shotOf("failed", "#requests")
		})
	}
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
		assert.Empty(t, eval[[]string](b, borderless), scheme)
	}
}

// contrast is shared by the next two lists.
const contrast = `
	const parse = c => { const v = c.match(/[\d.]+/g).map(Number); return v.length > 3 ? v : [...v, 1]; };
	const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
	const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
	const ground = e => {
		for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; }
		return [255, 255, 255];
	};
	const contrast = (color, ground) => {
		const [a, b] = [light(parse(color)), light(ground)];
		return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
	};
	const bad = new Set();
	const least = (n, e, what, color, ground) => {
		const is = contrast(color, ground);
		if (is < n) bad.add(e.localName + "." + e.className + what + " " + is.toFixed(2));
	};
`

// faint lists the texts and placeholders with a contrast below 4.5, the limit of WCAG
// at level AA.
const faint = `(() => {` + contrast + `
	for (const e of document.querySelectorAll("body *")) {
		if (e.closest("svg, script, style, noscript, option")) continue;
		if ([...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) least(4.5, e, "", getComputedStyle(e).color, ground(e));
		if (!e.placeholder) continue;
		const style = getComputedStyle(e, "::placeholder");
		least(4.5, e, "::placeholder", style.color, ground(e));
		if (style.opacity !== "1") bad.add(e.localName + "::placeholder is see-through");
	}
	return [...bad];
})()`

// borderless lists the fields with a border of a contrast below 3 to its inside or
// outside.
const borderless = `(() => {` + contrast + `
	for (const e of document.querySelectorAll("input, textarea, button")) {
		const color = getComputedStyle(e).borderTopColor;
		least(3, e, " outside", color, ground(e.parentElement));
		least(3, e, " inside", color, ground(e));
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
	assert.Empty(t, eval[[]string](b, `[...document.querySelectorAll("a, button, summary, input, textarea")]
		.filter(e => { const r = e.getBoundingClientRect(); return r.height > 0 && r.height < 24; }).map(e => e.outerHTML.slice(0, 80))`), "a finger finds it")

	// A wider table can be seen to scroll, and its names stay in sight.
	for _, id := range []string{"s-providers", "s-models", "s-keys"} {
		eval[bool](b, `(document.getElementById("`+id+`").scrollLeft = 0, true)`)
		before := eval[float64](b, `document.querySelector("#`+id+` .name").getBoundingClientRect().left`)
		eval[bool](b, `(document.getElementById("`+id+`").scrollLeft = 120, true)`)
		assert.Positive(t, eval[float64](b, `document.getElementById("`+id+`").scrollLeft`), "%s is wider", id)
		assert.Equal(t, before, eval[float64](b, `document.querySelector("#`+id+` .name").getBoundingClientRect().left`), id)
		assert.Contains(t, eval[string](b, `getComputedStyle(document.getElementById("`+id+`")).backgroundAttachment`), "local")
		width := eval[float64](b, `document.querySelector("#`+id+` .name").getBoundingClientRect().width`)
		assert.Greater(t, width, 120., "%s: room for a name", id)
		assert.Less(t, width, 180., "%s: and for the rest", id)
	}
	b.shot("narrow-open")
	b.shotOf("narrow-trail", "#requests details:nth-child(6)")
}

// The answer of the form neither sticks out nor scrolls.
func TestPageExplainsNarrow(t *testing.T) {
	s := newScene(t)
	b := newTab(t, narrow)
	b.do(chromedp.Navigate(s.page()), chromedp.SetValue(chromedp.CSS(`#body`), `{"models": ["llama", "limited:gpt-oss-120b"]}`))
	b.do(chromedp.Click(chromedp.CSS(`#explain button`)), chromedp.WaitVisible(chromedp.CSS(`.answer`)))
	eval[bool](b, `document.querySelectorAll(".answer details").forEach(d => d.open = true) || true`)
	assert.Empty(t, eval[[]string](b, `[...document.querySelectorAll(".answer .scroll")].filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)`))
	assert.Equal(t, float64(narrow), eval[float64](b, `document.documentElement.scrollWidth`))
	b.shotOf("narrow-explain", "#explain")
}

// The browser judges the JSON and the targets of links too.
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
