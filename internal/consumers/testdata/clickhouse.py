"""Runs the recipe of ClickHouse in process, and prints the rows as JSON lines.

clickhouse.py FILE FOLDER BROKERS TOPIC GROUP REGISTRY LAST
"""

import re
import sys

from chdb.session import Session

file, folder, brokers, topic, group, registry, last = sys.argv[1:]
text = re.sub("--.*", "", open(file).read())
for name, value in {"BROKERS": brokers, "TOPIC": topic, "GROUP": group, "REGISTRY": registry}.items():
    text = text.replace(f"'{name}'", f"'{value}'")
session = Session(folder)
session.query("CREATE DATABASE recipe")
session.query("USE recipe")
session.query("SET stream_like_engine_allow_direct_select = 1")
for statement in filter(None, map(str.strip, text.split(";"))):
    view = re.match(r"CREATE MATERIALIZED VIEW \w+ TO (\w+) AS (.*)", statement, re.S)
    if not view:
        try:
            session.query(statement)
        except RuntimeError as error:
            # In process nothing reads in the background, which is all that fails: the table is there.
            if "Shutdown was called" not in str(error):
                raise
        continue
    # So what the view would do is done here, once a block.
    while str(session.query(f"SELECT count() FROM {view[1]} WHERE id = '{last}'")).strip() == "0":
        session.query(f"INSERT INTO {view[1]} {view[2]}")
session.query("SET output_format_json_quote_64bit_integers = 0")
columns = "* REPLACE (toUnixTimestamp64Milli(effective_at) AS effective_at, toUnixTimestamp64Milli(ingested_at) AS ingested_at)"
# The last event at last: it is the sign that there is no more.
print(session.query(f"SELECT {columns} FROM events ORDER BY id = '{last}', id", "JSONEachRow"), end="")
