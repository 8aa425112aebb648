"""Policies over one scope that is being observed: put into effect, kept up with what is asked for, told as effects."""

import sys
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from intact.collect.cgroup import cgroup2_mount
from intact.collect.loader import NATIVE, Loader
from intact.govern.governor import Governor
from intact.govern.hits import Hit, rows
from intact.govern.parents import Parents
from intact.govern.policy import Policy, read_policy
from intact.govern.state import Desired, State
from intact.model.errors import IntactError
from intact.model.facts import Agent, Loss
from intact.model.identity import host_hash, process_id
from intact.model.slice import Host, Slice

OBJECT = NATIVE / "govern.bpf.o"
TELL_S = 1.0


class Enforcement:
    """The policies of one scope: those of the run, which stay, and those of the data directory, which may change."""

    def __init__(self, data: Path, files: list[str], cgroup: Path, host: Host, *, program: str | None = None) -> None:
        self.state = State(data)
        self._own = tuple(read_policy(Path(file)) for file in files)
        self._host = host
        self._lost: dict[str, int] = {}
        self._told = 0.0
        self._parents = Parents()
        self._waiting: list[Hit] = []
        self._epoch = 0  # of the rules that were last in effect
        self._cgroup, self._program = cgroup, program
        self.scope = self._scope_name()
        self.governor: Governor | None = None
        self._started = False  # the command: what it has to put on before that can be put on no longer
        self._desired = self._first()
        self._take(self._desired)
        self._started = True

    @property
    def filter(self) -> bytes:
        """What the command has to put on before it starts."""
        return self.governor.filter() if self.governor is not None else b""

    @property
    def allowed(self) -> dict[str, Any] | None:
        """The allow-list that the command has to put on before it starts, if there is one."""
        allowed = self.governor.allowed() if self.governor is not None else None
        return allowed.as_json() if allowed is not None else None

    def watch(self, slices: Iterator[Slice], *, clean: Callable[[str], str] = str) -> Iterator[Slice]:
        """Pass the slices on with the hits of their time as effects of the family `block`."""
        until_ns = 0
        try:
            for piece in slices:
                self._keep_up()
                self._see(piece)
                if self.governor is not None:
                    self._parents.learn(piece)
                until_ns = piece.until_ns
                yield self._with_hits(piece, clean) if self.governor is not None or self._waiting else piece
            if hits := [*self._waiting, *(self.governor.finish() if self.governor is not None else ())]:
                batch = self._batch(hits, clean)
                until_ns = max(until_ns, max(hit.at_ns for hit in hits) + 1)
                yield Slice(until_ns=until_ns, effects={"block": batch})
        finally:
            self.close()

    def close(self) -> None:
        """Take all rules off. May be called twice."""
        if self.governor is not None:
            self.governor.close()
            self.governor = None
            self.state.forget(self.scope)

    def _scope_name(self) -> str:
        return self._cgroup.name

    def _first(self) -> Desired:
        return self.state.desired()

    def _wanted(self, desired: Desired) -> tuple[Policy, ...]:
        return (*self._own, *desired.read())

    def _take(self, desired: Desired) -> None:
        """Put into effect what is asked for; on an error the rules before stay."""
        policies = self._wanted(desired)
        if self.governor is not None:
            self.governor.apply(policies)
        elif policies:
            self._start(policies)
            self._tell()
        if self.governor is not None:
            self._epoch = self.governor.epoch

    def _start(self, policies: tuple[Policy, ...]) -> None:
        self.governor = self._governor(policies)
        try:
            self.governor.start()
        except BaseException:
            self.governor = None
            raise

    def _governor(self, policies: tuple[Policy, ...]) -> Governor:
        kernel = Loader(OBJECT)
        mount, program = cgroup2_mount(), self._program
        governor = Governor(self._cgroup, policies, self._host, kernel=kernel, mount=mount, program=program)
        governor.launches = program is not None and not self._started
        return governor

    def _keep_up(self) -> None:
        now = time.monotonic()
        if now - self._told < TELL_S:
            return
        self._told = now
        desired = self.state.newer(self._desired.revision)
        if desired is not None:
            self._desired = desired
            try:
                self._take(desired)
            except IntactError as error:
                self._refused(error)
        self._tell()

    def _refused(self, error: IntactError) -> None:
        print(f"revision {self._desired.revision} of the policies is not in effect: {error}", file=sys.stderr)

    def _tell(self) -> None:
        if self.governor is not None:
            self._write([rule.as_json() for rule in self.governor.status()])

    def _write(self, rules: list[dict[str, Any]], *, problem: str = "") -> None:
        body = {
            "at_ns": time.time_ns(),
            "host": self._host.name,
            "boot_id": self._host.boot_id,
            "cgroup": str(self._cgroup),
            "revision": self._desired.revision,
            "self_tests": self.governor.self_tests if self.governor is not None else {},
            "problem": problem,
            "rules": rules,
        }
        try:
            self.state.tell(self.scope, body)
        except IntactError as error:
            print(str(error), file=sys.stderr)  # the rules hold all the same

    def _with_hits(self, piece: Slice, clean: Callable[[str], str]) -> Slice:
        governor, hits, losses = self.governor, list[Hit](), tuple[Loss, ...]()
        if governor is not None:
            hits = governor.hits() + governor.observe(piece)
            losses = self._losses(governor, piece.until_ns)
        hits = self._at_hand(hits, piece.until_ns)
        if not hits:
            return replace(piece, facts=(*piece.facts, *losses)) if losses else piece
        batch = self._batch(hits, clean)
        return replace(piece, facts=(*piece.facts, *losses), effects={**piece.effects, "block": batch})

    def _at_hand(self, hits: list[Hit], until_ns: int) -> list[Hit]:
        """Hits to tell now. One of a process whose making is told only with the next slice waits for that."""
        hits, self._waiting = [*self._waiting, *hits], []
        told = []
        for hit in hits:
            if hit.at_ns < until_ns or self._parent(hit):
                told.append(hit)
            else:
                self._waiting.append(hit)
        return told

    def _parent(self, hit: Hit) -> int:
        found = self._parents.of(hit.process_id)
        return found if found or self.governor is None else self.governor.parent(hit.pid, hit.process_id)

    def _batch(self, hits: list[Hit], clean: Callable[[str], str]) -> pa.RecordBatch:
        return rows([replace(hit, ppid=self._parent(hit)) for hit in hits], epoch=self._epoch, clean=clean)

    def _see(self, piece: Slice) -> None:
        """Take the names of agents over, before anything of the slice is matched."""
        for fact in piece.facts:
            if self.governor is not None and isinstance(fact, Agent):
                for _, tgid, start_ns in self._running({fact.process_id}):
                    self.governor.learn(tgid, fact.name, start_ns=start_ns)

    def _running(self, ids: Container[int]) -> Iterator[tuple[int, int, int]]:
        """The governed processes with these ids: (process id, tgid, start on the boot clock)."""
        mine = host_hash(self._host.boot_id)
        if self.governor is not None:
            for tgid, start_ns in self.governor.processes():
                if (found := process_id(mine, tgid, start_ns)) in ids:
                    yield found, tgid, start_ns

    def _losses(self, governor: Governor, at_ns: int) -> tuple[Loss, ...]:
        now = governor.losses()
        grown = {cause: count - self._lost.get(cause, 0) for cause, count in now.items()}
        self._lost = dict(now)
        return tuple(
            Loss(stage="govern", cause=cause, count=count, at_ns=at_ns) for cause, count in grown.items() if count > 0
        )
