-- A key to the administration API: it can read this log, and make more keys. These events are of the tenant.
SELECT effective_at AS at, coalesce(actor_email, actor_id) AS who, concat(type, ' ', coalesce(target_id, '')) AS what, [id] AS ids
FROM events FINAL
WHERE type IN ('tenant.admin_api_key.created', 'tenant.admin_api_key.updated');
