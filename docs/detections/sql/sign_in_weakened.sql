-- People who leave may keep their access: provisioning by SCIM is switched off, or a connection for single sign-on is changed or deleted.
SELECT effective_at AS at, coalesce(actor_email, actor_id) AS who, type AS what, [id] AS ids
FROM events FINAL
WHERE type IN ('scim.disabled', 'tenant.scim.deletion.requested', 'tenant.sso_connection.updated', 'tenant.sso_connection.deleted',
               'tenant.domains.migrated');
