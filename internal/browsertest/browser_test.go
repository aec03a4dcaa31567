package browsertest

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var shots = flag.String("shots", "", "leave screenshots in `DIR`")

// tab is a tab of a real browser. Its complaints fail the test.
type tab struct {
	*testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// newTab opens a tab in a browser of its own, of a width in pixels.
func newTab(t *testing.T, width int64) *tab {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	require.NotEmpty(t, path, "there is no Chromium: ./ci.sh installs one where it can")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx,
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoFirstRun, chromedp.DisableGPU,
		chromedp.Flag("no-sandbox", os.Getuid() == 0), // which Chromium asks for as root
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{T: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, b.listen))
	call(b, log.Enable, cdp.Empty{})
	b.width(width)
	t.Cleanup(func() {
		assert.NoError(t, chromedp.Cancel(ctx)) // wait for the browser to leave its directory
		assert.Empty(t, b.complained(), "complaints of the browser")
	})
	return b
}

// listen notes the browser's complaints. It runs on the browser's own goroutine.
func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded: // violations of the policy are among these
		b.complaints = append(b.complaints, e.Entry.Text)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, "console."+string(e.Type))
	}
}

// complained returns the complaints so far, and forgets them.
func (b *tab) complained() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.complaints
	b.complaints = nil
	return list
}

// call runs a command of the protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.Helper()
	_, err := chromedp.Call(b.ctx, command, params)
	require.NoError(b, err)
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	require.NoError(b, chromedp.Do(b.ctx, actions...))
}

// eval returns the value of an expression in the page. A promise is awaited.
func eval[T any](b *tab, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b, err)
	return v
}

// wait returns when a condition holds. Each change of the document has it looked at.
func (b *tab) wait(condition string) {
	b.Helper()
	eval[bool](b, `new Promise(done => {
		const look = () => { if (`+condition+`) { watch.disconnect(); done(true); } };
		const watch = new MutationObserver(look);
		watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
		look();
	})`)
}

// width sets the size of the window, in pixels.
func (b *tab) width(width int64) {
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 600,
	})
}

// scheme sets the reader's preference, light or dark.
func (b *tab) scheme(name string) {
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
}

// shot leaves a screenshot of the whole page, if any are wanted.
func (b *tab) shot(name string) { b.leave(name, chromedp.FullScreenshot(100)) }

// shotOf leaves one of an element.
func (b *tab) shotOf(name, selector string) {
	b.leave(name, chromedp.Screenshot(chromedp.CSS(selector)))
}

func (b *tab) leave(name string, shoot chromedp.Action[[]byte]) {
	if *shots == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, shoot)
	require.NoError(b, err)
	require.NoError(b, os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o644))
}
