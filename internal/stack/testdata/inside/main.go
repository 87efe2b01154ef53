// Command inside is run in the root of an image, and says what is wrong there.
package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"
)

func main() {
	failed := false
	fault := func(format string, args ...any) {
		failed = true
		fmt.Printf(format+"\n", args...)
	}
	if pool, err := x509.SystemCertPool(); err != nil || pool.Equal(x509.NewCertPool()) {
		fault("there are no CAs: %v", err)
	}
	if _, err := time.LoadLocation("Europe/Berlin"); err != nil {
		fault("there are no time zones: %v", err)
	}
	for _, path := range []string{"/bin", "/lib", "/lib64", "/usr/bin", "/usr/lib"} {
		if _, err := os.Stat(path); err == nil {
			fault("there is %s", path)
		}
	}
	if err := os.WriteFile("/written", nil, 0o600); err == nil {
		fault("the root can be written to")
	}
	if os.Getuid() != 65532 {
		fault("the user is %d", os.Getuid())
	}
	if failed {
		os.Exit(1)
	}
}
