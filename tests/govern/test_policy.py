"""Policy files: what is read, and each error with its line and a remedy."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intact.govern.compile import exec_entries, net_entries
from intact.govern.layouts import Action, ArgumentMatch, PathMatch
from intact.govern.plan import CGROUP, EXEC_KILL, FANOTIFY, NONE, OBSERVE, make_plan
from intact.govern.policy import Policy, PolicyError, parse_policy, read_policy
from intact.model.errors import UsageError


def policy_of(rules: str) -> Policy:
    return parse_policy(f"name: t\nrules:\n{rules}".encode())


WHOLE = b"""
name: whole
description: every kind of rule
rules:
  - id: net
    connect: {address: [10.0.0.0/8, "2001:db8::/32"], port: [443, 8000-8100], protocol: tcp}
    action: deny
    fail: closed
    except:
      - {address: 10.1.0.0/16, port: 443}
      - address: 10.2.0.1
  - id: listen
    bind: {port: 1-1023}
    action: audit
  - id: keys
    file: {path: [/home/a/.ssh/**, /home/a/*.pem, /etc/shadow], access: [read, write, delete]}
    action: kill
    except: [{program: /usr/bin/ssh}]
  - id: push
    agent: "claude*"
    exec: {path: git, argv: [{index: 1, is: push}, {starts: --force}]}
    action: kill
  - id: pipe
    exec: {line: {contains: "| sh"}}
    action: deny
  - id: root
    credential: {change: uid}
    action: audit
"""


def test_every_kind_of_rule_is_read_and_finds_its_mechanism() -> None:
    policy = parse_policy(WHOLE)
    plan = make_plan([policy], {})
    held = {(part.rule.id, part.mechanism, part.promise) for part in plan.parts}
    assert held == {
        ("net", CGROUP, "prevented"),
        ("listen", CGROUP, "observed"),
        ("keys", FANOTIFY, "prevented"),
        ("keys", OBSERVE, "stopped_after"),
        ("push", EXEC_KILL, "prevented"),
        ("pipe", EXEC_KILL, "prevented"),
        ("root", OBSERVE, "observed"),
    }
    assert plan.groups_of("claude-code") == 3
    assert plan.groups_of("codex") == 1
    # 2 exceptions, then 2 networks by 2 ports; both protocols of an address are one entry
    assert [entry.action for entry in net_entries(plan.of(CGROUP))] == [Action.EXCEPT] * 2 + [Action.DENY] * 4 + [
        Action.AUDIT
    ] * 2
    push, pipe = exec_entries(plan.of(EXEC_KILL))
    assert (push.path, push.path_match, push.conditions, push.groups) == (b"/git", PathMatch.ENDS, 2, 2)
    assert (pipe.path_match, pipe.condition[0].match) == (PathMatch.ANY, ArgumentMatch.LINE_CONTAINS)


WRONG = {
    "unknown key": ("  - {id: a, conect: {}, action: deny}\n", 3, "unknown key 'conect'", "allowed here: id"),
    "unknown action": (
        "  - id: a\n    connect: {}\n    action: block\n",
        5,
        "not a value",
        "'audit', 'deny' or 'kill'",
    ),
    "no action": ("  - id: a\n    connect: {}\n", 3, "'action' is missing", "add it"),
    "no target": ("  - {id: a, action: deny}\n", 3, "one of exec, file, connect", ""),
    "two targets": ("  - {id: a, action: deny, connect: {}, bind: {}}\n", 3, "only one", ""),
    "relative path": ("  - id: a\n    action: deny\n    file:\n      path: ~/x\n", 6, "not absolute", "whole path"),
    "parent path": ("  - {id: a, action: deny, file: {path: /a/../b}}\n", 3, "holds ..", "the path it means"),
    "whole machine": ("  - {id: a, action: deny, file: {path: /**}}\n", 3, "whole machine", "name a directory"),
    "device": ("  - {id: a, action: deny, file: {path: /dev/sda}}\n", 3, "in /dev", "files on a disk"),
    "wildcard inside": ("  - {id: a, action: deny, file: {path: /a/*/b}}\n", 3, "last part", ""),
    "address": ("  - {id: a, action: deny, connect: {address: 10.0.0.1/8}}\n", 3, "no address", "10.0.0.0/8"),
    "host name": ("  - {id: a, action: deny, connect: {address: example.com}}\n", 3, "no address", "192.0.2.7"),
    "port": ("  - {id: a, action: deny, connect: {port: 70000}}\n", 3, "no port", "8000-8100"),
    "ports backwards": ("  - {id: a, action: deny, connect: {port: 90-80}}\n", 3, "no port", ""),
    "port yes": ("  - {id: a, action: deny, connect: {port: yes}}\n", 3, "no port", ""),
    "every exec": ("  - {id: a, action: deny, exec: {}}\n", 3, "matches every exec", "name path"),
    "two texts": ("  - {id: a, action: deny, exec: {argv: [{is: a, ends: b}]}}\n", 3, "only one", ""),
    "empty exception": ("  - {id: a, action: deny, connect: {}, except: [{}]}\n", 3, "undo the rule", ""),
    "odd exception": (
        "  - {id: a, action: deny, connect: {}, except: [{path: /a}]}\n",
        3,
        "allowed: address, port",
        "",
    ),
    "same id": ("  - &a {id: a, action: deny, connect: {}}\n  - *a\n", 3, "anchors", "write the value out"),
    "two of an id": (
        "  - {id: a, action: deny, connect: {}}\n  - {id: a, action: deny, bind: {}}\n",
        1,
        "two rules have the id 'a'",
        "told apart",
    ),
    "tag": ("  - !!python/object:os.system {id: a}\n", 3, "", ""),
    "twice": ("  - id: a\n    id: b\n", 4, "stands here twice", "keep one"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_error_has_its_line_and_a_remedy(case: str) -> None:
    rules, line, message, remedy = WRONG[case]
    with pytest.raises(PolicyError) as caught:
        policy_of(rules)
    problem = caught.value.problems[0]
    # the whole-file problem stands at the first line
    assert problem.line == line, problem
    assert message in str(problem)
    assert remedy in problem.remedy, problem
    assert problem.remedy
    assert "\n" not in str(problem)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        policy_of("  - {id: a, connect: {port: x}, action: deny}\n  - {id: b, file: {path: x}, action: no}\n")
    assert [problem.line for problem in caught.value.problems] == [3, 4, 4]
    assert "2 more" in str(caught.value)


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe", b"a: [", b"- 1", b"[" * 100, b"x: " + b"a" * (1 << 20), b"\x00", b"7"]
)
def test_what_is_no_policy_is_one_clear_error(raw: bytes) -> None:
    with pytest.raises(PolicyError):
        parse_policy(raw)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet="{}[]:-&*!|>'\"\n #az0", max_size=200).map(str.encode))
def test_no_input_does_worse_than_an_error(raw: bytes) -> None:
    with pytest.raises(PolicyError):
        parse_policy(raw)


def test_a_missing_file_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_policy(tmp_path / "none.yaml")


def test_what_cannot_be_used_is_not_promised() -> None:
    policy = policy_of(
        "  - {id: p, exec: {path: /bin/a}, action: deny}\n"
        "  - {id: f, file: {path: /tmp/a}, action: deny}\n"
        "  - {id: n, connect: {}, action: deny}\n"
        "  - {id: c, credential: {}, action: deny}\n"
    )
    unusable = {FANOTIFY: "refused", CGROUP: "refused", "seccomp": "not built"}
    found = {part.rule.id: part for part in make_plan([policy], unusable).parts}
    assert (found["p"].mechanism, found["f"].mechanism, found["n"].mechanism) == (EXEC_KILL, NONE, NONE)
    assert "link" in found["p"].note
    assert {found[name].promise for name in "fnc"} == {"not_enforced"}


def test_a_rule_for_another_tree_is_not_in_effect() -> None:
    policy = policy_of("  - {id: a, tree: claude, connect: {}, action: deny}\n")
    assert make_plan([policy], {}, program="/usr/bin/claude").parts[0].mechanism == CGROUP
    assert make_plan([policy], {}, program="/usr/bin/codex").parts[0].promise == "not_enforced"
