// Command compose reads compose files as Docker does, with the loader and the
// schema that Docker Compose itself has, and prints the stack as JSON. It needs
// no Docker.
//
//	compose FILE...     later files go on top of the first
//
// The environment is empty to it, and every variable that the files ask for is
// listed, so that a test can hold them to asking for none.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compose:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, files []string, stdout io.Writer) error {
	if len(files) == 0 {
		return errors.New("which files?")
	}
	asked := []string{}
	// Paths in the files count from the folder of the first one.
	folder, err := filepath.Abs(filepath.Dir(files[0]))
	if err != nil {
		return err
	}
	details, err := loader.LoadConfigFiles(ctx, files, folder)
	if err != nil {
		return err
	}
	details.Environment = types.Mapping{}
	project, err := loader.LoadWithContext(ctx, *details, func(o *loader.Options) {
		// Every profile, so that nothing goes unchecked.
		o.Profiles = []string{"*"}
		o.ResolvePaths = true
		// The name is that of the files, and not guessed from the folder.
		o.SetProjectName("", false)
		o.Interpolate = &interpolation.Options{LookupValue: func(name string) (string, bool) {
			if !slices.Contains(asked, name) {
				asked = append(asked, name)
			}
			return "", false
		}}
	})
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	out := json.NewEncoder(stdout)
	return out.Encode(struct {
		Asked   []string        `json:"asked"`
		Project json.RawMessage `json:"project"`
	}{asked, text})
}
