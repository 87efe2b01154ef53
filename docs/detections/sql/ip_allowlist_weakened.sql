-- The network is let in: an allowlist is deleted or switched off, or has every address of the internet.
SELECT effective_at AS at, coalesce(actor_email, actor_id) AS who, concat(type, ' ', arrayStringConcat(allowed_ips, ' ')) AS what, [id] AS ids
FROM events FINAL
WHERE type IN ('ip_allowlist.deleted', 'ip_allowlist.config.deactivated')
   OR type IN ('ip_allowlist.created', 'ip_allowlist.updated') AND hasAny(allowed_ips, ['0.0.0.0/0', '::/0']);
