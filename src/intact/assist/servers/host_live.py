"""How the tools of the host look at the live machine: what was read is kept, so that the same call gives the same rows."""

import base64
import binascii
import json
import time
import zlib
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from intact.assist.answers import MAX_ROWS, Cell, ToolAnswer
from intact.assist.asking import Asker
from intact.assist.host_reader import HostReader
from intact.assist.tool import Arguments, Parts, Time, ToolRefused
from intact.model.errors import IntactError
from intact.model.host import Part, Sampling, Unread, Within

NOT_THERE = "there is no such host, or it is not yours; of other hosts only what was measured can be asked for"
NO_READING = "there is no such reading any more, or it is not yours"
MAX_READING_BYTES = 16 << 20  # unpacked
HOME_TENANT = (
    1  # whose machine this one is: that of its measurements (store.measurements); of others, only what was measured
)
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", "local", "本机", "this", "this host"})
_SAMPLING: TypeAdapter[Sampling] = TypeAdapter(Sampling)

Host = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Path = Annotated[str, StringConstraints(min_length=1, max_length=1_000, pattern="^/")]


class Hosted(Arguments):
    """Which hosts, and which reading of them."""

    hosts: list[Host] = Field([], max_length=50, description="Names of hosts; none: this one.")
    reading: str | None = Field(None, max_length=100, description="Id of a reading that was kept; none: look now.")
    at_ns: Time | None = Field(None, description="Now (epoch ns); default: now.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a tool makes of a reading."""

    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    units: dict[str, str] = field(default_factory=dict)
    untrusted: tuple[str, ...] = ()
    limit: int = MAX_ROWS
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One look at this machine as it is kept: `more` is what the tool adds."""

    sampling: Sampling
    more: dict[str, Any] = field(default_factory=dict)


def reader_of(parts: Parts) -> HostReader:
    """The machine that we run on.

    Raises:
        ToolRefused: it cannot be looked at from here.
    """
    if parts.host is None:
        raise ToolRefused("this machine cannot be looked at from here")
    host: HostReader = parts.host
    return host


def hosts_of(parts: Parts, asker: Asker, given: list[str]) -> tuple[bool, tuple[str, ...]]:
    """Whether this host is among those that are meant, and the others.

    Raises:
        ToolRefused: one of them may not be seen; that one is not there is said in the same words.
    """
    name = reader_of(parts).name
    is_home = asker.tenant_id == HOME_TENANT
    if not is_home and (not given or any(host.lower() in _LOCAL for host in given)):
        raise ToolRefused(NOT_THERE)
    wanted = [name if host.lower() in _LOCAL else host for host in given] or [name]
    if not all(asker.may_see_host(host) for host in wanted):
        raise ToolRefused(NOT_THERE)
    others = tuple(dict.fromkeys(host for host in wanted if not is_home or host != name))
    return is_home and name in wanted, others


def looked(
    parts: Parts,
    asker: Asker,
    given: Hosted,
    *,
    tool: str,
    look: Callable[[HostReader], Reading],
    show: Callable[[Reading], Table],
) -> ToolAnswer:
    """The answer of a tool that looks at this machine: once, and from then on at what was kept.

    Raises:
        ToolRefused: another host is meant, or what was kept is gone.
    """
    is_here, others = hosts_of(parts, asker, given.hosts)
    if others or not is_here:
        raise ToolRefused(NOT_THERE)
    at_ns = time.time_ns() if given.at_ns is None else given.at_ns
    if given.reading is None:
        try:
            reading = look(reader_of(parts))
            key = parts.readings.put(asker.name, {"tool": tool, "packed": _packed(reading)})
        except (IntactError, OSError) as error:
            raise ToolRefused(f"this machine cannot be looked at: {error}") from error
    else:
        key, reading = given.reading, kept(parts, asker, tool, given.reading)
    return answer_of(
        tool,
        show(reading),
        given.model_dump() | {"hosts": [reading.sampling.host], "reading": key, "at_ns": at_ns},
        reading,
    )


def kept(parts: Parts, asker: Asker, tool: str, key: str) -> Reading:
    """A reading of before.

    Raises:
        ToolRefused: it is gone, another tool's or another's.
    """
    body = parts.readings.get(asker.name, key)
    if body is None or body.get("tool") != tool:
        raise ToolRefused(NO_READING)
    try:
        return _unpacked(body["packed"])
    except (KeyError, TypeError, ValueError, zlib.error, binascii.Error, ValidationError) as error:
        raise ToolRefused(NO_READING) from error


def answer_of(tool: str, table: Table, arguments: dict[str, Any], reading: Reading) -> ToolAnswer:
    """A table as an answer."""
    sampling = reading.sampling
    shown = " ".join(f"{name}={value}" for name, value in sorted(arguments.items()) if value not in (None, [], ""))
    times = [snapshot.at_ns for snapshot in sampling.snapshots]
    limit = min(table.limit, MAX_ROWS)
    return ToolAnswer(
        query=f"host.{tool} {shown}",
        arguments=arguments,
        columns=table.columns,
        rows=tuple(table.rows[:limit]),
        units=table.units,
        untrusted=table.untrusted,
        from_ns=min(times, default=None),
        to_ns=max(times, default=None),
        truncated=len(table.rows) > limit,
        total=len(table.rows),
        notes=(*table.notes, *(unread_note(each) for each in sampling.unread)),
    )


def unread_note(unread: Unread) -> str:
    """What could not be looked at, in words of ours; paths are not put into them."""
    return f"not read: {unread.what.value}" + (f" ({unread.count})" if unread.count > 1 else "")


def sampled(
    *parts: Part, window_s: float = 0.0, steps: int = 0, within: Within | None = None
) -> Callable[[HostReader], Reading]:
    """A look at these parts."""
    wanted: Collection[Part] = frozenset(parts)

    def look(host: HostReader) -> Reading:
        part = host if within is None or within.is_all else host.within(within)
        return Reading(sampling=part.sample(wanted, window_s=window_s, steps=steps))

    return look


def _packed(reading: Reading) -> str:
    text = json.dumps({"sampling": asdict(reading.sampling), "more": reading.more}, separators=(",", ":"))
    return base64.b85encode(zlib.compress(text.encode("utf-8", "surrogatepass"), 3)).decode("ascii")


def _unpacked(text: str) -> Reading:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b85decode(text), MAX_READING_BYTES)
    body = json.loads(data.decode("utf-8", "surrogatepass"))
    return Reading(sampling=_SAMPLING.validate_python(body["sampling"]), more=body["more"])
