-- A password that was guessed: five or more failed logins of one account, and within half an hour one that succeeds.
SELECT
    effective_at AS at,
    actor_email AS who,
    concat(toString(length(failures)), ' failures before it, from ', source_ip) AS what,
    arrayConcat(failures, [id]) AS ids
FROM (
    SELECT *, groupArrayIf(id, type = 'login.failed') OVER (
        PARTITION BY organization, actor_email ORDER BY toUnixTimestamp(effective_at) RANGE BETWEEN 1800 PRECEDING AND CURRENT ROW
    ) AS failures
    FROM events FINAL
    WHERE type IN ('login.failed', 'login.succeeded') AND actor_email IS NOT NULL
)
WHERE type = 'login.succeeded' AND length(failures) >= 5;
