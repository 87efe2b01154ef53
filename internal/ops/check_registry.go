package ops

import (
	"context"
	"errors"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

func (k *checker) checkRegistry(ctx context.Context) {
	if k.Registry.URL == "" {
		k.add("schema registry", fine("none: values are Avro single objects"))
		return
	}
	k.add("schema registry", k.registryFinding(ctx))
}

// registryFinding says why the registry cannot be used.
func (k *checker) registryFinding(ctx context.Context) Finding {
	found, err := codec.Check(ctx, k.Registry)
	if e, ok := errors.AsType[*codec.RegistryError](err); ok {
		return failed(e.Remedy(), "%s", strings.TrimSuffix(e.Error(), ": "+e.Remedy()))
	}
	if err != nil {
		return failed("check SCHEMA_REGISTRY_URL", "%v", err)
	}
	return k.schemaFinding(found)
}
