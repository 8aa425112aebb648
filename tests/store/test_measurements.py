"""Measurements of a host are rows once, whatever is inserted again, and can be asked for by host and time."""

from collections.abc import Iterator

import pytest

from intact.model.facts import HostMetric
from intact.model.identity import text_id
from intact.query.measurements import Measured, measured, series
from intact.store.database import Database
from intact.store.measurements import insert_measurements
from intact.store.runs import DataDirectory

T0 = 1_900_000_000_000_000_000


def metric(host: str, name: str, value: float, at_ns: int, device: str = "") -> HostMetric:
    labels = {"host": host, **({"device": device} if device else {})}
    return HostMetric(
        id=text_id(host, name, device, at_ns), name=name, value=value, unit="%", at_ns=at_ns, labels=labels
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database(DataDirectory(tmp_path_factory.mktemp("data"))) as database:
        for second in range(10):
            at = T0 + second * 10**9
            insert_measurements(
                database, [metric("web-1", "cpu.busy", float(second), at), metric("web-1", "space", 5.0, at, "/")]
            )
            insert_measurements(database, [metric("web-2", "cpu.busy", 50.0, at)])
        yield database


def wanted(**more: object) -> Measured:
    return Measured(**{"tenant_id": 1, "hosts": ("web-1",), "from_ns": T0, "to_ns": T0 + 10**11, **more})  # type: ignore[arg-type]


def test_the_same_again_doubles_nothing(database: Database) -> None:
    before = database.rows("SELECT count() AS n FROM host_metric").to_pylist()
    insert_measurements(database, [metric("web-2", "cpu.busy", 50.0, T0)])
    assert database.rows("SELECT count() AS n FROM host_metric").to_pylist() == before == [{"n": 30}]


def test_sums_by_host_metric_and_device(database: Database) -> None:
    rows = measured(database, wanted())
    assert rows.names == ("at_ns", "host", "metric", "device", "unit", "mean", "least", "most", "last", "samples")
    assert rows.rows == (
        (T0, "web-1", "cpu.busy", "", "%", 4.5, 0, 9, 9, 10),
        (T0, "web-1", "space", "/", "%", 5, 5, 5, 5, 10),
    )


def test_by_steps_of_time(database: Database) -> None:
    rows = measured(database, wanted(names=("cpu.busy",), step_ns=5 * 10**9))
    assert [(row[0], row[5], row[9]) for row in rows.rows] == [(T0, 2.0, 5), (T0 + 5 * 10**9, 7.0, 5)]
    assert "web-1" in rows.sql
    assert "{" not in rows.sql


def test_single_measurements(database: Database) -> None:
    assert [row[3] for row in series(database, wanted(device="/")).rows] == [5] * 10
    assert series(database, wanted(hosts=("nowhere",))).rows == ()


def test_another_tenant_sees_none(database: Database) -> None:
    assert measured(database, wanted(tenant_id=2)).rows == ()


def test_names_are_values_and_never_text(database: Database) -> None:
    assert measured(database, wanted(hosts=("web-1') OR 1=1 --",))).rows == ()
