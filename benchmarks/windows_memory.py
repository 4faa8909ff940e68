"""Measures memory and time of reading a long split through `models.windows`.

python -m benchmarks.windows_memory [--gigabytes 1] [--output FILE]
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row, publish
from components.quiet_import import import_quietly

RECORD, RECORDS = 40_000, 50  # tokens of a record, records of a shard: 8 MB
BATCH_SIZE, SEQUENCE_LENGTH = 20, 350
WARM_UP = 100  # windows that are read before memory is first measured


def rows(gigabytes: float) -> Iterator[Row]:
    """Reads a split once, in the lanes of training, and yields the rows.

    Args:
        gigabytes: Size of the split.
    """
    import numpy as np

    from models import TokenStream, windows
    from models.text.token_stream import TokenWriter, write_index

    ids = np.random.default_rng(1).integers(0, 10_000, RECORD)
    with tempfile.TemporaryDirectory() as folder:
        count, shards = max(1, round(gigabytes * 1e9 / (4 * RECORD * RECORDS))), []
        for shard in range(count):
            name = f"tokens-{shard:05}-of-{count:05}"
            with TokenWriter(Path(folder, name)) as writer:
                for _ in range(RECORDS):
                    writer.write(ids)
            shards.append((name, writer.counts))
        tokens = write_index(folder, shards)
        data, before = windows(TokenStream(folder), BATCH_SIZE, SEQUENCE_LENGTH), 0
        started = time.process_time()
        for number, _ in enumerate(data):
            before = resident() if number == WARM_UP else before
        seconds = time.process_time() - started
        yield Row("growth of memory over the split", (resident() - before) / 1e6, "MB", note=f"{tokens:,} tokens")
        yield Row("reading", seconds * 1e6 / tokens, "processor seconds a million tokens")


def resident() -> int:
    """Reads the resident memory of this process, in bytes."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmRSS"))
    return 1024 * int(line.split()[1])


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    options = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import_quietly("tensorflow")
    publish(rows(options.gigabytes), options.output)


if __name__ == "__main__":
    main()
