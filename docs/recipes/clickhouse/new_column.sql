-- A new version of the schema has a column more. The table of events.sql goes on without it, so there is no hurry. This adds it.
--
--     clickhouse-client --multiquery < new_column.sql
--
-- Replace NEW_COLUMN and its type, and BROKERS, TOPIC, GROUP and REGISTRY as in events.sql. With the same GROUP the events that were read
-- before have NULL there. With a new one all is read again, and the table keeps one row of each id.

DROP VIEW IF EXISTS events_reader;
DROP TABLE events_queue;
ALTER TABLE events ADD COLUMN `NEW_COLUMN` Nullable(String);

CREATE TABLE events_queue AS events
ENGINE = Kafka
SETTINGS
    kafka_broker_list = 'BROKERS',
    kafka_topic_list = 'TOPIC',
    kafka_group_name = 'GROUP',
    kafka_format = 'AvroConfluent',
    format_avro_schema_registry_url = 'REGISTRY',
    input_format_avro_allow_missing_fields = 1;

CREATE MATERIALIZED VIEW events_reader TO events AS SELECT * FROM events_queue;
