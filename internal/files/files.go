// Package files reads the small files that settings name: secrets and certificates.
package files

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Limit is how long a read may take. Without it a file on a mount whose server is gone,
// or a pipe without a writer, would hang the process without a word.
const Limit = 4 * time.Second

// maxBytes is far above any certificate bundle.
const maxBytes = 8 << 20

// Why a file is not read, apart from what the system says.
var (
	ErrNotRegular = errors.New("it is no regular file")
	ErrSlow       = errors.New("reading it does not end; is its mount alive?")
	ErrTooLarge   = errors.New("it is larger than any secret or certificate")
	ErrUTF16      = errors.New("it is UTF-16 text: write it as UTF-8")
)

// reading holds the reads in progress, by path. One that hangs is waited for, and not
// begun once more: each would keep a thread.
var reading = struct {
	sync.Mutex
	calls map[string]*call
}{calls: map[string]*call{}}

type call struct {
	began   time.Time
	done    chan struct{}
	content []byte
	err     error
}

// Read returns the content of a regular file, without a byte order mark. The error is
// a *fs.PathError, and comes within Limit.
func Read(path string) ([]byte, error) {
	reading.Lock()
	c, is := reading.calls[path]
	if !is {
		c = &call{began: time.Now(), done: make(chan struct{})}
		reading.calls[path] = c
		go c.run(path) // ends with the read
	}
	reading.Unlock()
	timer := time.NewTimer(Limit - time.Since(c.began))
	defer timer.Stop()
	select {
	case <-c.done:
		return bytes.Clone(c.content), c.err
	case <-timer.C:
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrSlow}
	}
}

func (c *call) run(path string) {
	c.content, c.err = read(path)
	reading.Lock()
	delete(reading.calls, path)
	reading.Unlock()
	close(c.done)
}

func read(path string) ([]byte, error) {
	failed := func(err error) ([]byte, error) { return nil, &fs.PathError{Op: "read", Path: path, Err: err} }
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // to open a FIFO would wait for a writer
		return failed(ErrNotRegular)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxBytes:
		return failed(ErrTooLarge)
	case bytes.HasPrefix(content, []byte{0xff, 0xfe}), bytes.HasPrefix(content, []byte{0xfe, 0xff}):
		return failed(ErrUTF16)
	}
	return bytes.TrimPrefix(content, []byte("\ufeff")), nil
}
