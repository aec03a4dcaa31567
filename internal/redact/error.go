package redact

import "errors"

// Error returns an error without the values in its text.
//
// An error that quotes a value is replaced by another one. That one is kept for [errors.Is]
// if err was, and wraps nothing: a printed chain would show the value.
func Error(err, kept error, values ...string) error {
	text := err.Error()
	scrubbed := NewScrubber(values...).Scrub(text)
	if scrubbed == text {
		return err
	}
	if !errors.Is(err, kept) {
		kept = nil
	}
	return &scrubbedError{scrubbed, kept}
}

// scrubbedError stands for an error that quotes a secret.
type scrubbedError struct {
	text string
	kept error // or nil
}

func (e *scrubbedError) Error() string        { return e.text }
func (e *scrubbedError) Is(target error) bool { return e.kept != nil && target == e.kept }
