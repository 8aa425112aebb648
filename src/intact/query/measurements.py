"""Measurements of hosts over time, from the table `host_metric`."""

from collections.abc import Sequence
from dataclasses import dataclass

from intact.query.parameters import Parameter
from intact.query.row_limits import Reader, Role
from intact.query.scope import Rows
from intact.query.sql import run_sql
from intact.store.database import Database

MAX_NAMES = 40
MAX_HOSTS = 50
_LABELS = "JSONExtractString(labels, 'host') AS host, JSONExtractString(labels, 'device') AS device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Which measurements: from `from_ns` to before `to_ns`.

    Args:
        hosts: those that may be and are to be seen; at least one.
        names: of metrics; none: all.
        step_ns: one row for so much time; 0: one row for all of it.
    """

    tenant_id: int
    hosts: tuple[str, ...]
    names: tuple[str, ...] = ()
    device: str = ""
    from_ns: int
    to_ns: int
    step_ns: int = 0
    limit: int = 500


def measured(database: Database, wanted: Measured) -> Rows:
    """Mean, least and most of each metric by host, device and step of time, oldest first."""
    slot = "{from:Int64} + intDiv(when_ns - {from:Int64}, {step:Int64}) * {step:Int64}"
    return _rows(
        database,
        "SELECT at_ns, host, metric, device, unit, round(mean, 4) AS mean, least, most, last, samples FROM ("
        f"SELECT {slot} AS at_ns, host, metric, device, any(unit) AS unit, avg(value) AS mean, min(value) AS least, "
        "max(value) AS most, argMax(value, when_ns) AS last, count() AS samples FROM ("
        f"SELECT at_ns AS when_ns, name AS metric, value, unit, {_LABELS} FROM host_metric WHERE {_where(wanted)}) AS m "
        f"WHERE {_in('host', 'host', wanted.hosts)} GROUP BY at_ns, host, metric, device) AS s "
        "ORDER BY host, metric, device, at_ns",
        wanted,
        {"step": wanted.step_ns or max(wanted.to_ns - wanted.from_ns, 1)},
    )


def series(database: Database, wanted: Measured) -> Rows:
    """Every single measurement, oldest first: time, metric, device, value."""
    return _rows(
        database,
        f"SELECT when_ns, metric, device, value FROM (SELECT at_ns AS when_ns, name AS metric, value, {_LABELS} "
        f"FROM host_metric WHERE {_where(wanted)}) AS m WHERE {_in('host', 'host', wanted.hosts)} "
        "ORDER BY when_ns, metric, device",
        wanted,
        {},
    )


def _where(wanted: Measured) -> str:
    found = "at_ns >= {from:Int64} AND at_ns < {to:Int64}"
    if wanted.names:
        found += f" AND {_in('name', 'name', wanted.names)}"
    if wanted.device:
        found += " AND JSONExtractString(labels, 'device') = {device:String}"
    return found


def _in(column: str, prefix: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(f'{{{prefix}{place}:String}}' for place in range(len(values)))})"


def _rows(database: Database, sql: str, wanted: Measured, more: dict[str, Parameter]) -> Rows:
    values: dict[str, Parameter] = {"from": wanted.from_ns, "to": wanted.to_ns, **more}
    values |= {f"host{place}": host for place, host in enumerate(wanted.hosts[:MAX_HOSTS])}
    values |= {f"name{place}": name for place, name in enumerate(wanted.names[:MAX_NAMES])}
    if wanted.device:
        values["device"] = wanted.device
    values = {name: value for name, value in values.items() if f"{{{name}:" in sql}
    # Which hosts may be seen was decided before; measurements belong to no run, so that a limit by runs hides all of them.
    reader = Reader(role=Role.ADMIN, tenant_id=wanted.tenant_id)
    answer = run_sql(database, sql, limit=wanted.limit, reader=reader, parameters=values)
    shown = sql
    for name, value in values.items():
        kind = "Int64" if isinstance(value, int) else "String"
        text = (
            str(value) if isinstance(value, int) else "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
        )
        shown = shown.replace(f"{{{name}:{kind}}}", text)
    rows = tuple(tuple(row) for row in answer.rows)
    return Rows(sql=shown, names=answer.names, rows=rows, truncated=answer.truncated)
