"""Policies over the agents that a sensor knows: in effect as the config says, and each hit told to others."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from intact.cli.governing import Enforcement
from intact.collect.cgroup import cgroup2_mount
from intact.govern.configured import bounded, configured, in_mode
from intact.govern.governor import Governor
from intact.govern.hits import Hit
from intact.govern.notify import Notifier
from intact.govern.policy import Policy
from intact.govern.state import Desired
from intact.model import config
from intact.model.errors import IntactError
from intact.model.facts import Agent, Loss
from intact.model.slice import Host, Slice

HOST_SCOPE = "host"
MOST_AGENTS = 4_096
AGENT = "agent"  # the role of those who are governed
TELL_AGAIN_S = 4.0  # what has not changed is written again so often, to be fresh
OFF = "inputs.proc.ai_agent.enforcement.enabled is false"
AUDIT_ONLY = "inputs.proc.ai_agent.enforcement.mode is audit_only"


class SensorEnforcement(Enforcement):
    """Rules hold for processes known as agents and what they make, in the scope of the sensor and nowhere else.

    No error about policies ends the sensor: what cannot be put into effect is told, and the rules before stay.
    """

    def __init__(self, data: Path, cgroup: Path | None, host: Host, settings: config.Config) -> None:
        self._settings = settings.inputs.proc.ai_agent.enforcement
        self.notifier = Notifier(settings.outputs, host.name)
        self.root_of: Callable[[int], int] = _no_root
        self._names: dict[int, str] = {}  # by process id, of agents
        self._asked: dict[tuple[str, str], str] = {}
        self._problem = ""
        self._last: tuple[float, object] = (0.0, None)
        super().__init__(data, [], cgroup or cgroup2_mount(), host)

    def use(self, settings: config.Config) -> None:
        """Take a changed config over."""
        self.notifier.use(settings.outputs)
        if settings.inputs.proc.ai_agent.enforcement != self._settings:
            self._settings = settings.inputs.proc.ai_agent.enforcement
            self._take(self._desired)
            self._tell()

    def close(self) -> None:
        """Take all rules off and tell what waits. May be called twice."""
        super().close()
        self.state.forget(self.scope)
        self.notifier.close()

    def _scope_name(self) -> str:
        return HOST_SCOPE if self._cgroup == cgroup2_mount() else super()._scope_name()

    def _first(self) -> Desired:
        try:
            return self.state.desired()
        except IntactError as error:
            self._refused(error)
            return Desired()

    def _wanted(self, desired: Desired) -> tuple[Policy, ...]:
        policies = (*configured(self._settings), *desired.read())
        bounded(policies, self._settings.max_rules)
        self._asked = {(policy.name, rule.id): rule.action for policy in policies for rule in policy.rules}
        return in_mode(policies, audit_only=self._settings.mode == "audit_only")

    def _take(self, desired: Desired) -> None:
        try:
            if self._settings.enabled:
                super()._take(desired)
            elif self.governor is not None:
                self.governor.close()
                self.governor = None
            self._problem = ""
        except IntactError as error:
            self._refused(error)

    def _refused(self, error: IntactError) -> None:
        self._problem = str(error)
        print(f"intact sensor: the policies asked for are not in effect: {error}", file=sys.stderr, flush=True)

    def _governor(self, policies: tuple[Policy, ...]) -> Governor:
        governor = super()._governor(policies)
        governor.agents_only = True
        governor.names_of = self._names_of
        return governor

    def _start(self, policies: tuple[Policy, ...]) -> None:
        super()._start(policies)
        for tgid, start_ns, name in self._agents(self._names):
            assert self.governor is not None
            self.governor.learn(tgid, name, start_ns=start_ns)

    def _see(self, piece: Slice) -> None:
        changed: dict[int, str] = {}
        gone: set[int] = set()
        for fact in piece.facts:
            if not isinstance(fact, Agent):
                continue
            if fact.role != AGENT and self._names.pop(fact.process_id, None) is not None:
                gone.add(fact.process_id)
            elif fact.role == AGENT and self._names.get(fact.process_id) != fact.name:
                changed[fact.process_id] = self._names[fact.process_id] = fact.name
        while len(self._names) > MOST_AGENTS:
            del self._names[next(iter(self._names))]
        if self.governor is None or not (changed or gone):
            return
        for _, tgid, start_ns in self._running(gone - changed.keys()):
            self.governor.unlearn(tgid, start_ns=start_ns)
        for tgid, start_ns, name in self._agents(changed):
            self.governor.learn(tgid, name, start_ns=start_ns)

    def _agents(self, names: dict[int, str]) -> list[tuple[int, int, str]]:
        return [(tgid, start_ns, names[found]) for found, tgid, start_ns in self._running(names)]

    def _names_of(self, process: int) -> Sequence[str]:
        found = (self._names.get(process), self._names.get(self.root_of(process)))
        return [name for name in found if name is not None]

    def _batch(self, hits: list[Hit], clean: Callable[[str], str]) -> pa.RecordBatch:
        batch = super()._batch(hits, clean)
        self.notifier.tell(batch.to_pylist())
        return batch

    def _losses(self, governor: Governor, at_ns: int) -> tuple[Loss, ...]:
        found = super()._losses(governor, at_ns)
        lost = self.notifier.take_lost()
        return (*found, Loss(stage="govern", cause="not_told", count=lost, at_ns=at_ns)) if lost else found

    def _tell(self) -> None:
        rules = self._rules()
        if not rules and not self._problem:
            self.state.forget(self.scope)
            return
        now, told = time.monotonic(), (rules, self._problem, self._desired.revision)
        if told == self._last[1] and now - self._last[0] < TELL_AGAIN_S:
            return
        self._last = (now, told)
        self._write(rules, problem=self._problem)

    def _rules(self) -> list[dict[str, Any]]:
        """Asked against in effect: of the rules as they were asked for, whatever the config makes of them."""
        if self.governor is not None:
            found = [rule.as_json() for rule in self.governor.status()]
            for rule in found:
                asked = self._asked.get((rule["policy"], rule["rule_id"]), rule["asked"])
                if asked != rule["asked"]:
                    rule["asked"] = asked
                    rule["parts"] = [{**part, "note": AUDIT_ONLY} for part in rule["parts"]]
            return found
        try:
            policies = (*configured(self._settings), *self._desired.read())
        except IntactError as error:
            self._problem = str(error)
            return []
        note = self._problem if self._settings.enabled else OFF
        part = {"mechanism": "none", "effective": "not_enforced", "self_test": "", "note": note}
        return [
            {
                "policy": policy.name,
                "rule_id": rule.id,
                "host": self._host.name,
                "asked": rule.action,
                "effective": "not_enforced",
                "fail": rule.fail,
                "hits": 0,
                "parts": [part],
            }
            for policy in policies
            for rule in policy.rules
        ]


def _no_root(process: int) -> int:
    del process
    return 0
