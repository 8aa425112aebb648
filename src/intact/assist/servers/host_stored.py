"""The tools of the host over what was measured before, of this host and of others."""

import time
from typing import Any

from pydantic import Field

from intact.assist.answers import MAX_ROWS, Cell, ToolAnswer
from intact.assist.asking import Asker
from intact.assist.diagnosis.baseline import baseline, change_point
from intact.assist.diagnosis.thresholds import at
from intact.assist.servers.host_live import NOT_THERE, Host, Hosted, hosts_of, reader_of
from intact.assist.tool import Arguments, Parts, Time, ToolRefused
from intact.model.errors import IntactError
from intact.query.measurements import Measured, measured, series
from intact.query.scope import Rows

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
LAST_NS = 600_000_000_000  # an older measurement tells nothing of now
_POINTS = 60
_LEAST_STEP_NS = 10_000_000_000
_SERIES_ROWS = 10_000


class Ranged(Arguments):
    """Which hosts, which metrics, which time."""

    hosts: list[Host] = Field([], max_length=50, description="Names of hosts; none: this one.")
    metrics: list[Host] = Field([], max_length=40, description="Names such as cpu.busy or memory.used_percent.")
    device: str = Field("", max_length=300, description="Only of this device or mount; empty: of all.")
    from_ns: Time | None = Field(None, description="From this time on (epoch ns); default: an hour before its end.")
    to_ns: Time | None = Field(None, description="To before this time (epoch ns); default: now.")
    at_ns: Time | None = Field(None, description="Now (epoch ns); default: now.")


class History(Ranged):
    step_s: int = Field(0, ge=0, le=31_536_000, description="One row for so many seconds; 0: about 60 rows a metric.")
    is_total: bool = Field(False, description="One row a metric for the whole time.")


class Usual(Ranged):
    pass


def history(parts: Parts, asker: Asker, given: History) -> ToolAnswer:
    """Mean, least and most by step."""
    resolved = _resolved(parts, asker, given, HOUR_NS)
    span = resolved["to_ns"] - resolved["from_ns"]
    step = given.step_s * 1_000_000_000 or max(_round(span // _POINTS), _LEAST_STEP_NS)
    if given.is_total:
        step = max(span, 1)
    resolved["step_s"] = max(step // 1_000_000_000, 1)
    rows = _ask(parts, measured, _wanted(asker, resolved, step_ns=0 if given.is_total else step, limit=MAX_ROWS))
    return _answer(rows, resolved)


def last_measured(
    parts: Parts, asker: Asker, given: Hosted, *, hosts: tuple[str, ...], metrics: tuple[str, ...]
) -> ToolAnswer:
    """The last of each metric of hosts that may be seen, of the last minutes.

    Raises:
        ToolRefused: there is none.
    """
    at_ns = time.time_ns() if given.at_ns is None else given.at_ns
    wanted = Measured(
        tenant_id=asker.tenant_id, hosts=hosts, from_ns=max(at_ns - LAST_NS, 0), to_ns=at_ns, limit=MAX_ROWS
    )
    found = _ask(parts, measured, wanted)
    place = {name: index for index, name in enumerate(found.names)}
    rows = tuple(
        (row[place["host"]], row[place["metric"]], row[place["device"]], row[place["last"]], row[place["unit"]])
        for row in found.rows
        if not metrics or any(str(row[place["metric"]]).startswith(name.lower()) for name in metrics)
    )
    if {row[0] for row in rows} < set(hosts):
        raise ToolRefused(NOT_THERE)
    return ToolAnswer(
        query=found.sql,
        arguments=given.model_dump() | {"hosts": list(hosts), "at_ns": at_ns},
        columns=("host", "metric", "device", "value", "unit"),
        rows=rows,
        untrusted=("host", "device"),
        from_ns=wanted.from_ns,
        to_ns=wanted.to_ns,
        truncated=found.truncated,
    )


def usual(parts: Parts, asker: Asker, given: Usual) -> ToolAnswer:
    """The baseline of each metric, and how far the last value is from it."""
    resolved = _resolved(parts, asker, given, DAY_NS)
    if len(resolved["hosts"]) != 1:
        raise ToolRefused("baselines are of one host at a time")
    found = stored_series(parts, asker, resolved)
    rows: list[tuple[Cell, ...]] = []
    for (metric, device), points in found.items():
        values = [value for _, value in points]
        known = baseline(values[:-1] or values)
        if known is None:
            continue
        place = change_point(values)
        rows.append(
            (
                resolved["hosts"][0], metric, device, known.middle, known.spread, values[-1],
                round(known.score(values[-1]), 2), abs(known.score(values[-1])) >= at("unusual"),
                None if place is None else points[place][0], known.count,
            )
        )  # fmt: skip
    rows.sort(key=lambda row: (-abs(float(row[6] or 0)), str(row[1]), str(row[2])))
    return ToolAnswer(
        query=f"host.baseline over host_metric of {ascii(resolved['hosts'][0])[1:-1]}",
        arguments=resolved,
        columns=(
            *("host", "metric", "device", "middle", "spread", "last", "score", "is_unusual", "changed_ns", "samples"),
        ),
        rows=tuple(rows[:MAX_ROWS]),
        units={"changed_ns": "epoch_ns", "samples": "count", "score": "deviations"},
        untrusted=("host", "device"),
        from_ns=resolved["from_ns"],
        to_ns=resolved["to_ns"],
        truncated=len(rows) > MAX_ROWS,
        total=len(rows),
    )


def stored_series(
    parts: Parts, asker: Asker, resolved: dict[str, Any]
) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Every single measurement in that time by metric and device; those of many metrics are thinned out by the store."""
    rows = _ask(parts, series, _wanted(asker, resolved, step_ns=0, limit=_SERIES_ROWS))
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for at_ns, metric, device, value in rows.rows:
        found.setdefault((str(metric), str(device)), []).append((int(at_ns or 0), float(value or 0)))
    return found


def _resolved(parts: Parts, asker: Asker, given: Ranged, span_ns: int) -> dict[str, Any]:
    is_here, others = hosts_of(parts, asker, given.hosts)
    at_ns = time.time_ns() if given.at_ns is None else given.at_ns
    to_ns = at_ns if given.to_ns is None else given.to_ns
    from_ns = max(to_ns - span_ns, 0) if given.from_ns is None else min(given.from_ns, to_ns)
    hosts = [*([reader_of(parts).name] if is_here else []), *others]
    return given.model_dump() | {"hosts": hosts, "from_ns": from_ns, "to_ns": to_ns, "at_ns": at_ns}


def _wanted(asker: Asker, resolved: dict[str, Any], *, step_ns: int, limit: int) -> Measured:
    return Measured(
        tenant_id=asker.tenant_id,
        hosts=tuple(resolved["hosts"]),
        names=tuple(resolved["metrics"]),
        device=resolved["device"],
        from_ns=resolved["from_ns"],
        to_ns=resolved["to_ns"],
        step_ns=step_ns,
        limit=limit,
    )


def _ask(parts: Parts, question: Any, wanted: Measured) -> Rows:
    try:
        rows: Rows = parts.readers.ask(question, wanted)
    except IntactError as error:
        raise ToolRefused(str(error)) from error
    return rows


def _answer(rows: Rows, resolved: dict[str, Any]) -> ToolAnswer:
    if not rows.rows and len(resolved["hosts"]) > 0:
        note: tuple[str, ...] = ("there is no measurement in that time",)
    else:
        note = ()
    return ToolAnswer(
        query=rows.sql,
        arguments=resolved,
        columns=rows.names,
        rows=rows.rows,
        units={"at_ns": "epoch_ns", "samples": "count"},
        untrusted=("host", "device"),
        from_ns=resolved["from_ns"],
        to_ns=resolved["to_ns"],
        truncated=rows.truncated,
        total=None if rows.truncated else len(rows.rows),
        notes=note,
    )


def _round(step_ns: int) -> int:
    """A step a person would choose."""
    for seconds in (10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400):
        if step_ns <= seconds * 1_000_000_000:
            return seconds * 1_000_000_000
    return step_ns
