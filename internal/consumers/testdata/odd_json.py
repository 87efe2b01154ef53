"""Reads texts, a JSON list of them on stdin, with the recipe and with ClickHouse's JSONEachRow, and prints for each a
list: the line that the recipe prints for it, and the error of ClickHouse or null.

odd_json.py RECIPE
"""

import importlib.util
import json
import sys

from chdb.session import Session

spec = importlib.util.spec_from_file_location("recipe", sys.argv[1])
recipe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(recipe)
session = Session()


def refused(text):
    literal = text.replace("\\", "\\\\").replace("'", "\\'")
    try:
        session.query(f"SELECT * FROM format(JSONEachRow, 'x JSON', '{literal}')")
    except Exception as error:
        return str(error)
    return None


print(json.dumps([[json.dumps(recipe.parse(text)), refused(text)] for text in json.load(sys.stdin)]))
