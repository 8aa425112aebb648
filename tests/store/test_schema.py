"""A store of any earlier version becomes exactly what a new one is, wherever the upgrade was killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from intact.store import schema
from intact.store.database import Database, StoreError
from intact.store.runs import DataDirectory
from intact.store.schema import migrations, statements_of, version

FIRST = Path(__file__).parent / "fixtures" / "schema_1.sql"
INSERT = (
    "INSERT INTO event.file_agg_event (run_id, id, kind, gprocess_id, root_pid, at_ns, end_ns, bytes, event_count, full_path, "
    "fd, process_kname) VALUES ('r', 7, 'file_write', 9, 100, 5000000, 6000000, 10, 2, '/srv/a', 3, 'agent')"
)
# one path per process: the old store is made by another
MAKE = """
import sys
import chdb
connection = chdb.connect(sys.argv[1])
for statement in sys.stdin.read().split(chr(0)):
    connection.query(statement)
connection.close()
"""


def make_first(data: DataDirectory, *more: str) -> None:
    path = data.make("store")
    statements = "\0".join((*statements_of(FIRST.read_text()), *more))
    subprocess.run([sys.executable, "-c", MAKE, path], input=statements, text=True, check=True)


def tables_of(database: Database) -> dict[str, str]:
    rows = database.rows(
        "SELECT name, create_table_query AS sql FROM system.tables WHERE database = 'event'"
    ).to_pylist()
    return {row["name"]: row["sql"].replace("\n", " ") for row in rows}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    with Database(DataDirectory(tmp_path_factory.mktemp("fresh"))) as database:
        return tables_of(database)


def test_a_store_of_the_first_version_becomes_a_new_one_and_keeps_its_rows(
    tmp_path: Path, fresh: dict[str, str]
) -> None:
    data = DataDirectory(tmp_path)
    unfinished = INSERT.replace("'r', 7", "'u', 8")
    whole = "INSERT INTO event.manifest (run_id, first, last, final) VALUES ('r', 1, 2, true), ('u', 1, 2, false)"
    make_first(data, INSERT, unfinished, whole)
    with Database(data) as database:
        assert tables_of(database) == fresh
        [row] = database.rows(
            "SELECT id, effect_ids, effect_bytes, effect_counts, effect_fds, duration, tenant_id, is_recording "
            "FROM file_agg_event"
        ).to_pylist()
        assert row == {
            "id": 7, "effect_ids": [7], "effect_bytes": [10], "effect_counts": [2], "effect_fds": [3], "duration": 1000,
            "tenant_id": 1, "is_recording": True,
        }  # fmt: skip
        # counted otherwise then: brought in anew
        assert database.rows("SELECT run_id FROM manifest").to_pylist() == [{"run_id": "r"}]
        ledger = database.rows("SELECT version, name FROM schema_version ORDER BY version").to_pylist()
        assert [row["version"] for row in ledger] == list(range(1, version() + 1))
        assert ledger[-1]["name"] == migrations()[-1].name
    with Database(data) as database:
        assert database.rows("SELECT count() AS n FROM schema_version").to_pylist() == [{"n": version()}]


@pytest.mark.parametrize("killed_after", [0, 3, 17, 40])
def test_an_upgrade_that_was_killed_is_done_again(tmp_path: Path, fresh: dict[str, str], killed_after: int) -> None:
    data = DataDirectory(tmp_path)
    done = [statement for step in migrations() for statement in step.statements][:killed_after]
    make_first(data, *done)
    with Database(data) as database:
        assert tables_of(database) == fresh


def test_numbers_grow_by_one_and_every_statement_can_be_run_again() -> None:
    assert [step.number for step in migrations()] == list(range(2, version() + 1))
    for step in migrations():
        for statement in step.statements:
            words = statement.upper()
            again = ("IF NOT EXISTS", "IF EXISTS", "MODIFY", "DELETE WHERE")
            assert any(phrase in words for phrase in again), statement
            assert "ADD COLUMN `" not in words


def test_a_step_that_fails_is_not_in_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database(DataDirectory(tmp_path)):
        pass
    number = version() + 1
    steps = [*migrations(), schema.Migration(number, "broken", ("ALTER TABLE event.no_such MODIFY COLUMN a UInt8",))]
    monkeypatch.setattr(schema, "migrations", lambda: steps)
    for _ in range(2):
        with pytest.raises(StoreError):
            Database(DataDirectory(tmp_path))
    monkeypatch.undo()
    with Database(DataDirectory(tmp_path)) as database:
        assert database.rows("SELECT max(version) AS v FROM schema_version").to_pylist() == [{"v": version()}]
