"""Retention is applied, together where tables are linked, and all or nothing."""

from pathlib import Path

import pyarrow as pa
import pytest

from intact.model.errors import IntactError, UsageError
from intact.store.database import Database, StoreError
from intact.store.retention import Kept, retention, set_retention
from intact.store.runs import DataDirectory
from intact.store.sources import DEFAULT_SOURCES, EXCEPTION, LINKED, NORMAL, linked
from intact.store.tables import BY_NAME, TABLES


def hours_of(database: Database) -> dict[str, tuple[int, int, int]]:
    return {kept.source.table: (kept.hours, kept.effective_hours, kept.state) for kept in retention(database)}


def test_the_sources_of_agent_governance_are_registered() -> None:
    named = {source.id: (source.table, source.hours, source.interval_s) for source in DEFAULT_SOURCES}
    assert [named[number] for number in range(27, 32)] == [(table, 168, 0) for table in LINKED]
    assert len({source.table for source in DEFAULT_SOURCES}) == len(DEFAULT_SOURCES)
    timed = {table.name for table in TABLES if table.time}
    assert {source.table for source in DEFAULT_SOURCES} == timed


def test_all_five_are_linked_and_others_are_not() -> None:
    assert all(linked(table) == LINKED for table in LINKED)
    assert linked("file_event") == linked("llm_call") == ()


def test_defaults_are_in_effect_and_in_the_table_of_sources(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    with Database(data) as database:
        found = hours_of(database)
        assert found["file_agg_event"] == (168, 168, NORMAL)
        assert found["llm_call"] == (0, 0, NORMAL)
    with Database(data) as database:  # not registered twice
        rows = database.rows(
            "SELECT id, retention_hours, is_default, interval_s FROM data_source WHERE id = 27"
        ).to_pylist()
        assert rows == [{"id": 27, "retention_hours": 168, "is_default": True, "interval_s": 0}]


def test_linked_tables_change_together(tmp_path: Path) -> None:
    with Database(DataDirectory(tmp_path)) as database:
        changed = set_retention(database, "file_agg_event", 720)
        assert [kept.source.table for kept in changed] == list(LINKED)
        found = hours_of(database)
        assert all(found[table] == (720, 720, NORMAL) for table in LINKED)
        assert found["net_event"] == (168, 168, NORMAL)
        set_retention(database, "proc_perm_event", 2000, only=True)
        found = hours_of(database)
        assert found["proc_perm_event"][:2] == (2000, 2000)
        assert found["proc_ops_event"][:2] == (720, 720)
        set_retention(database, "net_event", 0)
        set_retention(database, "net_event", 0)
        set_retention(database, "llm_call", 24)
        assert hours_of(database)["net_event"][:2] == (0, 0)
        assert hours_of(database)["llm_call"][:2] == (24, 24)


@pytest.mark.parametrize(
    ("table", "hours"), [("run", 1), ("nothing; DROP TABLE run", 1), ("net_event", -1), ("net_event", 24_001)]
)
def test_wrong_values_change_nothing(tmp_path: Path, table: str, hours: int) -> None:
    with Database(DataDirectory(tmp_path)) as database:
        before = hours_of(database)
        with pytest.raises(UsageError):
            set_retention(database, table, hours)
        assert hours_of(database) == before


@pytest.mark.parametrize("fails_at", [1, 2, 4, 5, 6])
def test_a_failure_anywhere_leaves_all_as_it_was_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    with Database(DataDirectory(tmp_path)) as database:
        execute, calls = database.execute, 0

        def failing(sql: str) -> None:
            nonlocal calls
            calls += 1
            if calls == fails_at:
                raise StoreError("no room")
            execute(sql)

        monkeypatch.setattr(database, "execute", failing)
        with pytest.raises(IntactError, match="no room"):
            set_retention(database, "proc_ops_event", 720)
        monkeypatch.undo()
        found = hours_of(database)
        assert all(found[table] == (168, 168, EXCEPTION) for table in LINKED)
        assert found["net_event"] == (168, 168, NORMAL)
        set_retention(database, "proc_ops_event", 720)
        assert all(hours_of(database)[table] == (720, 720, NORMAL) for table in LINKED)


def test_old_rows_of_the_sensor_go_and_recordings_stay(tmp_path: Path) -> None:
    with Database(DataDirectory(tmp_path)) as database:
        [row] = database.rows("SELECT toUnixTimestamp64Nano(now64(9)) AS now").to_pylist()
        hour = 3_600_000_000_000
        ages = [1, 30, 200]
        for recording in (True, False):
            rows = pa.table(
                {
                    "run_id": [f"r{recording}"] * 3,
                    "id": pa.array([1, 2, 3], pa.uint64()),
                    "kind": ["connect"] * 3,
                    "at_ns": pa.array([row["now"] - age * hour for age in ages], pa.int64()),
                    "end_ns": pa.array([0] * 3, pa.int64()),
                    "is_recording": [recording] * 3,
                }
            )
            database.insert(BY_NAME["net_event"], rows, f"t{recording}")
        set_retention(database, "net_event", 24)
        database.execute("OPTIMIZE TABLE event.net_event FINAL")
        left = database.rows("SELECT run_id, count() AS n FROM net_event GROUP BY run_id ORDER BY run_id").to_pylist()
        assert left == [{"run_id": "rFalse", "n": 1}, {"run_id": "rTrue", "n": 3}]


def test_what_is_kept_is_told_whole(tmp_path: Path) -> None:
    with Database(DataDirectory(tmp_path)) as database:
        assert all(isinstance(kept, Kept) for kept in retention(database))
        assert len(retention(database)) == len(DEFAULT_SOURCES)
