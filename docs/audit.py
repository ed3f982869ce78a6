#!/usr/bin/env python3
"""The ledger computed again from its archive by docs/audit.sql, and compared. Needs `duckdb`.

Prints what was counted and every difference; exits with 1 if there is any, 2 if it cannot be run.
"""

import argparse
import csv
import pathlib
import sys

import duckdb

SQL = pathlib.Path(__file__).with_name("audit.sql")
# Option, view, and whose output it is equal to.
OUTPUTS = [
    ("rows", "show_by_ad", "show --format csv"),
    ("rows_by_publisher", "show_by_publisher", "show --format csv --by publisher"),
    ("verdicts", "show_verdicts", "show --verdicts"),
]
SHOWN = 100


def audited(archive, as_of=None):
    """A database with the tables that audit.sql leaves behind."""
    database = duckdb.connect()
    database.execute("SET VARIABLE archive = $1", [str(archive)])
    database.execute("SET VARIABLE as_of = $1::BIGINT", [as_of])
    database.execute(SQL.read_text())
    return database


def write_csv(database, view, path):
    found = database.execute(f"FROM {view}")
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column[0] for column in found.description])
        while rows := found.fetchmany(10_000):
            writer.writerows(rows)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", metavar="ARCHIVE", help="its directory")
    parser.add_argument("--as-of", type=int, metavar="W", help="ms since 1970, else as of its end")
    for name, _, like in OUTPUTS:
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, metavar="OUT.csv", help=f"write what `{like}` prints")
    options = parser.parse_args(arguments)
    try:
        database = audited(options.archive, options.as_of)
    except duckdb.Error as error:
        print(f"{options.archive}: {error}", file=sys.stderr)
        return 2
    for name, view, _ in OUTPUTS:
        if path := getattr(options, name):
            write_csv(database, view, path)
    summary = database.execute("FROM summary")
    names = [column[0] for column in summary.description]
    values = summary.fetchone()
    for name, value in zip(names, values):
        print(f"{name:18} {value}")
    for row in database.execute(f"FROM differences ORDER BY ALL LIMIT {SHOWN}").fetchall():
        print("differs: {}, {}: archived {}, computed {}".format(*row))
    return 1 if values[names.index("differences")] else 0


if __name__ == "__main__":
    sys.exit(main())
