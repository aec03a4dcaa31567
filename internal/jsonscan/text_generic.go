//go:build !amd64 || purego

package jsonscan

import (
	"bytes"
	"encoding/binary"
)

const (
	// nearRun is how far SkipString looks by itself, in bytes. Longer runs are those of
	// an image or a recording.
	nearRun = 256
	// maxWindow is how far plainText looks at once, in bytes. It is a part of the fastest
	// cache: the bytes are read twice.
	maxWindow = 4 << 10
)

// plainText returns the length of a front of p that is text of a string: no quote, control
// character or escape. It may be shorter than it could be.
//
// A search for the backslash by vector instructions leaves one condition to be checked
// here, 64 bytes at a time, as the quote and the control characters take one. The windows
// grow, so that a run that ends soon is not searched far beyond its end.
func plainText(p []byte) (i int) {
	for size := 2 * nearRun; i < len(p); size = min(2*size, maxWindow) {
		window := p[i:min(i+size, len(p))]
		run := window
		if n := bytes.IndexByte(run, '\\'); n >= 0 {
			run = run[:n]
		}
		n := skipUnquoted(run)
		i += n
		if n < len(window) {
			break
		}
	}
	return i
}

// skipUnquoted skips blocks of 64 bytes without a quote and a control character. It keeps
// nothing of a block but the marks: eight words at once would not stay in registers.
func skipUnquoted(src []byte) (n int) {
	for ; n <= len(src)-64; n += 64 {
		b := (*[64]byte)(src[n:])
		m := (quoteOrControl(b[0:8]) | quoteOrControl(b[8:16])) | (quoteOrControl(b[16:24]) | quoteOrControl(b[24:32]))
		o := (quoteOrControl(b[32:40]) | quoteOrControl(b[40:48])) | (quoteOrControl(b[48:56]) | quoteOrControl(b[56:64]))
		if (m|o)&highBits != 0 {
			break // perhaps at text far above ASCII
		}
	}
	return n + skipUnquotedText(src[n:])
}

// skipUnquotedText is skipUnquoted for text in which bytes above ASCII are likely.
func skipUnquotedText(src []byte) (n int) {
	for ; n <= len(src)-64; n += 64 {
		b := (*[64]byte)(src[n:])
		m := (textEnd(b[0:8]) | textEnd(b[8:16])) | (textEnd(b[16:24]) | textEnd(b[24:32]))
		o := (textEnd(b[32:40]) | textEnd(b[40:48])) | (textEnd(b[48:56]) | textEnd(b[56:64]))
		if (m|o)&highBits != 0 {
			break
		}
	}
	return n
}

// quoteOrControl marks quotes and control characters in the high bits of eight bytes, as
// [stringEnds] does, and some bytes above ASCII. textEnd leaves those out.
func quoteOrControl(b []byte) uint64 {
	return (binary.LittleEndian.Uint64(b) ^ 0x02*eachByte) - 0x21*eachByte
}

func textEnd(b []byte) uint64 {
	return quoteOrControl(b) &^ binary.LittleEndian.Uint64(b)
}
