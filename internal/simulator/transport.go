package simulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
)

// Transport returns a RoundTripper that calls the handler directly, without a
// network, and so works inside a testing/synctest bubble. A handler that aborts
// looks to the client like a connection that was reset; one that the client does
// not wait for sees its request's context end.
func Transport(h http.Handler) http.RoundTripper { return direct{h} }

var errReset = errors.New("connection reset by peer")

type direct struct{ handler http.Handler }

// RoundTrip serves one request in a goroutine of its own, which ends when the
// handler does. The handler must return once its context is done.
func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	in := req.Clone(ctx)
	in.RequestURI, in.Host = req.URL.RequestURI(), req.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	read, write := io.Pipe()
	w := &responder{header: make(http.Header), body: write, sent: make(chan struct{})}
	go func() {
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
					panic(p)
				}
				w.abort()
			}
		}()
		d.handler.ServeHTTP(w, in)
		w.finish(req.Context().Err())
	}()
	// The body ends with the request's context, as that of net/http does.
	stop := context.AfterFunc(req.Context(), func() { _ = write.CloseWithError(req.Context().Err()) })
	select {
	case <-w.sent:
	case <-req.Context().Done():
		cancel()
		return nil, req.Context().Err()
	}
	if w.aborted {
		stop()
		return nil, errReset
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.shown, ContentLength: -1, Request: req,
		Body: &body{PipeReader: read, done: func() { stop(); cancel() }},
	}, nil
}

// body lets the handler know that nobody reads any more.
type body struct {
	*io.PipeReader
	done func()
}

func (b *body) Close() error {
	defer b.done()
	return b.PipeReader.Close()
}

// responder is the http.ResponseWriter of a direct call.
type responder struct {
	header http.Header // the handler's
	body   *io.PipeWriter
	once   sync.Once
	// sent is closed when what follows is set.
	sent    chan struct{}
	shown   http.Header
	status  int
	aborted bool
}

func (w *responder) Header() http.Header { return w.header }

func (w *responder) WriteHeader(status int) {
	w.once.Do(func() {
		w.shown, w.status = w.header.Clone(), status
		for name, values := range w.shown {
			if len(values) == 0 { // as net/http leaves out a nil Date
				delete(w.shown, name)
			}
		}
		close(w.sent)
	})
}

func (w *responder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush sends the header; what is written is sent at once anyway.
func (w *responder) Flush() { w.WriteHeader(http.StatusOK) }

// finish ends the body. err is not nil if the handler only came back because the
// request had ended, which must not look like the end of an answer.
func (w *responder) finish(err error) {
	w.WriteHeader(http.StatusOK)
	_ = w.body.CloseWithError(err) // io.EOF for nil
}

func (w *responder) abort() {
	w.once.Do(func() {
		w.aborted = true
		close(w.sent)
	})
	_ = w.body.CloseWithError(errReset)
}
