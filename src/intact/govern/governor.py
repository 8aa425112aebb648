"""Holds policies over one cgroup: proves each mechanism, applies the rules, tells the hits and the status."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from intact.govern.bpf_calls import map_keys, map_lookup
from intact.govern.cgroup_net import CgroupNet
from intact.govern.exec_kill import ExecKill
from intact.govern.fanotify import STALL_S, Fanotify
from intact.govern.hits import Hit, hit_of_gate, hit_of_record, rows
from intact.govern.kernel import Kernel, Scope, zeroed
from intact.govern.landlock import TCP_SINCE, Allowed, gaps, version
from intact.govern.layouts import COUNTERS, RULES, Member
from intact.govern.observe import Observer
from intact.govern.plan import (
    CGROUP,
    EVERYONE,
    EXEC_KILL,
    FANOTIFY,
    LANDLOCK,
    LANDLOCK_TCP,
    NONE,
    NOT_ENFORCED,
    OBSERVE,
    OBSERVED,
    PREVENTED,
    SECCOMP,
    Part,
    Plan,
    allowed,
    make_plan,
)
from intact.govern.policy import Policy
from intact.govern.seccomp import filter_of
from intact.govern.selftest import PASSED, Bench, bench, prove_landlock, prove_seccomp, verdict
from intact.model.errors import NotSupported, UsageError
from intact.model.identity import host_hash, process_id
from intact.model.slice import Host, Slice

DRAIN_BYTES = 1 << 20
MOST_AGENTS = 4_096  # remembered, before those that have ended are forgotten
HOST_SCOPE = "host scope: programs of a cgroup would hold for everybody; give scope.cgroup"
NOT_LAUNCHED = "a filter can only be put on before the command starts, by intact record"
ONLY_LAUNCHED = "Landlock holds only what Intact launches"
OTHER_LIST = "an allow-list is put on before the command starts, and stays for the whole run as it was then"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """One mechanism's part of a rule."""

    mechanism: str
    effective: str  # prevented, stopped_after, observed, not_enforced
    self_test: str  # passed, what went wrong, or "" where there is nothing to test
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStatus:
    """Asked against in effect, of one rule on one host. `effective` is that of its weakest part."""

    policy: str
    rule_id: str
    host: str
    asked: str
    effective: str
    fail: str
    hits: int
    parts: tuple[PartStatus, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


_STRENGTH = (NOT_ENFORCED, OBSERVED, "stopped_after", PREVENTED)


class Governor:
    """Enforcement over one cgroup. `start`, then `hits` and `observe` as slices pass, then `close`."""

    def __init__(
        self,
        cgroup: Path,
        policies: Sequence[Policy],
        host: Host,
        *,
        kernel: Kernel,
        mount: Path,
        program: str | None = None,
    ) -> None:
        self.cgroup = cgroup
        self.epoch = 1
        self.stall_s = STALL_S
        self.agents_only = False  # rules hold for those that were learnt and what they make, not for all of the cgroup
        self.names_of: Callable[[int], Sequence[str]] | None = None  # the agents in whose trees a process id is
        self.is_host = cgroup == mount  # then nothing is attached to the cgroup, which is everybody's
        self.self_tests: dict[str, str] = {}
        self._policies = tuple(policies)
        self._host = host
        self._kernel = kernel
        self._mount = mount
        self._program = program or ""
        self._unusable: dict[str, str] = {}
        self.launches = program is not None  # its first program has yet to start, and takes `filter` then
        self._filtered: frozenset[str] | None = None
        self._allowed: Allowed | None = None  # what the command may do, from its start to its end
        self._plan = make_plan((), {})
        self._scope: Scope | None = None
        self._net: CgroupNet | None = None
        self._gate: Fanotify | None = None
        self._observer = Observer((), self._identity)
        self._buffer = np.empty(DRAIN_BYTES, np.uint8)
        self._absent: set[str] = set()  # listed, and not there
        self._gaps: tuple[str, ...] = ()  # in what this kernel's Landlock can hold
        self._agents: dict[tuple[int, int], tuple[str, int]] = {}  # tgid and start of an agent -> its name and groups

    def start(self) -> None:
        """Prove the mechanisms and put the rules into effect.

        Raises:
            NotSupported: a rule with `fail: closed` cannot be held here.
            UsageError: there are more rules than fit.
        """
        try:
            self._kernel.load()
            self._scope = Scope(self._kernel)
            if self.is_host:
                self._unusable[CGROUP] = HOST_SCOPE
            self._prove()
            self._enter()
            self._apply()
        except OSError as error:
            self.close()
            raise NotSupported(f"the self-test cannot be made here: {error}") from None
        except BaseException:
            self.close()
            raise

    def apply(self, policies: Sequence[Policy]) -> None:
        """Replace all rules; errors as of `start`, and then the old rules stay."""
        before = self._policies
        self._policies = tuple(policies)
        try:
            self._apply()
        except (NotSupported, UsageError):
            self._policies = before
            self._apply()
            raise
        self.epoch += 1

    def filter(self) -> bytes:
        """The seccomp filter that the command has to put on before it starts; empty if no rule asks for one."""
        return filter_of(self._filtered or ())

    def allowed(self) -> Allowed | None:
        """The allow-list that the command has to put on before it starts, if a rule asks for one."""
        return self._allowed

    def learn(self, tgid: int, agent: str, *, start_ns: int = 0) -> None:
        """Rules for agents of this name hold for this process and its descendants from here on."""
        groups = self._plan.groups_of(agent)
        _, before = self._agents.get((tgid, start_ns), ("", EVERYONE))
        if len(self._agents) >= MOST_AGENTS:
            alive = self.processes()
            self._agents = {key: value for key, value in self._agents.items() if key in alive}
        self._agents[tgid, start_ns] = agent, groups
        if self._scope is not None and groups != before:
            self._scope.join({tgid}, groups)  # what it makes from here on inherits
            self._scope.join(_descendants(tgid), groups)

    def unlearn(self, tgid: int, *, start_ns: int = 0) -> None:
        """Rules for agents hold for this process and its descendants no longer, as far as they are no agents themselves."""
        if self._agents.pop((tgid, start_ns), None) is not None and self._scope is not None:
            self._scope.part(_descendants(tgid), EVERYONE)
            self._join_again()

    def hits(self) -> list[Hit]:
        """What the mechanisms did since the last call; kills whom a rule about addresses says to kill."""
        found: list[Hit] = []
        for ring in self._kernel.rings:
            while self._kernel.waiting(ring):
                drained = self._kernel.drain(ring, self._buffer)
                data, size = self._buffer[: drained.bytes].tobytes(), ring.record_bytes
                found += [
                    hit_of_record(data[at : at + size], self._plan, self._host) for at in range(0, len(data), size)
                ]
                if not drained.bytes:
                    break
        for hit in found:
            if hit.mechanism == CGROUP and hit.action == "kill":
                self._kill(hit.pid)
        if self._gate is not None:
            found += [
                hit_of_gate(told, self._plan, self._host)
                for told in self._gate.hits()
                if told["rule"] < len(self._plan.rules)
            ]
        return found

    def observe(self, piece: Slice) -> list[Hit]:
        """Hits of what can only be seen, in the effects of a slice."""
        return self._observer.observe(piece)

    def batch(self, hits: Sequence[Hit], *, clean: Callable[[str], str] = str) -> pa.RecordBatch:
        """Hits as a batch of the family `block`; `clean` removes secrets from paths and arguments."""
        return rows(hits, epoch=self.epoch, clean=clean)

    def parent(self, pid: int, process: int) -> int:
        """The pid of the parent of a governed process that runs still, 0 if it does not, or its number went to another."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return 0
        return int(fields[1]) if len(fields) > 1 and self._identity(pid) == process else 0

    def processes(self) -> set[tuple[int, int]]:
        """Who is governed now: (tgid, start on the boot clock)."""
        found: set[tuple[int, int]] = set()
        if self._scope is not None:
            for tid in map_keys(self._scope.members):
                member = Member()
                if map_lookup(self._scope.members, tid, member):
                    found.add((member.tgid, member.start_ns))
        return found

    def losses(self) -> Mapping[str, int]:
        """Hits that happened and are counted, but could not be told one by one."""
        counters = self._kernel.counters(COUNTERS)
        lost = {"ring_full": counters[2], "members_full": counters[3], "argv_clipped": counters[4]} if counters else {}
        lost["gate_full"] = self._gate.dropped if self._gate is not None else 0
        return {cause: count for cause, count in lost.items() if count}

    def status(self) -> list[RuleStatus]:
        """Asked against in effect, rule by rule."""
        return [self._rule_status(index) for index in range(len(self._plan.rules))]

    def finish(self) -> list[Hit]:
        """Take the rules off and tell the last hits; `status` and `losses` still answer until `close`."""
        if self._gate is not None:
            self._gate.close()
        if self._net is not None:
            self._net.detach()
        return self.hits()

    def close(self) -> None:
        """Take everything off the kernel. May be called twice."""
        if self._gate is not None:
            self._gate.close()
        if self._net is not None:
            self._net.detach()
        self._kernel.close()
        self._scope = None

    def _prove(self) -> None:
        assert self._scope is not None
        self.self_tests[SECCOMP] = prove_seccomp() if self.launches else NOT_LAUNCHED
        if self.self_tests[SECCOMP] != PASSED:
            self._unusable[SECCOMP] = self.self_tests[SECCOMP]
        self._prove_landlock()
        failures = self._kernel.attach()
        if failures:
            self._unusable[EXEC_KILL] = failures[0]
        with bench(self.cgroup / "intact" if self.is_host else self.cgroup) as own:
            self._scope.enter(own.cgroup)
            net = CgroupNet(self._kernel, self._scope)
            try:
                if not self.is_host:
                    net.attach(own.cgroup)
            except NotSupported as error:
                self._unusable[CGROUP] = str(error)
            try:
                self._try(own, net)
            finally:
                net.detach()
                self._scope.leave()
        self.hits()  # those of the self-test are nobody's
        zeroed(self._kernel, "hits", RULES)
        zeroed(self._kernel, "counters", COUNTERS)

    def _prove_landlock(self) -> None:
        if not self.launches:
            self._unusable[LANDLOCK] = self.self_tests[LANDLOCK] = ONLY_LAUNCHED
            return
        try:
            known = version()
        except NotSupported as error:
            self._unusable[LANDLOCK] = self.self_tests[LANDLOCK] = str(error)
            return
        self._gaps = gaps(known)
        if known < TCP_SINCE:
            self._unusable[LANDLOCK_TCP] = f"ports need version {TCP_SINCE} of Landlock, this kernel has {known}"
        self.self_tests[LANDLOCK] = found = prove_landlock(ports=known >= TCP_SINCE)
        if found != PASSED:
            self._unusable[LANDLOCK] = f"the self-test of Landlock failed: {found}"

    def _try(self, own: Bench, net: CgroupNet) -> None:
        assert self._scope is not None
        plan = make_plan([own.policy()], self._unusable)
        net.apply(plan.of(CGROUP))
        ExecKill(self._scope).apply(plan.of(EXEC_KILL))
        gate = None
        try:
            gate = Fanotify(own.cgroup, self._mount, self._scope.members)
            gate.apply(plan.of(FANOTIFY))
            if gate.problems:
                raise NotSupported(next(iter(gate.problems.values())))
        except NotSupported as error:
            self._unusable[FANOTIFY] = str(error)
        told = own.tries(files=FANOTIFY not in self._unusable)
        if gate is not None:
            gate.close()
        for mechanism in (CGROUP, EXEC_KILL, FANOTIFY):
            reason = self._unusable.get(mechanism)
            self.self_tests[mechanism] = found = reason or verdict(mechanism, told)
            if found != PASSED:
                self._unusable[mechanism] = reason or f"its self-test failed: {found}"

    def _enter(self) -> None:
        assert self._scope is not None
        self._scope.enter(self.cgroup)
        self._net = CgroupNet(self._kernel, self._scope)
        if CGROUP not in self._unusable:
            self._net.attach(self.cgroup)

    def _join_again(self) -> None:
        """Every agent that still runs into the groups of the rules as they are now."""
        alive = self.processes()
        agents, self._agents = self._agents, {}
        for (tgid, start_ns), (name, _) in agents.items():
            if not start_ns or (tgid, start_ns) in alive:
                self.learn(tgid, name, start_ns=start_ns)

    def _apply(self) -> None:
        assert self._scope is not None
        assert self._net is not None
        plan = self._make_plan()
        if len(plan.rules) > RULES:
            raise UsageError(f"{len(plan.rules)} rules; at most {RULES}")
        closed = [part for part in plan.parts if part.rule.fail == "closed"]
        if closed and self.is_host:
            raise NotSupported(f"rule {closed[0].rule.id} has fail: closed, which kills a cgroup; {HOST_SCOPE}")
        _refuse([part for part in closed if part.mechanism == NONE])
        self._net.apply(plan.of(CGROUP))
        ExecKill(self._scope).apply(plan.of(EXEC_KILL))
        held = plan.of(FANOTIFY)
        # The gate also stands guard over rules that are not its own: it outlives us by the moment that is needed.
        if (held or closed) and self._gate is None:
            self._gate = Fanotify(self.cgroup, self._mount, self._scope.members, stall_s=self.stall_s)
        if self._gate is not None:
            self._gate.apply(held, closed=bool(closed))
            _refuse([part for part in closed if part in held and part.index in self._gate.problems])
        self._observer = Observer(plan.of(OBSERVE), self._identity, self._governs)
        self._plan = plan
        self._join_again()

    def _make_plan(self) -> Plan:
        plan = self._planned(self._unusable)
        wanted = frozenset(change for part in plan.of(SECCOMP) for change in part.access)
        late: dict[str, str] = {}
        if self._filtered is None:
            self._filtered, self._allowed = wanted, allowed(plan)
            listed = self._allowed.files if self._allowed is not None else None
            self._absent = {path for path, _ in listed or () if not os.path.exists(path)}
        if not wanted <= self._filtered:
            late[SECCOMP] = NOT_LAUNCHED
        if plan.of(LANDLOCK) and allowed(plan) != self._allowed:
            late[LANDLOCK] = OTHER_LIST
        return self._planned({**self._unusable, **late}) if late else plan

    def _planned(self, unusable: Mapping[str, str]) -> Plan:
        known = self._plan.selectors
        return make_plan(self._policies, unusable, program=self._program, selectors=known, agents_only=self.agents_only)

    def _rule_status(self, index: int) -> RuleStatus:
        rule = self._plan.rules[index]
        mine = [part for part in self._plan.parts if part.index == index]
        parts = tuple(self._part_status(part) for part in mine)
        counted = self._kernel.counters(RULES, "hits") if self._scope is not None else ()
        hits = counted[index] if index < len(counted) else 0
        hits += self._observer.counts.get(index, 0)
        hits += self._gate.counts.get(index, 0) if self._gate is not None else 0
        return RuleStatus(
            policy=mine[0].policy,
            rule_id=rule.id,
            host=self._host.name,
            asked=rule.action,
            effective=min((part.effective for part in parts), key=_STRENGTH.index),
            fail=rule.fail,
            hits=hits,
            parts=parts,
        )

    def _part_status(self, part: Part) -> PartStatus:
        effective, note = part.promise, part.note
        if part.mechanism == FANOTIFY and self._gate is not None:
            problem = self._gate.lost or self._gate.problems.get(part.index)
            if problem:
                effective, note = NOT_ENFORCED, problem
        if part.mechanism == LANDLOCK and "files" in part.access:
            absent = [f"not there at the start: {path}" for path in part.paths if path in self._absent]
            note = "; ".join((note, *self._gaps, *absent))
        if part.mechanism == NONE:
            effective = NOT_ENFORCED
        return PartStatus(
            mechanism=part.mechanism, effective=effective, self_test=self.self_tests.get(part.mechanism, ""), note=note
        )

    def _identity(self, pid: int) -> int:
        member = Member()
        if self._scope is None or not map_lookup(self._scope.members, pid, member):
            return 0
        return process_id(host_hash(self._host.boot_id), member.tgid, member.start_ns)

    def _governs(self, process: int, groups: int) -> bool:
        """Whether a process, which may have ended, falls under rules for these groups."""
        if self.names_of is None or groups & EVERYONE:
            return True
        return any(groups & self._plan.groups_of(name) for name in self.names_of(process))

    def _kill(self, pid: int) -> None:
        """SIGKILL to a process that is governed; a number that went to another is not."""
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return  # it has ended
        try:
            if self._identity(pid):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            os.close(descriptor)


def _refuse(parts: Sequence[Part]) -> None:
    if parts:
        part = parts[0]
        raise NotSupported(
            f"rule {part.rule.id} has fail: closed and cannot be held: {part.note or 'its paths cannot be marked'}"
        )


def _descendants(tgid: int) -> set[int]:
    """A process and those it made, as far as they are still its children's children."""
    parents: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text()
            except OSError:
                continue  # ended meanwhile
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {tgid}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found
