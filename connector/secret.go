package connector

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/files"
)

// Secret is a value that no output shows, given as it is or as the path of a
// file, which is read again at every Read so that it can be replaced while the
// process runs. The zero value is no secret at all.
type Secret struct {
	value string
	file  string
}

const redacted = "***"

// SecretValue returns a secret with a fixed value.
func SecretValue(value string) Secret { return Secret{value: value} }

// SecretFile returns a secret that is the trimmed content of a file.
func SecretFile(path string) Secret { return Secret{file: path} }

// IsSet reports whether the secret was given.
func (s Secret) IsSet() bool { return s.value != "" || s.file != "" }

// File returns the path of the secret's file, if it is in one.
func (s Secret) File() string { return s.file }

// Read returns the secret: the file's content now, or the fixed value. A file
// that is missing or empty is an error; a secret that was not given is "".
func (s Secret) Read() (string, error) {
	if s.file == "" {
		return s.value, nil
	}
	content, err := files.Read(s.file)
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	value := strings.TrimSpace(string(content))
	if value == "" {
		return "", fmt.Errorf("reading a secret: %s: %w", s.file, ErrEmptySecret)
	}
	return value, nil
}

// ErrEmptySecret says that a secret's file is empty.
var ErrEmptySecret = errors.New("the file is empty")

// String returns a fixed word, so that no output holds the secret.
func (Secret) String() string { return redacted }

// GoString returns a fixed word.
func (Secret) GoString() string { return redacted }

// LogValue returns a fixed word.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a fixed word.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
