package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// scripts are the peers, as far as they are ours.
//
//go:embed peers
var scripts embed.FS

// faucetVersion is the newest that Rust 1.95 builds.
const faucetVersion = "1.0.1"

// contestants are we and all peers, also those that cannot be had here.
func (l *lab) contestants(ctx context.Context) ([]contestant, error) {
	peer, err := l.unpack()
	if err != nil {
		return nil, err
	}

	bare := contestant{name: yardstick, delivers: "JSON", plainOnly: true}
	bare.start = l.script(peer("bareloop"))
	bare.missing = install(ctx, "go", "build", "-o", peer("bareloop"), "./bareloop")

	shell := contestant{name: "curl, jq and kcat in a loop", delivers: "JSON"}
	shell.start = l.script("bash", peer("loop.sh"))
	for _, program := range []string{"bash", "curl", "jq", "kcat"} {
		if _, err := exec.LookPath(program); err != nil {
			shell.missing = errors.Join(shell.missing, fmt.Errorf("no %s here", program))
		}
	}

	dlt := contestant{name: "dlt, rest_api source", delivers: "JSON"}
	python, err := l.installDlt(ctx, peer("requirements.txt"))
	dlt.start, dlt.missing = l.script(python, peer("dlt_kafka.py")), err

	faucet := contestant{name: "faucet-stream " + faucetVersion, delivers: "JSON"}
	program, err := l.installFaucet(ctx)
	faucet.start, faucet.missing = l.script("bash", peer("faucet.sh"), program, peer("faucet.yaml")), err
	return []contestant{l.us(ours), bare, shell, dlt, faucet}, nil
}

// unpack writes the scripts into a new folder, since more than one part of a run needs
// them, and returns where each one is.
func (l *lab) unpack() (path func(name string) string, err error) {
	dir, err := l.tempDir()
	if err != nil {
		return nil, err
	}
	return func(name string) string { return filepath.Join(dir, "peers", name) }, os.CopyFS(dir, scripts)
}

// cache returns a folder outside of the repository for what was installed.
func cache(name string) (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "openai-audit-kafka", "bench", name), err
}

// installDlt returns a Python that has dlt, from a virtual environment that is made
// once for each version of the requirements.
func (l *lab) installDlt(ctx context.Context, requirements string) (python string, err error) {
	text, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	dir, err := cache(fmt.Sprintf("dlt-%x", sha256.Sum256(text))[:16])
	if err != nil {
		return "", err
	}
	python = filepath.Join(dir, "bin", "python")
	works := func() error { return install(ctx, python, "-c", "import dlt, confluent_kafka") }
	if works() == nil {
		return python, nil
	}
	l.say("installing dlt")
	if err := install(ctx, "python3", "-m", "venv", dir); err != nil {
		return "", err
	}
	if err := install(ctx, python, "-m", "pip", "install", "--quiet", "--requirement", requirements); err != nil {
		return "", err
	}
	return python, works()
}

// installFaucet returns the program, which cargo builds once, and only if that was
// asked for.
func (l *lab) installFaucet(ctx context.Context) (string, error) {
	dir, err := cache("faucet-" + faucetVersion)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "bin", "faucet")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if !l.faucet {
		return "", errors.New("`make bench-faucet` builds it")
	}
	l.say("building faucet-stream, which takes minutes")
	return program, install(ctx, "nice", "cargo", "install", "faucet-cli", "--version", faucetVersion, "--locked", "--quiet",
		"--no-default-features", "--features", "source-rest,sink-kafka", "--root", dir)
}

// install runs a command. Its error is one line, to be shown in a table.
func install(ctx context.Context, command ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err == nil {
		return nil
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return fmt.Errorf("%s: %w: %s", filepath.Base(command[0]), err, bytes.ReplaceAll(lines[len(lines)-1], []byte("|"), []byte("/")))
}
