package aigateway

import "github.com/aigateway-go/aigateway/internal/dialect"

// translatedWriter takes the upstream's bytes, and writes the client's.
type translatedWriter struct {
	to     *client
	stream *dialect.Stream
	wrote  bool // since the last flush
}

// Write translates the events that are whole. It fails once the stream is over and
// not whole: the client has an error event then.
func (w *translatedWriter) Write(p []byte) (int, error) {
	if err := w.send(w.stream.Write(p)); err != nil {
		return 0, err
	}
	if err := w.stream.Err(); err != nil {
		w.flush() //nolint:errcheck // the stream is over either way
		return 0, err
	}
	return len(p), nil
}

func (w *translatedWriter) send(out []byte) error {
	if len(out) == 0 {
		return nil
	}
	w.wrote = true
	_, err := w.to.Write(out)
	return err
}

// flush sends on what was written. A piece of an event gives the client nothing.
func (w *translatedWriter) flush() error {
	if !w.wrote {
		return nil
	}
	w.wrote = false
	return w.to.flush()
}

// close writes the end of the stream.
func (w *translatedWriter) close() {
	out, _ := w.stream.Close()
	if w.send(out) == nil {
		w.flush() //nolint:errcheck // the stream is over either way
	}
}
