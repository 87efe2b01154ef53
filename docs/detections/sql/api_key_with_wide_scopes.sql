-- An API key that may do all, or may change the organization or its keys.
SELECT effective_at AS at, coalesce(actor_email, actor_id) AS who, concat(coalesce(target_id, ''), ': ', arrayStringConcat(scopes, ' ')) AS what, [id] AS ids
FROM events FINAL
WHERE type IN ('api_key.created', 'api_key.updated')
  AND arrayExists(scope -> scope IN ('all', 'admin') OR match(scope, '(management|organization|api_keys)[.:](write|all)'), scopes);
