"""With the whole host as scope nothing is attached to the cgroup, which is everybody's, and nobody's cgroup is killed."""

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from intact.govern import governor as module
from intact.govern.governor import Governor
from intact.govern.policy import Policy
from intact.model.errors import NotSupported
from intact.model.slice import Host

MOUNT = Path("/nowhere/cgroup2")


def started(monkeypatch: pytest.MonkeyPatch, cgroup: Path, **rule: Any) -> tuple[Governor, MagicMock]:
    net = MagicMock()
    for name, stub in (("Scope", MagicMock()), ("CgroupNet", net), ("ExecKill", MagicMock())):
        monkeypatch.setattr(module, name, stub)
    monkeypatch.setattr(Governor, "_prove", lambda self: None)
    monkeypatch.setattr(Governor, "processes", lambda self: set())
    kernel = MagicMock()
    kernel.counters.return_value = ()
    rules = [{"id": "net", "connect": {"address": "192.0.2.1"}, "action": "deny", **rule}]
    policy = Policy.model_validate({"name": "p", "rules": rules})
    made = Governor(cgroup, [policy], MagicMock(spec=Host), kernel=kernel, mount=MOUNT)
    made.agents_only = True
    made.start()
    return made, net.return_value.attach


def test_rules_by_address_are_not_enforced_and_nothing_is_attached(monkeypatch: pytest.MonkeyPatch) -> None:
    made, attach = started(monkeypatch, MOUNT)
    (rule,) = made.status()
    assert rule.effective == "not_enforced"
    assert "host scope" in rule.parts[0].note
    attach.assert_not_called()


def test_in_a_cgroup_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    made, attach = started(monkeypatch, MOUNT / "agents")
    assert [rule.effective for rule in made.status()] == ["prevented"]
    attach.assert_called_once_with(MOUNT / "agents")


def test_fail_closed_would_kill_everybody_and_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotSupported, match="fail: closed, which kills a cgroup"):
        started(monkeypatch, MOUNT, fail="closed")
