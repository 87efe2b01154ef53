-- Traces are switched off: the logging of API calls, or the projects that it is for, are changed.
SELECT effective_at AS at, coalesce(actor_email, actor_id) AS who, arrayStringConcat(changed_fields, ' ') AS what, [id] AS ids
FROM events FINAL
WHERE type = 'organization.updated' AND arrayExists(field -> startsWith(field, 'api_call_logging'), changed_fields);
