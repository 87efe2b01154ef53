-- Somebody gets to administer the organization: a role whose name has owner or admin, on the organization itself.
SELECT effective_at AS at, actor_email AS who, concat(coalesce(role, ''), ' to ', coalesce(principal_id, target_id, '')) AS what, [id] AS ids
FROM events FINAL
WHERE type = 'role.assignment.created' AND resource_type = 'api.organization' AND match(lower(coalesce(role, '')), 'owner|admin')
   OR type IN ('user.added', 'user.updated', 'invite.sent') AND role = 'owner';
