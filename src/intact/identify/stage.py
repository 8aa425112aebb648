"""The stage: a process with an understood call to a model is an agent."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from intact.identify.names import name_of
from intact.model.effects import Kind
from intact.model.facts import Agent, Fact, HttpExchange, LlmCall, Process
from intact.model.identity import host_hash, process_id
from intact.model.slice import Host, Slice

BIZ_TYPE_AGENT = 1
_MOST_IMAGES = 131_072  # processes whose command line is remembered
_MOST_SERVERS = 65_536  # exchanges answered, not asked


def identify(slices: Iterable[Slice], host: Host) -> Iterator[Slice]:
    """Add an `Agent` for each process that talks to a model; told again as it goes on, at most once a slice."""
    watch = _Watch(host)
    for piece in slices:
        agents = watch.take(piece)
        yield replace(piece, facts=(*piece.facts, *agents)) if agents else piece


@dataclass(slots=True)
class _Image:
    exe: str
    argv: tuple[str, ...]
    cwd: str


class _Watch:
    def __init__(self, host: Host) -> None:
        known = host.root_tgid != 0
        self._root = process_id(host_hash(host.boot_id), host.root_tgid, host.root_start_ns) if known else 0
        self._images: dict[int, _Image] = {}
        self._served: dict[int, None] = {}
        self._agents: dict[int, Agent] = {}

    def take(self, piece: Slice) -> list[Fact]:
        """The agents that are new or went on in this slice."""
        # Processes told as facts ran before the probes came; what they exec comes after.
        for fact in piece.facts:
            if isinstance(fact, Process):
                self._remember(fact.id, _Image(fact.exe or "", fact.argv, fact.cwd or ""))
        batch = piece.effects.get("process")
        if batch is not None and batch.num_rows:
            self._read_images(batch)
        touched: dict[int, None] = {}
        for fact in piece.facts:
            if isinstance(fact, HttpExchange) and fact.is_server:
                self._served[fact.id] = None
                while len(self._served) > _MOST_SERVERS:
                    del self._served[next(iter(self._served))]
            elif isinstance(fact, LlmCall) and fact.exchange_id not in self._served:
                before = self._agents.get(fact.process_id)
                self._agents[fact.process_id] = agent = self._agent(fact, before)
                if agent != before:
                    touched[fact.process_id] = None
        return [self._agents[each] for each in touched]

    def _agent(self, call: LlmCall, before: Agent | None) -> Agent:
        seen = max(call.started_ns, call.ended_ns or 0)
        if before is not None:
            return replace(
                before,
                first_seen_ns=min(before.first_seen_ns, call.started_ns),
                last_seen_ns=max(before.last_seen_ns, seen),
            )
        image = self._images.get(call.process_id, _Image("", (), ""))
        return Agent(
            id=call.process_id,
            process_id=call.process_id,
            root_process_id=self._root or call.process_id,
            biz_type=BIZ_TYPE_AGENT,
            name=name_of(image.exe, image.argv, image.cwd),
            recogniser="wire_api",
            score=1.0,
            reason=f"speaks {call.wire_api} to {call.server_address or 'a model'}",
            role="agent",
            first_seen_ns=call.started_ns,
            last_seen_ns=seen,
        )

    def _remember(self, process: int, image: _Image) -> None:
        self._images[process] = image
        while len(self._images) > _MOST_IMAGES:
            del self._images[next(iter(self._images))]

    def _read_images(self, batch: pa.RecordBatch) -> None:
        kind = batch.column("kind")
        life = pc.or_(
            pc.equal(kind, int(Kind.EXEC)),
            pc.and_(pc.equal(kind, int(Kind.FORK)), pc.invert(batch.column("is_thread"))),
        )
        rows = batch.filter(life).select(["kind", "process_id", "child_id", "exe", "argv", "cwd"])
        for row in rows.to_pylist():
            if row["kind"] == Kind.EXEC:
                self._remember(row["process_id"], _Image(row["exe"], tuple(row["argv"]), row["cwd"]))
            elif row["process_id"] in self._images:
                self._images.setdefault(row["child_id"], self._images[row["process_id"]])
