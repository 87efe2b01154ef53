-- A key that is used and thrown away: the same actor makes an API key and deletes it within the hour.
SELECT
    deleted.effective_at AS at,
    coalesce(deleted.actor_email, deleted.actor_id) AS who,
    concat(deleted.target_id, ' after ', toString(dateDiff('second', made.effective_at, deleted.effective_at)), ' s') AS what,
    [made.id, deleted.id] AS ids
FROM (SELECT * FROM events FINAL WHERE type = 'api_key.deleted') AS deleted
INNER JOIN (SELECT * FROM events FINAL WHERE type = 'api_key.created') AS made
    ON made.organization = deleted.organization AND made.target_id = deleted.target_id AND made.actor_id = deleted.actor_id
WHERE deleted.effective_at BETWEEN made.effective_at AND made.effective_at + INTERVAL 1 HOUR;
