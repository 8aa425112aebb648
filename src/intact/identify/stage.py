"""The stage: tells which processes are agents, from what they run, what they ask and what they answer."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from intact.identify.endpoint import KNOWN_ENDPOINTS, matching
from intact.identify.recogniser import Image, Request, Understood
from intact.identify.registry import Registry
from intact.model.effects import Kind
from intact.model.facts import Fact, HttpExchange, LlmCall, Process
from intact.model.slice import Host, Slice


def identify(slices: Iterable[Slice], host: Host, registry: Registry | None = None) -> Iterator[Slice]:
    """Add an `Agent` for each process that is one; told again as it goes on, at most once a slice.

    Without a registry the rules are those of a recording: who speaks to a model is an agent.
    """
    known = Registry(host) if registry is None else registry
    for piece in slices:
        agents = _take(known, piece)
        yield replace(piece, facts=(*piece.facts, *agents)) if agents else piece


def _take(registry: Registry, piece: Slice) -> list[Fact]:
    # Processes told as facts ran before the probes came; what they exec comes after.
    for fact in piece.facts:
        if isinstance(fact, Process):
            node = registry.started(fact.id, fact.pid, fact.start_ns, fact.parent_id or 0)
            registry.runs(node, Image(exe=fact.exe or "", argv=fact.argv, cwd=fact.cwd or ""), piece.until_ns)
    batch = piece.effects.get("process")
    if batch is not None and batch.num_rows:
        _read_lives(registry, batch)
    for fact in piece.facts:
        if isinstance(fact, HttpExchange):
            _read_exchange(registry, fact)
        elif isinstance(fact, LlmCall):
            sight = Understood(wire_api=fact.wire_api, host=fact.server_address or "")
            last_ns = max(fact.started_ns, fact.ended_ns or 0)
            registry.sees(fact.process_id, fact.pid, sight, fact.started_ns, last_ns)
    return [*registry.news(piece.until_ns)]


def _read_exchange(registry: Registry, exchange: HttpExchange) -> None:
    request = _request_of(exchange)
    if not exchange.is_server:
        registry.sees(
            exchange.process_id, exchange.pid, request, exchange.started_ns, exchange.ended_ns or exchange.started_ns
        )
    elif matching(request, registry.rules.endpoints or KNOWN_ENDPOINTS) is not None:
        line = f"{request.method} {request.path[:120]}"
        registry.answers(exchange.process_id, exchange.pid, line, exchange.started_ns)


def _request_of(exchange: HttpExchange) -> Request:
    upgrade = next((value for name, value in exchange.request_headers if name.lower() == "upgrade"), "")
    return Request(
        method=exchange.method,
        path=exchange.target.partition("?")[0],
        host=exchange.server_address or "",
        port=exchange.server_port or 0,
        upgrades=upgrade.lower() == "websocket",
    )


def _read_lives(registry: Registry, batch: pa.RecordBatch) -> None:
    """Forks, execs and exits, in order; threads are no lives of their own."""
    kind = batch.column("kind")
    life = pc.or_(
        pc.is_in(kind, value_set=pa.array([Kind.EXEC, Kind.EXIT], pa.uint8())),
        pc.and_(pc.equal(kind, int(Kind.FORK)), pc.invert(batch.column("is_thread"))),
    )
    columns = [
        "kind",
        "process_id",
        "pid",
        "start_ns",
        "parent_id",
        "child_id",
        "child_pid",
        "at_ns",
        "exe",
        "argv",
        "cwd",
    ]
    for row in batch.filter(life).select(columns).to_pylist():
        if row["kind"] == Kind.FORK:
            registry.started(row["process_id"], row["pid"], 0)
            registry.started(row["child_id"], row["child_pid"], row["start_ns"], row["process_id"])
        elif row["kind"] == Kind.EXEC:
            node = registry.started(row["process_id"], row["pid"], row["start_ns"], row["parent_id"])
            image = Image(exe=row["exe"], argv=tuple(row["argv"]), cwd=row["cwd"])
            registry.runs(node, image, row["at_ns"])
        else:
            registry.exited(row["process_id"])
