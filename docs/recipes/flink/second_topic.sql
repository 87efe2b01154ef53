-- The events as a table of Flink SQL, and a copy of it in a second topic as JSON, exactly once. A WHERE at the end makes it a part.
--
--     sql-client.sh -f second_topic.sql
--
-- Flink 2.2 with flink-sql-connector-kafka-5.0.0-2.2.jar and flink-sql-avro-confluent-registry-2.2.0.jar in lib. Replace BROKERS, TOPIC,
-- GROUP, REGISTRY (http://registry:8080/apis/ccompat/v7 for Apicurio) and TARGET, a topic that exists.

-- Records are in the second topic once a checkpoint is done, and a transaction of Flink must outlast a restart: its timeout below must not
-- be above the brokers' transaction.max.timeout.ms, which is 15 minutes unless it was changed.
SET 'execution.checkpointing.interval' = '10s';
SET 'table.local-time-zone' = 'UTC';

-- A column that the table does not have is left out, and one that older events do not have is NULL in them. So a new version of the schema
-- needs nothing here, and a column of it can be added when it is wanted.
CREATE TABLE events (
    id                       STRING NOT NULL,
    type                     STRING NOT NULL,
    event_scope              STRING NOT NULL,
    effective_at             TIMESTAMP(3) NOT NULL,
    ingested_at              TIMESTAMP(3) NOT NULL,
    organization             STRING NOT NULL,
    project_id               STRING,
    project_name             STRING,
    outcome                  STRING NOT NULL,
    error_code               STRING,
    error_message            STRING,
    actor_type               STRING,
    actor_id                 STRING,
    actor_email              STRING,
    actor_user_id            STRING,
    actor_service_account_id STRING,
    actor_api_key_id         STRING,
    actor_api_key_type       STRING,
    source_ip                STRING,
    source_country           STRING,
    source_region            STRING,
    source_region_code       STRING,
    source_city              STRING,
    source_asn               BIGINT,
    source_latitude          DOUBLE,
    source_longitude         DOUBLE,
    user_agent               STRING,
    ja3                      STRING,
    ja4                      STRING,
    target_type              STRING,
    target_id                STRING,
    target_name              STRING,
    target_email             STRING,
    principal_id             STRING,
    principal_type           STRING,
    role                     STRING,
    resource_id              STRING,
    resource_type            STRING,
    scopes                   ARRAY<STRING NOT NULL> NOT NULL,
    permissions              ARRAY<STRING NOT NULL> NOT NULL,
    permissions_added        ARRAY<STRING NOT NULL> NOT NULL,
    permissions_removed      ARRAY<STRING NOT NULL> NOT NULL,
    allowed_ips              ARRAY<STRING NOT NULL> NOT NULL,
    changed_fields           ARRAY<STRING NOT NULL> NOT NULL,
    details                  STRING,
    raw_event                STRING NOT NULL
) WITH (
    'connector' = 'kafka',
    'properties.bootstrap.servers' = 'BROKERS',
    'properties.group.id' = 'GROUP',
    'properties.isolation.level' = 'read_committed', -- the default reads aborted records
    'topic' = 'TOPIC',
    'scan.startup.mode' = 'earliest-offset',
    'value.format' = 'avro-confluent',
    'value.avro-confluent.url' = 'REGISTRY'
);

-- Its columns are those of events, and then the key. Its times are UTC, without a zone.
CREATE TABLE copy (
    `key` STRING NOT NULL
) WITH (
    'connector' = 'kafka',
    'properties.bootstrap.servers' = 'BROKERS',
    'properties.transaction.timeout.ms' = '900000',
    'topic' = 'TARGET',
    'key.format' = 'raw',
    'key.fields' = 'key',
    'value.format' = 'json',
    'value.fields-include' = 'EXCEPT_KEY',
    'value.json.timestamp-format.standard' = 'ISO-8601',
    'sink.delivery-guarantee' = 'exactly-once',
    'sink.transactional-id-prefix' = 'TARGET'
) LIKE events (EXCLUDING OPTIONS);

INSERT INTO copy SELECT *, id FROM events;
