"""What the correlation costs: microseconds an effect, for effects of a command's processes and of the agent's own.

python bench/correlate.py [--rows 1000000] [--slice 4000]
"""

import argparse
import json
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from tests.correlate.forms import begin
from tests.correlate.world import CWD, HOST, Proc

from intact.correlate.stage import correlate
from intact.model.effects import FAMILIES, Kind
from intact.model.slice import Slice

RATE = 200_000  # effects a second of data time


def columns(
    count: int, *, at: np.ndarray, first_id: int, owners: list[Proc], paths: list[str], rng: np.random.Generator
) -> pa.RecordBatch:
    """File rows of those processes."""
    pick = rng.integers(0, len(owners), count)
    ids = np.array([p.id for p in owners], np.uint64)[pick]
    pids = np.array([p.pid for p in owners], np.uint32)[pick]
    path = pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, len(paths), count)), pa.array(paths)).cast(
        pa.string()
    )
    values = {
        "id": np.arange(first_id, first_id + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15),
        "kind": np.full(count, int(Kind.FILE_OPEN), np.uint8),
        "process_id": ids, "pid": pids, "tid": pids, "at_ns": at, "end_ns": at, "path": path,
        "old_path": pa.array([""]).take(pa.array(np.zeros(count, np.int64))),
    }  # fmt: skip
    arrays = []
    for field in FAMILIES["file"]:
        value = values.get(field.name)
        value = np.zeros(count, field.type.to_pandas_dtype()) if value is None else value
        arrays.append(value if isinstance(value, pa.Array) else pa.array(value, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=FAMILIES["file"])


def storm(rows: int, per_slice: int, *, in_agent: bool, paths: int, processes: int) -> tuple[list[Slice], int]:
    """A session in which one command opens many files; the slices of its storm and where they begin."""
    play = begin(1)
    (tool,) = play.ask(("Bash", {"command": "make -j8 everything"}))
    world, at = play.world, play.now
    shell = world.fork(play.agent, at, tool)
    world.exec(shell, at + 1000, ["bash", "-c", "make -j8 everything"], tool)
    owners = [play.agent]
    if not in_agent:
        owners = [world.fork(shell, at + 2000 + number, tool) for number in range(processes)]
    start = at + 10_000_000
    slices = world.slices([start])[:1]
    rng, before = np.random.default_rng(1), len(slices)
    names = [f"{CWD}/src/dir{number % 40}/unit{number}.c" for number in range(paths)]
    step = 1_000_000_000 // RATE
    for first in range(0, rows, per_slice):
        count = min(per_slice, rows - first)
        stamps = start + (first + np.arange(count, dtype=np.int64)) * step
        batch = columns(count, at=stamps, first_id=first + 1, owners=owners, paths=names, rng=rng)
        slices.append(Slice(until_ns=int(stamps[-1]) + 1, effects={"file": batch}))
    return slices, before


def measure(slices: list[Slice], before: int) -> dict[str, float]:
    """CPU microseconds an effect, and how many were linked."""
    clock = {"spent": 0.0}

    def feed() -> Iterator[Slice]:
        yield from slices[:before]
        clock["start"] = time.process_time()
        yield from slices[before:]

    links = sum(piece.links.num_rows for piece in correlate(feed(), HOST) if piece.links is not None)
    spent = time.process_time() - clock["start"]
    rows = sum(batch.num_rows for piece in slices[before:] for batch in piece.effects.values())
    return {"us_an_effect": round(spent / rows * 1e6, 3), "effects": rows, "links": links}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--slice", type=int, default=4_000, dest="per_slice")
    options = parser.parse_args()
    cases = {
        "one_process_of_a_command": {"in_agent": False, "paths": 2_000, "processes": 1},
        "many_processes_of_a_command": {"in_agent": False, "paths": 2_000, "processes": 500},
        "agent_itself_few_paths": {"in_agent": True, "paths": 50, "processes": 0},
    }
    found = {
        name: measure(*storm(options.rows, options.per_slice, **case))  # type: ignore[arg-type]
        for name, case in cases.items()
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
