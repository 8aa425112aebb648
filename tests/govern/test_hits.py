"""Hits: what the kernel side wrote becomes one fact with its rule, its mechanism and what came of it."""

import os
from ctypes import sizeof
from dataclasses import replace

import pytest

from intact.govern import layouts
from intact.govern.hits import hit_of_gate, hit_of_record, rows
from intact.govern.layouts import EXEC_PATH_ROOM, Action, HitKind, Outcome
from intact.govern.plan import make_plan
from intact.model.identity import host_hash, process_id
from intact.model.slice import Host
from tests.govern.governed import policy

HOST = Host(name="here", boot_id="b0", kernel="6", boot_offset_ns=1_000)
REBOOT = {"id": "block-reboot", "exec": {"path": "/sbin/reboot", "argv": [{"is": "now"}]}}
RECORD_BYTES = 1024


def record_of(action: Action, outcome: Outcome, *, result: int = 0, argv: bytes = b"reboot\0now\0") -> bytes:
    """`reboot now`, as the program at exec tells it."""
    path = b"/sbin/reboot"
    head = layouts.Hit(
        ktime_ns=5, start_ns=3, tgid=13, tid=14, uid=1, gid=2, rule=0, result=result, kind=HitKind.EXEC, action=action,
        outcome=outcome, path_length=len(path), argv_length=len(argv), comm=b"reboot",
    )  # fmt: skip
    return (bytes(head) + path.ljust(EXEC_PATH_ROOM, b"\0") + argv).ljust(RECORD_BYTES, b"\0")


def test_a_record_of_an_exec_has_its_rule_its_words_and_its_mechanism() -> None:
    plan = make_plan([policy({**REBOOT, "action": "deny"})], {})
    hit = hit_of_record(record_of(Action.DENY, Outcome.PREVENTED), plan, HOST)
    assert (hit.rule_id, hit.target, hit.action, hit.mechanism, hit.outcome, hit.signal) == (
        *("block-reboot", "exec", "deny", "exec_kill", "prevented"),
        9,
    )
    assert (hit.path, hit.argv, hit.comm) == ("/sbin/reboot", ("reboot", "now"), "reboot")
    assert (hit.process_id, hit.pid, hit.tid, hit.at_ns) == (process_id(host_hash("b0"), 13, 3), 13, 14, 1_005)
    (row,) = rows([hit], epoch=99).to_pylist()
    assert (row["rule_id"], row["argv"], row["path"], row["policy_epoch"]) == (
        *("block-reboot", ["reboot", "now"]),
        *("/sbin/reboot", 99),
    )


@pytest.mark.parametrize(
    ("action", "outcome", "guarantee"),
    [(Action.AUDIT, Outcome.OBSERVED, "audit_only"), (Action.DENY, Outcome.MISSED, "best_effort")],
)
def test_what_was_not_prevented_says_so_and_has_no_errno(action: Action, outcome: Outcome, guarantee: str) -> None:
    plan = make_plan([policy({**REBOOT, "action": action.name.lower()})], {})
    hit = hit_of_record(record_of(action, outcome), plan, HOST)
    (row,) = rows([hit], epoch=99).to_pylist()
    assert (row["action"], row["outcome"], row["guarantee"]) == (action.name.lower(), outcome.name.lower(), guarantee)
    assert (hit.signal, row["errno"]) == (0, 0)


def test_a_prevented_hit_has_the_errno_that_was_given() -> None:
    plan = make_plan([policy({**REBOOT, "action": "deny"})], {})
    hit = hit_of_record(record_of(Action.DENY, Outcome.PREVENTED), plan, HOST)
    (row,) = rows([replace(hit, result=-1)], epoch=1).to_pylist()
    assert row["errno"] == 1


def test_a_record_too_short_is_an_error() -> None:
    plan = make_plan([policy({**REBOOT, "action": "deny"})], {})
    with pytest.raises(ValueError, match="at least"):
        hit_of_record(record_of(Action.DENY, Outcome.PREVENTED)[: sizeof(layouts.Hit) - 1], plan, HOST)


def test_a_record_of_a_rule_that_is_gone_has_no_name_made_up() -> None:
    hit = hit_of_record(record_of(Action.DENY, Outcome.PREVENTED), make_plan([], {}), HOST)
    assert (hit.rule_id, hit.policy) == ("", "")


def test_bytes_that_are_no_text_read_as_elsewhere() -> None:
    plan = make_plan([policy({**REBOOT, "action": "deny"})], {})
    hit = hit_of_record(record_of(Action.DENY, Outcome.PREVENTED, argv=b"reboot\0n\xffw \xc3\xa4\0"), plan, HOST)
    assert hit.argv == ("reboot", "n\\xffw ä")
    told = {"rule": 0, "kind": "open", "tgid": 1, "tid": 1, "start_ns": 1, "ktime_ns": 1}
    assert hit_of_gate({**told, "path": os.fsdecode(b"/x/\xfe\xc3\xa4")}, plan, HOST).path == "/x/\\xfeä"
    rows([hit], epoch=1).validate(full=True)


def test_a_hit_tells_the_parent_that_is_known() -> None:
    plan = make_plan([policy({**REBOOT, "action": "deny"})], {})
    hit = hit_of_record(record_of(Action.DENY, Outcome.PREVENTED), plan, HOST)
    (row,) = rows([replace(hit, ppid=12)], epoch=1).to_pylist()
    assert (row["pid"], row["ppid"]) == (13, 12)
