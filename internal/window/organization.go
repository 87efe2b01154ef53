package window

import (
	"fmt"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// CheckOrganization refuses what comes from another organization of the API than the
// one that is read under the name: the key or the base URL was replaced by that of
// another one, and its events would be written under this name. was is the API's name
// in the cursor, is that of an answer. A name that the API did not give is unknown, and not
// another one.
func CheckOrganization(name, was, is string) error {
	if was == "" || is == "" || was == is {
		return nil
	}
	return unusable("give the key and the base URL of the organization it was, or another ORGANIZATION_NAME; `cursor reset` starts over with this one",
		"the cursor of %s was written for %s, and the key belongs to %s", name, was, is)
}

// OtherName returns under which other name the API's organization is read, by the
// cursors of all partitions of the offsets topic; empty if under none. A cursor that
// nobody can read may be of the same organization, and to begin beside it would write
// everything again: that is an error.
func OtherName(name, apiName string, cursors []map[string][]byte) (string, error) {
	for _, partition := range cursors {
		for key, value := range partition {
			if key == auditlog.CursorKey(name) {
				continue
			}
			c, err := auditlog.DecodeCursor(value)
			if err != nil {
				return "", unusable("if a newer version wrote it, run that one; if nobody needs it, `cursor reset` with that ORGANIZATION_NAME removes it",
					"key %.80q in the offsets topic may be the cursor of %s under another name: %w", key, apiName, err)
			}
			if c.APIOrganization == apiName && !c.StartAnew {
				return c.Organization, nil
			}
		}
	}
	return "", nil
}

// ReadAlready is the error of an organization of the API that has another name here.
func ReadAlready(apiName, other string) error {
	return unusable(fmt.Sprintf("set ORGANIZATION_NAME=%s; if it was renamed on purpose, run `cursor reset` for %s", other, other),
		"%s is read already, under the name %s", apiName, other)
}
