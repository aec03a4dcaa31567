package browsertest

import (
	"testing"

	"github.com/chromedp/chromedp"
)

func TestShots(t *testing.T) {
	s := newScene(t)
	b := newTab(t, 1280)
	b.do(chromedp.Navigate(s.page()))
	b.shot("light")
}
