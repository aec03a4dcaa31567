package fleet

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// Sum is a keyed hash. It stands for a name in the store, and tells nothing about it
// without the secret.
type Sum [16]byte

// String returns the Sum in hex, as in keys of records.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// parseSum reads the text of a Sum.
func parseSum(text string) (s Sum, ok bool) {
	n, err := hex.Decode(s[:], []byte(text[:min(len(text), 2*len(s))]))
	return s, err == nil && n == len(s) && len(text) == 2*len(s)
}

// Sums makes keyed hashes. Its methods may be called from many goroutines at once.
type Sums struct {
	pool sync.Pool
	seal cipher.AEAD

	seed     maphash.Seed
	recalled [recalls]atomic.Pointer[recall]
}

// Bounds of the Sums that Recall remembers.
const (
	recalls    = 1024
	recallText = 128 // bytes of a text
)

// recall is a remembered Sum.
type recall struct {
	of  [3]string
	sum Sum
}

// NewSums returns the Sums of a secret. Replicas with one secret have equal Sums.
// Without a secret they are those of this process alone.
func NewSums(secret []byte) *Sums {
	if len(secret) == 0 {
		secret = []byte(rand.Text())
	}
	key := append([]byte(nil), secret...)
	s := &Sums{seed: maphash.MakeSeed(), pool: sync.Pool{New: func() any { return &summing{mac: hmac.New(sha256.New, key)} }}}
	sealing := s.Of("seal")
	block, err := aes.NewCipher(sealing[:])
	if err == nil {
		s.seal, err = cipher.NewGCM(block)
	}
	if err != nil {
		panic(err) // the key has the right length
	}
	return s
}

// summing is one hash at work, with room for its input.
type summing struct {
	mac   hash.Hash
	input []byte
	out   [sha256.Size]byte
}

// Of returns the Sum of a list of texts. Lists with other borders between the same
// letters have other Sums. The first text says what the Sum is for.
//
// Each text has its length before it: ("ab", "c") and ("a", "bc") differ.
func (s *Sums) Of(parts ...string) (sum Sum) {
	h := s.pool.Get().(*summing)
	defer s.pool.Put(h)
	h.input = h.input[:0]
	for _, p := range parts {
		h.input = binary.AppendUvarint(h.input, uint64(len(p)))
		h.input = append(h.input, p...)
	}
	h.mac.Reset()
	h.mac.Write(h.input)
	copy(sum[:], h.mac.Sum(h.out[:0]))
	return sum
}

// Recall is Of for three texts of which the last comes again and again, such as the name
// of a caller with each request. It remembers some of the latest, with their texts: it is
// not for secrets.
func (s *Sums) Recall(what, salt, text string) Sum {
	if len(text) > recallText {
		return s.Of(what, salt, text)
	}
	at := &s.recalled[maphash.String(s.seed, text)%recalls]
	if r := at.Load(); r != nil && r.of == [3]string{what, salt, text} {
		return r.sum
	}
	r := &recall{of: [3]string{what, salt, strings.Clone(text)}, sum: s.Of(what, salt, text)} // text may be a part of a header
	at.Store(r)
	return r.sum
}

// Seal encrypts a value for readers with the secret.
//
// The result is a random nonce and the value under AES-GCM. Two seals of one value
// differ.
func (s *Sums) Seal(value string) []byte {
	nonce := make([]byte, s.seal.NonceSize(), s.seal.NonceSize()+len(value)+s.seal.Overhead())
	rand.Read(nonce)
	return s.seal.Seal(nonce, nonce, []byte(value), nil)
}

// Open decrypts a sealed value.
func (s *Sums) Open(sealed []byte) (value string, ok bool) {
	if len(sealed) < s.seal.NonceSize() {
		return "", false
	}
	plain, err := s.seal.Open(nil, sealed[:s.seal.NonceSize()], sealed[s.seal.NonceSize():], nil)
	return string(plain), err == nil
}
