package config

import (
	"reflect"
	"slices"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// Each field that package connector may find at fault is filled from a variable that is
// in the table: else a fault would name no variable.
func TestEveryFieldHasItsVariable(t *testing.T) {
	listed := func(settings []Setting, variable string) bool {
		return slices.ContainsFunc(settings, func(s Setting) bool { return s.Name == variable })
	}
	notVariables := []string{"Organizations", "Logger", "Telemetry", "Registerer", "KeySetting", "BaseURLSetting", "BackfillSetting", "TenantEventsSetting"} // the program's own
	var look func(of reflect.Type, prefix string, variable func(string) string)
	look = func(of reflect.Type, prefix string, variable func(string) string) {
		for field := range of.Fields() {
			name := prefix + field.Name
			switch variable := variable(name); {
			case slices.Contains(notVariables, name):
			case field.Type.Kind() == reflect.Struct && field.Type != reflect.TypeFor[connector.Secret]():
				look(field.Type, name+".", fieldVariable)
			case !listed(table, variable):
				t.Errorf("%s is filled from %q, which is no setting", name, variable)
			}
		}
	}
	look(reflect.TypeFor[connector.Config](), "", fieldVariable)
	look(reflect.TypeFor[connector.Organization](), "", single.variable)
}
