-- A stolen session: somebody changes something from a country that no event of theirs came from in thirty days, today
-- left out, for the thief signs in first. Who has been seen for less than a week is left out too.
SELECT
    effective_at AS at,
    actor_email AS who,
    concat(type, ' from ', source_country) AS what,
    [id] AS ids
FROM (
    SELECT *,
        groupUniqArray(source_country) OVER before AS countries,
        min(effective_at) OVER before AS since
    FROM events FINAL
    WHERE actor_email IS NOT NULL AND coalesce(source_country, '') != ''
    WINDOW before AS (
        PARTITION BY organization, actor_email ORDER BY toUnixTimestamp(effective_at) RANGE BETWEEN 2592000 PRECEDING AND 86400 PRECEDING
    )
)
WHERE type NOT LIKE 'login.%' AND type NOT LIKE 'logout.%'
  AND NOT has(countries, source_country)
  AND effective_at > since + INTERVAL 7 DAY AND length(countries) > 0;
