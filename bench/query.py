"""Governance questions over ten million rows in the embedded store, through every fence; run: python -m bench query [ROWS]."""

import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.outcome import Outcome
from intact.query.row_limits import Reader, Role
from intact.query.sql import OWNER, run_sql
from intact.store.database import Database
from intact.store.runs import DataDirectory
from intact.store.tables import BY_NAME

ROWS = 10_000_000
BLOCK = 1_000_000
DAYS = 7  # as long as the store keeps them by default
T0 = 1_760_000_000
AGENTS = 20
PROCESSES = 400
ROUNDS = 25
HOUR_MS, DAY_MS = 50, 300
TENANT = Reader(role=Role.ADMIN, tenant_id=1)


def block(number: int, blocks: int) -> pa.Table:
    """A part of a week: reads and writes of twenty agents' trees."""
    rows = BLOCK
    random = np.random.default_rng(number)
    span = DAYS * 86_400_000_000_000 // blocks
    at = T0 * 10**9 + number * span + np.sort(random.integers(0, span, rows))
    process = random.integers(0, PROCESSES, rows)
    names = pa.array([f"/srv/agent/work/module_{n % 83}/file_{n}.py" for n in range(20_000)])
    kinds = pa.DictionaryArray.from_arrays(
        pa.array(random.integers(0, 2, rows).astype(np.int32)), ["file_read", "file_write"]
    )
    path = pa.DictionaryArray.from_arrays(pa.array(random.zipf(1.3, rows).clip(0, 19_999).astype(np.int32)), names)
    one = pa.array(np.zeros(rows, np.int32))

    def same(text: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(one, pa.array([text])).cast(pa.string())

    return pa.table(
        {
            "run_id": same("sensor"),
            "id": pa.array(random.integers(1, 1 << 63, rows, dtype=np.uint64)),
            "kind": kinds.cast(pa.string()),
            "gprocess_id": pa.array((process + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)),
            "root_process_id": pa.array((process % AGENTS + 1).astype(np.uint64)),
            "root_pid": pa.array((process % AGENTS + 1).astype(np.uint32)),
            "process_kname": same("agent"),
            "at_ns": pa.array(at),
            "end_ns": pa.array(at + 5_000_000),
            "result": pa.array(np.zeros(rows, np.int32)),
            "bytes": pa.array(random.integers(1, 1 << 20, rows).astype(np.uint64)),
            "event_count": pa.array(random.integers(1, 50, rows).astype(np.uint32)),
            "full_path": path.cast(pa.string()),
            "fd_kind": pa.array(np.ones(rows, np.uint8)),
            "host": same("web-1"),
        }
    )


def questions() -> dict[str, tuple[str, int | None]]:
    """Name to SQL and bar in milliseconds."""
    hour = T0 + 3 * 86_400 + 10 * 3_600
    day = T0 + 4 * 86_400
    within_hour = f"root_process_id = 7 AND time >= toDateTime({hour}) AND time < toDateTime({hour + 3_600})"
    within_day = f"time >= toDateTime({day}) AND time < toDateTime({day + 86_400})"
    return {
        "hour_sums": (
            "SELECT event_type, Sum(log_count), Sum(event_count), Sum(bytes) FROM file_agg_event "
            f"WHERE {within_hour} GROUP BY event_type",
            HOUR_MS,
        ),
        "hour_rows": (
            "SELECT time, event_type, path, bytes, event_count FROM file_agg_event "
            f"WHERE {within_hour} ORDER BY time DESC LIMIT 100",
            HOUR_MS,
        ),
        "day_by_agent_and_hour": (
            "SELECT root_process_id, toStartOfHour(time) AS hour, event_type, Sum(log_count), Sum(bytes) "
            f"FROM file_agg_event WHERE {within_day} GROUP BY root_process_id, hour, event_type",
            DAY_MS,
        ),
        "day_by_directory": (
            f"SELECT file_dir, Sum(event_count) AS n FROM file_agg_event WHERE {within_day} GROUP BY file_dir "
            "ORDER BY n DESC LIMIT 20",
            DAY_MS,
        ),
        "week_by_agent": ("SELECT root_process_id, Sum(bytes) FROM file_agg_event GROUP BY root_process_id", None),
    }


def measure(argv: Sequence[str]) -> Outcome:
    """Fill a store of its own, ask each question `ROUNDS` times for two kinds of reader, and print the middle of the times."""
    rows = int(argv[0]) if argv else ROWS
    place = Path(tempfile.mkdtemp(prefix="intact-bench-"))
    report: dict[str, object] = {"rows": rows, "days": DAYS, "rounds": ROUNDS}
    reached = True
    try:
        with Database(DataDirectory(place)) as database:
            began = time.perf_counter()
            blocks = max(rows // BLOCK, 1)
            for number in range(blocks):
                database.insert(BY_NAME["file_agg_event"], block(number, blocks), f"b{number}")
            report["insert_rows_a_second"] = round(blocks * BLOCK / (time.perf_counter() - began))
            print(f"query: {blocks * BLOCK:,} rows inserted, {report['insert_rows_a_second']:,} a second")
            for who, reader in (("owner", OWNER), ("tenant", TENANT)):
                for name, (sql, bar) in questions().items():
                    times, answer = _times(database, sql, reader)
                    middle, slow = statistics.median(times), sorted(times)[int(len(times) * 0.95)]
                    is_reached = bar is None or middle <= bar
                    reached = reached and is_reached
                    report[f"{who}.{name}"] = {
                        "p50_ms": round(middle, 1),
                        "p95_ms": round(slow, 1),
                        "bar_ms": bar,
                        "rows": answer,
                    }
                    told = "" if bar is None else f", bar {bar} ms{'' if is_reached else ' MISSED'}"
                    print(f"query: {who:6} {name:22} p50 {middle:6.1f} ms, p95 {slow:6.1f} ms ({answer} rows{told})")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Outcome(reached=reached, report=report)


def _times(database: Database, sql: str, reader: Reader) -> tuple[list[float], int]:
    """Milliseconds of each round, the first two left out, and how many rows were answered."""
    times = []
    found = 0
    for _ in range(ROUNDS + 2):
        began = time.perf_counter()
        found = len(run_sql(database, sql, reader=reader).rows)
        times.append((time.perf_counter() - began) * 1e3)
    return times[2:], found
