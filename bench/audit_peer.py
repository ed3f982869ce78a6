"""Peer of the audit: DuckDB runs docs/audit.sql over an archive, on all cores.

Only the audit is measured. Prints one JSON object with CPU and wall seconds and the counts that
both sides compare.
"""

import json
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import audit


def main() -> None:
    wall, cpu = time.monotonic(), time.process_time()
    database = audit.audited(sys.argv[2])
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    names = ["pending", "verdicts", "differences"]
    summary = database.execute(f"SELECT {', '.join(names)} FROM summary").fetchone()
    counts = dict(zip(names, summary))
    # Those that are known as of W, as the ledger counts them.
    (counts["clicks"],) = database.execute("SELECT count(*) FROM counted").fetchone()
    by_class = database.execute("SELECT class, count(*) FROM verdicts GROUP BY class").fetchall()
    print(json.dumps({"cpu": cpu, "wall": wall, "found": counts | {"by_class": dict(by_class)}}))


main()
