"""Runs the detections over events, and prints what each finds as JSON lines: the queries in ClickHouse, the Sigma rules in
SQLite.

detections.py DETECTIONS RECIPE FOLDER EVENTS.jsonl...
"""

import glob
import json
import os
import re
import sqlite3
import sys

from chdb.session import Session
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.processing.pipeline import ProcessingPipeline

detections, recipe, folder, *files = sys.argv[1:]
columns = re.search(r"CREATE TABLE events_queue \((.*?)\n\) ENGINE", open(recipe).read(), re.S)[1]


def name(path):
    return os.path.splitext(os.path.basename(path))[0]


def report(form, rule, events, found):
    print(json.dumps({"form": form, "detection": rule, "events": name(events), "found": found}))


def clickhouse(session, events):
    session.query("CREATE OR REPLACE TABLE events (" + columns + ") ENGINE = ReplacingMergeTree(ingested_at) ORDER BY (organization, id)")
    structure = re.sub(r"\s+", " ", columns).strip()
    session.query("SET date_time_input_format = 'best_effort'")
    for _ in range(2):  # every row twice, as a pipe that delivers at least once would
        session.query(f"INSERT INTO events SELECT * FROM file('{events}', 'JSONEachRow', '{structure}')")
    for path in sorted(glob.glob(detections + "/sql/*.sql")):
        rows = str(session.query(open(path).read(), "JSONEachRow"))
        alerts = [json.loads(line) for line in rows.splitlines()]
        report("sql", name(path), events, sorted({event for alert in alerts for event in alert["ids"]}))
        for alert in alerts:
            assert alert["at"] and alert["who"] and alert["what"], alert


def sigma(events):
    rows = [json.loads(line) for line in open(events)]
    names = list(rows[0])
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE events (" + ", ".join(f"{column} TEXT" for column in names) + ")")
    for row in rows:
        values = [json.dumps(row[column]) if isinstance(row[column], list) else row[column] for column in names]
        db.execute("INSERT INTO events VALUES (" + ", ".join("?" for _ in names) + ")", values)
    ids = dict(db.execute("SELECT rowid, id FROM events"))
    pipeline = ProcessingPipeline.from_yaml(open(detections + "/sigma/pipelines/columns.yml").read())
    for path in sorted(glob.glob(detections + "/sigma/*.yml")):
        found = set()
        for query in sqliteBackend(pipeline, timestamp_field="effective_at").convert(SigmaCollection.from_yaml(open(path).read())):
            cursor = db.execute(query)
            head = [column[0] for column in cursor.description]
            for row in cursor:
                row = dict(zip(head, row))
                if "event_ids" in row:
                    found.update(ids[int(event.split(":")[-1])] for event in json.loads(row["event_ids"]))
                else:
                    found.add(row["id"])
        report("sigma", name(path), events, sorted(found))


session = Session(folder)
session.query("CREATE DATABASE detections")
session.query("USE detections")
for file in files:
    clickhouse(session, file)
    sigma(file)
