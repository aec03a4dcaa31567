// Command migrate reads the config.yaml of a LiteLLM proxy and prints a config of this
// library. Fields without a counterpart become comments.
//
//	go run ./examples/migrate config.yaml > gateway.yaml
//
// Keys do not pass: a key in the file becomes a secret, and its comment names the
// variable to set.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aigateway-go/aigateway"
)

// maxFile bounds the file, in bytes.
const maxFile = 1 << 20

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "migrate:", err)
		os.Exit(1)
	}
}

// run converts the file that args name, or the standard input.
func run(args []string, in io.Reader, out io.Writer) error {
	switch {
	case len(args) > 1:
		return errors.New("takes one file, or reads the standard input")
	case len(args) == 1:
		file, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return err
	}
	if len(data) > maxFile {
		return fmt.Errorf("the file has more than %d bytes", maxFile)
	}
	converted, err := convert(data)
	if err != nil {
		return err
	}
	if _, err := out.Write(converted); err != nil {
		return err
	}
	return check(converted)
}

// check builds a gateway of the result, so that its mistakes show here.
func check(converted []byte) error {
	cfg, err := aigateway.ParseConfig(converted)
	if err == nil {
		_, err = aigateway.New(cfg)
	}
	if err != nil {
		return fmt.Errorf("the result needs your hand: %w", err)
	}
	return nil
}
