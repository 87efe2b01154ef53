package openai

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const (
	// chunkBytes is in what pieces a body is read. A buffer that grows would be
	// copied again and again, and leave twice its size behind.
	chunkBytes = 64 << 10
	// freeBytes is up to which size bodies are read side by side. A page of a
	// hundred usual events has a tenth of it.
	freeBytes = 2 << 20
)

// What reading bodies needs again and again.
var (
	chunks      = sync.Pool{New: func() any { return new([chunkBytes]byte) }}
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	bodies      sync.Pool // of *[]byte: whole ones that were given back
)

// takeBody returns the parts in one piece, which may be given back.
func takeBody(parts [][]byte) []byte {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	var body []byte
	if old, ok := bodies.Get().(*[]byte); ok && cap(*old) >= size {
		body = (*old)[:0]
	} else {
		body = make([]byte, 0, size)
	}
	for _, part := range parts {
		body = append(body, part...)
	}
	return body
}

// giveBody gives the memory of a body back. One of unusual size is not kept.
func giveBody(body []byte) {
	if n := cap(body); n >= chunkBytes/4 && n <= 4*chunkBytes {
		bodies.Put(&body)
	}
}

// permit lets a body be larger than freeBytes. There is one for each class of
// request: without it, as many bodies as there are requests in flight would each
// grow to the limit. A request that has it waits only for its body.
type permit struct {
	holder chan struct{} // has one while a request has the permit
	held   bool          // by this one
}

// acquire waits until the permit is free. The error is ctx's.
func (p *permit) acquire(ctx context.Context) error {
	if p.held {
		return nil
	}
	select {
	case p.holder <- struct{}{}:
		p.held = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives the permit back, if it was taken.
func (p *permit) release() {
	if p.held {
		<-p.holder
		p.held = false
	}
}

// readError says that a body could not be read to its end.
type readError struct{ err error }

func (e *readError) Error() string { return "reading the answer: " + e.err.Error() }

func (e *readError) Unwrap() error { return e.err }

// readBody reads and decompresses a body of at most limit bytes, with the permit
// if it is large. A body that is cut, or a gzip stream that is damaged, is a
// readError; one longer than the limit is errTooLarge. With an error comes the
// beginning of what was read.
func readBody(ctx context.Context, res *http.Response, limit int64, large *permit) ([]byte, error) {
	from := &io.LimitedReader{R: res.Body, N: limit + 1}
	switch encoding := res.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		z := gzipReaders.Get().(*gzip.Reader)
		defer gzipReaders.Put(z)
		if err := z.Reset(res.Body); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // nothing came: that is no end
			}
			return nil, &readError{err}
		}
		from.R = z
	default:
		return nil, fmt.Errorf("the answer is encoded as %q, which was not asked for", encoding)
	}
	parts := make([][]byte, 0, freeBytes/chunkBytes)
	defer func() {
		for _, part := range parts {
			chunks.Put((*[chunkBytes]byte)(part[:chunkBytes]))
		}
	}()
	for {
		if len(parts)*chunkBytes >= freeBytes {
			if err := large.acquire(ctx); err != nil {
				return bytes.Clone(parts[0]), &readError{err}
			}
		}
		part, err := readChunk(from)
		parts = append(parts, part)
		switch {
		case from.N == 0:
			return bytes.Clone(parts[0]), fmt.Errorf("%w of %d bytes", errTooLarge, limit)
		case errors.Is(err, io.EOF):
			return takeBody(parts), nil
		case err != nil:
			return bytes.Clone(parts[0]), &readError{err}
		}
	}
}

// readChunk reads a chunk's worth, and less before an error only.
func readChunk(from io.Reader) ([]byte, error) {
	chunk := chunks.Get().(*[chunkBytes]byte)[:]
	for n := 0; ; {
		m, err := from.Read(chunk[n:])
		if n += m; err != nil || n == chunkBytes {
			return chunk[:n], err
		}
	}
}
