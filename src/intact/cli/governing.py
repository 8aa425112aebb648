"""Policies over one scope that is being observed: put into effect, kept up with what is asked for, told as effects."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from intact.collect.cgroup import cgroup2_mount
from intact.collect.loader import NATIVE, Loader
from intact.govern.governor import Governor
from intact.govern.policy import Policy, read_policy
from intact.govern.state import State
from intact.model.errors import IntactError
from intact.model.facts import Agent, Loss
from intact.model.identity import host_hash, process_id
from intact.model.slice import Host, Slice

OBJECT = NATIVE / "govern.bpf.o"
TELL_S = 1.0


class Enforcement:
    """The policies of one scope: those of the run, which stay, and those of the data directory, which may change."""

    def __init__(self, data: Path, files: list[str], cgroup: Path, host: Host, *, program: str) -> None:
        self.state = State(data)
        self._own = tuple(read_policy(Path(file)) for file in files)
        desired = self.state.desired()
        self._revision = desired.revision
        self._host = host
        self._lost: dict[str, int] = {}
        self._told = 0.0
        self.scope = cgroup.name
        self.governor: Governor | None = None
        policies = (*self._own, *desired.read())
        if policies:
            self._start(policies, cgroup, program)
        self._begin = (cgroup, program)

    @property
    def filter(self) -> bytes:
        """What the command has to put on before it starts."""
        return self.governor.filter() if self.governor is not None else b""

    def watch(self, slices: Iterator[Slice], *, clean: Callable[[str], str] = str) -> Iterator[Slice]:
        """Pass the slices on with the hits of their time as effects of the family `block`."""
        until_ns = 0
        try:
            for piece in slices:
                self._keep_up()
                until_ns = piece.until_ns
                yield self._with_hits(piece, clean) if self.governor is not None else piece
            if self.governor is not None and (hits := self.governor.finish()):
                batch = self.governor.batch(hits, clean=clean)
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

    def _start(self, policies: tuple[Policy, ...], cgroup: Path, program: str) -> None:
        governor = Governor(cgroup, policies, self._host, kernel=Loader(OBJECT), mount=cgroup2_mount(), program=program)
        governor.start()
        self.governor = governor
        self._tell()

    def _keep_up(self) -> None:
        now = time.monotonic()
        if now - self._told < TELL_S:
            return
        self._told = now
        desired = self.state.newer(self._revision)
        if desired is not None:
            self._revision = desired.revision
            try:
                policies = (*self._own, *desired.read())
                if self.governor is not None:
                    self.governor.apply(policies)
                elif policies:
                    self._start(policies, *self._begin)
            except IntactError as error:
                print(f"revision {desired.revision} of the policies is not in effect: {error}", file=sys.stderr)
        self._tell()

    def _tell(self) -> None:
        if self.governor is None:
            return
        body = {
            "at_ns": time.time_ns(),
            "host": self._host.name,
            "boot_id": self._host.boot_id,
            "cgroup": str(self.governor.cgroup),
            "revision": self._revision,
            "self_tests": self.governor.self_tests,
            "rules": [rule.as_json() for rule in self.governor.status()],
        }
        try:
            self.state.tell(self.scope, body)
        except IntactError as error:
            print(str(error), file=sys.stderr)  # the rules hold all the same

    def _with_hits(self, piece: Slice, clean: Callable[[str], str]) -> Slice:
        governor = self.governor
        assert governor is not None
        for fact in piece.facts:
            if isinstance(fact, Agent):
                self._learn(governor, fact)
        hits = governor.hits() + governor.observe(piece)
        losses = self._losses(governor, piece.until_ns)
        if not hits:
            return replace(piece, facts=(*piece.facts, *losses)) if losses else piece
        batch = governor.batch(hits, clean=clean)
        return replace(piece, facts=(*piece.facts, *losses), effects={**piece.effects, "block": batch})

    def _learn(self, governor: Governor, agent: Agent) -> None:
        mine = host_hash(self._host.boot_id)
        for tgid, start_ns in governor.processes():
            if process_id(mine, tgid, start_ns) == agent.process_id:
                governor.learn(tgid, agent.name)

    def _losses(self, governor: Governor, at_ns: int) -> tuple[Loss, ...]:
        now = governor.losses()
        grown = {cause: count - self._lost.get(cause, 0) for cause, count in now.items()}
        self._lost = dict(now)
        return tuple(
            Loss(stage="govern", cause=cause, count=count, at_ns=at_ns) for cause, count in grown.items() if count > 0
        )
