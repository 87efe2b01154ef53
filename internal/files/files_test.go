package files_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/files"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(dir, "link") // as Kubernetes mounts a secret
	if err := os.Symlink(write("plain", "secret\n"), link); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path, want string
		err        error
	}{
		{link, "secret\n", nil},
		{write("bom", "\ufeffsecret"), "secret", nil},
		{write("utf16", "\xff\xfes\x00"), "", files.ErrUTF16},
		{fifo, "", files.ErrNotRegular},
		{dir, "", files.ErrNotRegular},
		{"/dev/zero", "", files.ErrNotRegular},
		{filepath.Join(dir, "none"), "", fs.ErrNotExist},
	} {
		got, err := files.Read(test.path)
		_, named := errors.AsType[*fs.PathError](err)
		if string(got) != test.want || !errors.Is(err, test.err) || named != (test.err != nil) {
			t.Errorf("%s: %q, %v", test.path, got, err)
		}
	}
}
