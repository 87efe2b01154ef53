-- Credential stuffing: logins of one account fail from five or more addresses within half an hour.
SELECT
    min(effective_at) AS at,
    actor_email AS who,
    concat(toString(max(length(addresses))), ' addresses') AS what,
    arrayDistinct(arrayFlatten(groupArray(failures))) AS ids
FROM (
    SELECT *, groupUniqArray(source_ip) OVER recent AS addresses, groupArray(id) OVER recent AS failures
    FROM events FINAL
    WHERE type = 'login.failed' AND actor_email IS NOT NULL
    WINDOW recent AS (
        PARTITION BY organization, actor_email ORDER BY toUnixTimestamp(effective_at) RANGE BETWEEN 1800 PRECEDING AND CURRENT ROW
    )
)
WHERE length(addresses) >= 5
GROUP BY organization, actor_email, toDate(effective_at);
