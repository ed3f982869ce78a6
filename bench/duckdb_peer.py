"""Peer of the fold: DuckDB, one thread, over clicks in Parquet.

Dedup by (click_id, user_id), the first one counts; then counts per ad and minute. Only the query is
measured, twice in this process: the second time the memory that it needs is there already. Prints
one JSON object with CPU and wall seconds, those of the first time, and the sums that both sides
compare.
"""

import json
import sys
import time

import duckdb

QUERY = """
CREATE TEMP TABLE counts AS
SELECT ad_id, minute, count(*) AS clicks
FROM (
    SELECT min(ad_id) AS ad_id, min(received_at) // 60000 AS minute
    FROM read_parquet($1)
    GROUP BY click_id, user_id
)
GROUP BY ad_id, minute
"""

SUMS = """
SELECT count(*), sum(clicks)::HUGEINT,
       sum(clicks::HUGEINT * (n + 1) * (minute % 1000003)),
       sum(clicks::HUGEINT * clicks * (n + 1))
FROM (SELECT *, substr(ad_id, 4)::HUGEINT AS n FROM counts)
"""


def query(database: duckdb.DuckDBPyConnection) -> tuple[float, float]:
    """Runs the query; returns what it took, CPU and wall seconds."""
    wall, cpu = time.monotonic(), time.process_time()
    database.execute(QUERY, [sys.argv[1]])
    return time.process_time() - cpu, time.monotonic() - wall


def main() -> None:
    database = duckdb.connect()
    database.execute("SET threads = 1")
    first_cpu, _ = query(database)
    database.execute("DROP TABLE counts")
    cpu, wall = query(database)
    rows, clicks, linear, square = database.execute(SUMS).fetchone()
    tally = {
        "rows": int(rows),
        "clicks": int(clicks),
        "linear": str(linear),
        "square": str(square),
    }
    version = duckdb.__version__
    times = {"cpu": cpu, "wall": wall, "first_cpu": first_cpu}
    print(json.dumps({**times, "version": version, "tally": tally}))


main()
