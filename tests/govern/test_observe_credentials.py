"""A rule about credentials meets what it names: a change of it, or a refused try; not a call that changed nothing."""

from typing import Any

import pytest

from intact.govern.observe import Observer
from intact.govern.plan import make_plan
from intact.model.effects import FAMILIES, Kind
from intact.model.slice import Slice
from tests.govern.governed import policy
from tests.store.slices import batch

CALLS: dict[str, dict[str, Any]] = {
    "setuid": {"old_uid": 0, "new_uid": 9, "old_caps": 7, "new_caps": 0},
    "setresgid": {"old_sgid": 0, "new_sgid": 9},
    "setresuid": {},  # -1, -1, -1
    "setgroups": {"old_groups": [[1]], "new_groups": [[2]]},
    "capset": {"old_permitted": 7, "new_permitted": 3},
    "exec": {"old_euid": 9, "new_euid": 0, "old_caps": 0, "new_caps": 7},
    "setreuid": {"result": -1},
    "setfsgid": {"result": -1},
}


@pytest.mark.parametrize(
    ("change", "met"),
    [
        ("uid", ["setuid", "exec", "setreuid"]),
        ("gid", ["setresgid", "setfsgid"]),
        ("groups", ["setgroups"]),
        ("capabilities", ["capset", "exec"]),
        (["uid", "groups"], ["setuid", "setgroups", "exec", "setreuid"]),
    ],
)
def test_a_rule_meets_what_it_names(change: Any, met: list[str]) -> None:
    rule = {"id": "c", "credential": {"change": change}, "action": "audit"}
    watching = Observer(make_plan([policy(rule)], {}).parts, lambda pid: 0)
    schema, kind = FAMILIES["credential"], int(Kind.CREDENTIAL_CHANGE)
    found = []
    for call, values in CALLS.items():
        rows = batch(schema, 1, kind=kind, call=call, **values)
        found += [call for _ in watching.observe(Slice(until_ns=0, effects={"credential": rows}))]
    assert found == met
