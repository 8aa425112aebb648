"""The host is measured while serve runs: rows are there, a restart doubles nothing, and a sensor is left to it."""

import fcntl
import time
from pathlib import Path
from typing import Any

import pytest

from intact.cli import measuring as module
from intact.cli.measuring import is_sensing, measuring
from intact.cli.sensor import Sensor
from intact.model.config import Config
from intact.model.errors import IntactError
from intact.model.facts import HostMetric
from intact.model.slice import Slice
from intact.store.database import Database
from intact.store.runs import DataDirectory

COUNTS = "SELECT count() AS rows, uniqExact(id) AS ids, uniqExact(at_ns) AS times FROM host_metric"


def counts(database: Database) -> dict[str, Any]:
    row: dict[str, Any] = database.rows(COUNTS).to_pylist()[0]
    return row


def until_measured(database: Database, times: int) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = counts(database)
        if found["times"] >= times:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not measured {times} times")


def test_a_restart_doubles_nothing(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    with Database(data) as database, measuring(database, "web-1", 0.05):
        first = until_measured(database, 2)
    with Database(data) as database:
        kept = counts(database)
        assert kept["rows"] >= first["rows"]
        with measuring(database, "web-1", 0.05):
            until_measured(database, kept["times"] + 2)
        again = counts(database)
        assert again["rows"] == again["ids"] > kept["rows"]
        names = database.rows("SELECT DISTINCT JSONExtractString(labels, 'host') AS host FROM host_metric").to_pylist()
        assert names == [{"host": "web-1"}]


def test_never_where_it_is_not_wanted(tmp_path: Path) -> None:
    with Database(DataDirectory(tmp_path)) as database, measuring(database, "web-1", 0.0):
        time.sleep(0.1)
        assert counts(database)["rows"] == 0


def test_a_sensor_of_the_same_directory_measures_alone(tmp_path: Path) -> None:
    assert not is_sensing(tmp_path)
    with (tmp_path / "sensor.lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_sensing(tmp_path)
        with Database(DataDirectory(tmp_path)) as database, measuring(database, "web-1", 0.02):
            time.sleep(0.3)
            assert counts(database)["rows"] == 0
    assert not is_sensing(tmp_path)


def test_a_store_that_refuses_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise IntactError("the disk is full")

    monkeypatch.setattr(module, "insert_measurements", refuse)
    with Database(DataDirectory(tmp_path)) as database, measuring(database, "web-1", 0.02):
        time.sleep(0.3)
    assert [record.getMessage() for record in caplog.records] == ["this host cannot be measured: the disk is full"]


def test_the_sensor_measures_now_and_then(tmp_path: Path) -> None:
    sensor = Sensor(None, Config(), DataDirectory(tmp_path))
    first = sensor._with_measurements(Slice(until_ns=5), "web-1")
    second = sensor._with_measurements(Slice(until_ns=6), "web-1")
    assert len(first.facts) > 20
    assert all(isinstance(fact, HostMetric) and fact.at_ns == 5 for fact in first.facts)
    assert second.facts == ()
