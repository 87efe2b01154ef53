package kafkatest

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:embed python.txt
var pythonPackages []byte

// Python returns a Python that has the packages of python.txt. They are fetched once
// into a virtual environment in the user's cache folder.
func Python(t testing.TB) string { return PythonWith(t, pythonPackages) }

// PythonWith is Python with other packages: the text of a file as pip reads it, with hashes.
func PythonWith(t testing.TB, packages []byte) string {
	t.Helper()
	sum := sha256.Sum256(packages)
	dir, err := cached(fmt.Sprintf("python-%x", sum[:4]), func(into string) error { return fetchPython(t.Context(), packages, into) })
	if errors.Is(err, ErrUnavailable) {
		Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "bin", "python")
}

func fetchPython(ctx context.Context, packages []byte, into string) error {
	list := into + ".txt"
	if err := os.WriteFile(list, packages, 0o600); err != nil {
		return err
	}
	for _, command := range [][]string{
		{"python3", "-m", "venv", into},
		// Not the command pip: it names the folder where it was made, which is moved.
		{filepath.Join(into, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--requirement", list},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: Python's packages, which need python3 and python3-venv: %w\n%s", ErrUnavailable, err, out)
		}
	}
	return nil
}
