"""Keys of the config as policies: what they mean here, what cannot be held, and what the mode makes of them."""

from pathlib import Path

import pytest

from intact.govern.compile import exec_entries
from intact.govern.configured import bounded, configured, in_mode
from intact.govern.governor import HOST_SCOPE
from intact.govern.plan import CGROUP, EVERYONE, EXEC_KILL, MOST_SELECTORS, NOT_ENFORCED, make_plan
from intact.govern.policy import Policy
from intact.model.config import Enforcement, load_config
from intact.model.errors import UsageError


def enforcement(**keys: object) -> Enforcement:
    return Enforcement.model_validate({"enabled": True, **keys})


def test_rules_of_the_config_become_policies() -> None:
    found = configured(
        enforcement(
            rules=[
                {"id": "tools", "exec": {"exact": ["/usr/bin/curl"], "suffix": ["/wget"], "prefix": ["/opt/x/"]}},
                {
                    "action": {"type": " Audit "},
                    "exec": {
                        "exact": ["/usr/bin/git"],
                        "argv_matches": [{"index": 1, "value": "push"}, {"op": "prefix", "value": "--f", "index": 2}],
                        "cmdline_prefixes": ["git reset"],
                    },
                },
            ]
        )
    )
    assert [policy.name for policy in found] == ["config", "config.2", "config.3"]
    tools, git = found[0].rules
    assert tools.exec is not None
    assert (tools.id, tools.action, tools.exec.path) == ("tools", "deny", ["/usr/bin/curl", "wget", "/opt/x/**"])
    assert (git.id, git.action) == ("rule-2", "audit")
    selectors = [policy.rules[-1].exec for policy in found]
    assert all(match is not None and match.path == ["/usr/bin/git"] for match in selectors)
    assert [bool(match and match.line) for match in selectors] == [False, False, True]
    assert len(exec_entries(make_plan(found, {}).of(EXEC_KILL))) == 4  # wget by its name, and git three times


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"exec": {"suffix": ["/bin/sh"]}}, "suffix '/bin/sh'"),
        ({"exec": {"exact": ["curl/x"]}}, "curl/x"),
        ({"exec": {"exact": ["/proc/self/exe"]}}, "/proc"),
    ],
)
def test_what_cannot_be_said_is_an_error(rule: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        configured(enforcement(rules=[rule]))


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("{syscall: {names: [reboot]}}", "system call"),
        ("{target_type: syscall}", "system call"),
        ("{id: x}", "names a path"),
    ],
)
def test_what_cannot_be_held_is_refused(tmp_path: Path, rule: str, told: str) -> None:
    file = tmp_path / "intact.yaml"
    file.write_text(f"inputs: {{proc: {{ai_agent: {{enforcement: {{rules: [{rule}]}}}}}}}}\n")
    with pytest.raises(UsageError, match=told):
        load_config(file, environ={})


@pytest.mark.parametrize(
    "outputs",
    [
        "{webhook: {url: 'ftp://x/'}}",
        "{webhook: {url: 'http://'}}",
        "{webhook: {url: 'http://x:99999/'}}",
        "{syslog: {address: localhost}}",
        "{syslog: {address: 'tcp://x:1'}}",
        "{webhook: {retries: 11}}",
        "{queue: 0}",
    ],
)
def test_outputs_are_checked(tmp_path: Path, outputs: str) -> None:
    file = tmp_path / "intact.yaml"
    file.write_text(f"outputs: {outputs}\n")
    with pytest.raises(UsageError, match=r"outputs\."):
        load_config(file, environ={})


def test_audit_only_takes_the_teeth_out_of_every_rule() -> None:
    policy = Policy.model_validate(
        {
            "name": "p",
            "rules": [
                {"id": "a", "connect": {}, "action": "deny", "fail": "closed"},
                {"id": "b", "file": {"path": "/tmp/x"}, "action": "kill"},
                {"id": "c", "credential": {}, "action": "deny"},
            ],
        }
    )
    assert in_mode([policy], audit_only=False) == (policy,)
    (found,) = in_mode([policy], audit_only=True)
    assert {(rule.action, rule.fail) for rule in found.rules} == {("audit", "open")}
    assert {part.promise for part in make_plan([found], {}).parts} == {"observed"}
    bounded([policy], 3)
    with pytest.raises(UsageError, match="max_rules allows 2"):
        bounded([policy], 2)


def test_a_rule_without_an_agent_is_for_agents_alone_in_a_sensor() -> None:
    policy = Policy.model_validate(
        {
            "name": "p",
            "rules": [
                {"id": "any", "connect": {}, "action": "deny"},
                {"id": "one", "agent": "claude*", "connect": {}, "action": "deny"},
                {"id": "tree", "tree": "claude", "connect": {}, "action": "deny"},
            ],
        }
    )
    plan = make_plan([policy], {CGROUP: HOST_SCOPE}, agents_only=True)
    assert not any(part.groups & EVERYONE for part in plan.parts[:2])
    assert plan.groups_of("codex") & plan.parts[0].groups
    assert not plan.groups_of("codex") & plan.parts[1].groups
    assert {part.promise for part in plan.parts} == {NOT_ENFORCED}
    assert "host scope" in plan.parts[0].note
    assert "use agent" in plan.parts[2].note
    later = make_plan([policy.model_copy(update={"rules": policy.rules[1:]})], {}, selectors=plan.selectors)
    assert later.parts[0].groups == plan.parts[1].groups  # bits that processes have keep their meaning
    with pytest.raises(UsageError, match="names of agents"):
        make_plan([policy], {}, selectors=[f"agent-{n}" for n in range(MOST_SELECTORS)])
