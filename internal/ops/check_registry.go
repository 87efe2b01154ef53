package ops

import (
	"cmp"
	"context"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/remedy"
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
	if err != nil {
		cause, do := remedy.Split(err)
		return failed(cmp.Or(do, "check SCHEMA_REGISTRY_URL"), "%s", cause)
	}
	return k.schemaFinding(found)
}
