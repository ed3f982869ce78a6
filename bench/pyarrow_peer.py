"""Peer of the archive's writer: pyarrow, one thread, writes the same columns into memory.

As the archive: zstd level 1, row groups of 65,536 rows with statistics, dictionaries where they pay
except for the column that is looked up, which has a bloom filter of the same size. Only the writing
is measured. What was written is read back and has to be equal, with the types and the order. Prints
one JSON object.
"""

import json
import pathlib
import sys
import time

import pyarrow
import pyarrow.parquet as parquet

GROUP_ROWS = 65_536
LOOKED_UP = {"clicks": ["click_id"], "verdicts": []}


def main(archive: str, dataset: str) -> None:
    pyarrow.set_cpu_count(1)
    looked_up = LOOKED_UP[dataset]
    wall = cpu = 0.0
    rows = size = 0
    for path in sorted(pathlib.Path(archive, dataset).glob("*/*/*.parquet")):
        table = parquet.read_table(path, partitioning=None).combine_chunks()
        begun = time.monotonic(), time.process_time()
        sink = pyarrow.BufferOutputStream()
        parquet.write_table(
            table,
            sink,
            row_group_size=GROUP_ROWS,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in table.column_names if name not in looked_up],
            write_statistics=True,
            bloom_filter_options={
                name: {"ndv": min(GROUP_ROWS, table.num_rows), "fpp": 0.05} for name in looked_up
            },
        )
        written = sink.getvalue()
        wall, cpu = wall + time.monotonic() - begun[0], cpu + time.process_time() - begun[1]
        if not parquet.read_table(pyarrow.BufferReader(written)).equals(table):
            sys.exit(f"{path}: what was written is not what was to be written")
        rows, size = rows + table.num_rows, size + written.size
    print(json.dumps({"cpu": cpu, "wall": wall, "rows": rows, "bytes": size}))


main(*sys.argv[1:])
