"""Writes every row of archives as one reader sees it: JSON lines, the columns' names first.

Usage: print_rows.py docs/formats/archive.md READER; on each line of stdin an archive, a dataset and
where to write, divided by tabs. The reader's lines are those of the document, as they stand there.
"""

import json
import os
import pathlib
import re
import sys

# For Spark: nothing of it leaves this machine, and no page is served.
os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
os.environ["PYSPARK_SUBMIT_ARGS"] = "--conf spark.ui.enabled=false pyspark-shell"

ROWS = {
    "duckdb": lambda table: (table.columns, table.fetchall()),
    "pyarrow": lambda table: (table.column_names, zip(*(c.to_pylist() for c in table.columns))),
    "pyspark": lambda table: (table.columns, map(tuple, table.toLocalIterator())),
}


def snippet(document, word):
    section = document.split("\n## Reading it\n")[1].split("\n## ")[0]
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", section, re.S) if word in code]
    return found


def cell(value):
    return bytes(value).hex() if isinstance(value, (bytes, bytearray)) else value


def line(cells):
    return json.dumps(cells, ensure_ascii=False, separators=(",", ":")) + "\n"


def main(document, reader):
    document = pathlib.Path(document).read_text(encoding="utf-8")
    for asked in sys.stdin:
        archive, dataset, out = asked.rstrip("\n").split("\t")
        names = {"archive": archive, "dataset": dataset}
        exec(snippet(document, "def files"), names)
        exec(snippet(document, reader), names)
        columns, rows = ROWS[reader](names["table"])
        place = (columns.index("partition"), columns.index("offset"))
        rows = sorted(rows, key=lambda row: [row[index] for index in place])
        with open(out, "w", encoding="utf-8", newline="") as file:
            file.write(line(list(columns)))
            file.writelines(line([cell(value) for value in row]) for row in rows)


main(*sys.argv[1:])
