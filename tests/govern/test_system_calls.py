"""Rules on system calls: refused by number to what is launched, in every instruction set, and nothing promised beyond."""

import os
from pathlib import Path

import pytest

from intact.govern.plan import make_plan
from intact.govern.policy import PolicyError, parse_policy
from intact.govern.seccomp import filter_of
from tests.e2e.recorded import kernel_test, record
from tests.govern.governed import policy
from tests.govern.test_credentials import call, compat, in_child

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter is written for x86-64")

NAMES = ["reboot", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load"]
DENY = {"id": "calls", "syscall": {"name": NAMES}, "action": "deny"}
# Arguments that the kernel refuses too, with another number: where the filter fails, nothing happens.
TRIES = (
    (169, 0, 0, 0, 0),
    (175, 0, 0, 0),
    (313, -1, 0, 0),
    (176, 0, 0),
    (246, 0, 0, 0, 0xFFFF),
    (320, -1, -1, 0, 0, 0xFFFF),
)


def test_each_call_is_refused_and_no_other() -> None:
    told = in_child(NAMES, lambda: [*(call(*arguments) for arguments in TRIES), int(call(39) == os.getpid())])
    assert told[:7] == [-1] * 6 + [1]


def test_only_what_is_named_is_refused() -> None:
    assert in_child(["delete_module"], lambda: [call(*TRIES[3]), call(105, os.getuid())])[:2] == [-1, 0]


def test_32_bit_calls_are_no_way_around() -> None:
    told = in_child(NAMES, lambda: [compat(88), compat(128), compat(129), compat(350), int(compat(20) > 0)])
    assert told[:4] == [-1] * 4
    if not told[4]:
        pytest.skip("this kernel takes no 32-bit calls")


def test_one_filter_holds_calls_and_changes() -> None:
    assert in_child(["reboot", "uid"], lambda: [call(*TRIES[0]), call(105, os.getuid())])[:2] == [-1, -1]
    assert filter_of(["uid", "reboot"]) == filter_of(["reboot", "uid", "reboot"])


def test_a_rule_is_held_by_seccomp_and_says_that_nobody_counts() -> None:
    (part,) = make_plan([policy(DENY)], {}).parts
    assert (part.mechanism, part.promise, part.access) == ("seccomp", "prevented", tuple(NAMES))
    assert "not counted" in part.note


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{id: a, syscall: {name: reboot}, action: audit}", "no hook tells"),
        ("{id: a, syscall: {name: reboot}, action: kill}", "no hook tells"),
        ("{id: a, syscall: {name: reboot}, action: deny, agent: x}", "use tree"),
        ("{id: a, syscall: {name: openat}, action: deny}", "use one of"),
        ("{id: a, syscall: {name: reboot}, action: deny, except: [{program: /bin/x}]}", "allowed: none"),
    ],
)
def test_what_cannot_be_held_is_refused(rule: str, words: str) -> None:
    with pytest.raises(PolicyError, match="line 2") as caught:
        parse_policy(f"name: p\nrules: [{rule}]\n".encode())
    assert words in str(caught.value)


@kernel_test
def test_a_recorded_command_cannot_reboot(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("name: p\nrules:\n  - {id: stay, syscall: {name: [reboot]}, action: deny, fail: closed}\n")
    source = (
        "import ctypes\nl = ctypes.CDLL(None, use_errno=True)\nl.syscall(169, 0, 0, 0, 0)\nprint(ctypes.get_errno())"
    )
    ended = record(tmp_path / "data", "python3", "-c", source, options=("--policy", str(file)))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == [b"1"]
