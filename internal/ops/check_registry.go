package ops

import (
	"cmp"
	"context"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/remedy"
)

func (k *checker) checkRegistry(ctx context.Context) {
	if k.cfg.Registry.URL == "" {
		k.add("schema registry", fine("none: values are Avro single objects"))
		return
	}
	k.add("schema registry", registryFinding(ctx, k.cfg.Registry))
}

// registryFinding says why the registry cannot be used.
func registryFinding(ctx context.Context, c codec.RegistryConfig) Finding {
	found, err := codec.Check(ctx, c)
	if err != nil {
		cause, do := remedy.Split(err)
		return failed(cmp.Or(do, "check SCHEMA_REGISTRY_URL"), "%s", cause)
	}
	return schemaFinding(found, c.AutoRegister)
}
