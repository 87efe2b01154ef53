-- The events as a ClickHouse table, with the schemas from a schema registry.
--
--     clickhouse-client --multiquery < events.sql
--
-- Replace BROKERS, TOPIC, GROUP and REGISTRY (http://registry:8080/apis/ccompat/v7 for Apicurio). ClickHouse reads
-- committed records by default, and writes what it has read at least once: the table keeps one row of each id.

-- What the table is filled from. effective_at must be DateTime64(3): as DateTime, ClickHouse reads a wrong time without
-- an error. The last setting lets a column be added here that older values do not have.
CREATE TABLE events_queue (
    id                       String,
    type                     String,
    event_scope              String,
    effective_at             DateTime64(3),
    ingested_at              DateTime64(3),
    organization             String,
    project_id               Nullable(String),
    project_name             Nullable(String),
    outcome                  String,
    error_code               Nullable(String),
    error_message            Nullable(String),
    actor_type               Nullable(String),
    actor_id                 Nullable(String),
    actor_email              Nullable(String),
    actor_user_id            Nullable(String),
    actor_service_account_id Nullable(String),
    actor_api_key_id         Nullable(String),
    actor_api_key_type       Nullable(String),
    source_ip                Nullable(String),
    source_country           Nullable(String),
    source_region            Nullable(String),
    source_region_code       Nullable(String),
    source_city              Nullable(String),
    source_asn               Nullable(Int64),
    source_latitude          Nullable(Float64),
    source_longitude         Nullable(Float64),
    user_agent               Nullable(String),
    ja3                      Nullable(String),
    ja4                      Nullable(String),
    target_type              Nullable(String),
    target_id                Nullable(String),
    target_name              Nullable(String),
    target_email             Nullable(String),
    principal_id             Nullable(String),
    principal_type           Nullable(String),
    role                     Nullable(String),
    resource_id              Nullable(String),
    resource_type            Nullable(String),
    scopes                   Array(String),
    permissions              Array(String),
    permissions_added        Array(String),
    permissions_removed      Array(String),
    allowed_ips              Array(String),
    changed_fields           Array(String),
    details                  Nullable(String),
    raw_event                String
) ENGINE = Kafka
SETTINGS
    kafka_broker_list = 'BROKERS',
    kafka_topic_list = 'TOPIC',
    kafka_group_name = 'GROUP',
    kafka_format = 'AvroConfluent',
    format_avro_schema_registry_url = 'REGISTRY',
    input_format_avro_allow_missing_fields = 1;

-- Read it with FINAL: SELECT ... FROM events FINAL.
CREATE TABLE events AS events_queue
ENGINE = ReplacingMergeTree(ingested_at)
PARTITION BY toYYYYMM(effective_at)
ORDER BY (organization, id);

CREATE MATERIALIZED VIEW events_reader TO events AS SELECT * FROM events_queue;
