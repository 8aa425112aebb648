"""`intact policy`: check, apply and remove policies, and tell what of them is in effect."""

import json
import os
import pwd
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from intact.cli.terminal import console, plural, safe
from intact.govern.compile import exec_entries, net_entries
from intact.govern.plan import CGROUP, EXEC_KILL, make_plan
from intact.govern.policy import Policy, PolicyError, read_policy
from intact.govern.state import Applied, State
from intact.model.errors import IntactError, UsageError
from intact.store.runs import DataDirectory


class Doing(StrEnum):
    CHECK = "check"
    APPLY = "apply"
    REMOVE = "remove"
    STATUS = "status"


def run(
    doing: Doing = typer.Argument(..., metavar="check|apply|remove|status", help="What to do."),
    file: str | None = typer.Argument(None, metavar="FILE", help="The policy; remove and status also take its name."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> int:
    """Check a policy, ask for it or no longer, and see what of it is in effect on this host.

    Example: intact policy check no-keys.yaml && sudo -E intact policy apply no-keys.yaml
    """
    state = State(DataDirectory.locate(data).path)
    if doing is Doing.STATUS:
        return status(state, file, as_json)
    if file is None:
        raise UsageError(f"no file given; write: intact policy {doing} FILE")
    if doing is Doing.CHECK:
        return check(Path(file), as_json)
    if doing is Doing.APPLY:
        return apply(state, Path(file), as_json)
    return remove(state, file, as_json)


def check(file: Path, as_json: bool) -> int:
    """Every problem of a policy with its line; else what each rule would be held by."""
    try:
        policy = read_policy(file)
        parts = planned(policy)
    except PolicyError as error:
        problems = [
            {"line": p.line, "where": p.where, "message": p.message, "remedy": p.remedy} for p in error.problems
        ]
        if as_json:
            typer.echo(json.dumps({"ok": False, "problems": problems}, indent=2))
        else:
            for problem in error.problems:
                typer.echo(safe(f"{file}: {problem}"), err=True)
        return 1
    if as_json:
        typer.echo(json.dumps({"ok": True, "name": policy.name, "rules": parts}, indent=2))
        return 0
    _print(parts, ("rule", "asked", "mechanism", "promise", "note"))
    console().print(f"{safe(policy.name)}: {plural(len(policy.rules), 'rule')}, no problem")
    return 0


def planned(policy: Policy) -> list[dict[str, Any]]:
    """What each part of each rule would be held by on a kernel like this one; nothing is tried."""
    plan = make_plan([policy], {}, program="*")
    net_entries(plan.of(CGROUP))
    exec_entries(plan.of(EXEC_KILL))
    return [
        {
            "rule": part.rule.id,
            "asked": part.rule.action,
            "mechanism": part.mechanism,
            "promise": part.promise,
            "note": part.note,
        }
        for part in plan.parts
    ]


def apply(state: State, file: Path, as_json: bool) -> int:
    """Ask for a policy: every scope that runs takes it within a second, every later one at its start."""
    policy = read_policy(file)
    planned(policy)
    applied = Applied(text=file.read_text(), by=who(), at_ns=time.time_ns(), source=str(file.absolute()))
    desired = state.apply(policy.name, applied)
    running = len(state.effective(time.time_ns()))
    told = {"policy": policy.name, "revision": desired.revision, "running_scopes": running}
    where = f"{plural(running, 'running scope')} will take it within a second" if running else "no scope runs now"
    typer.echo(json.dumps(told) if as_json else f"{policy.name} is asked for (revision {desired.revision}); {where}")
    return 0


def remove(state: State, name: str, as_json: bool) -> int:
    """Ask for a policy no longer, by its file or its name."""
    if os.path.exists(name):
        name = read_policy(Path(name)).name
    desired = state.remove(name, by=who(), at_ns=time.time_ns())
    told = {"policy": name, "revision": desired.revision}
    typer.echo(json.dumps(told) if as_json else f"{safe(name)} is asked for no longer (revision {desired.revision})")
    return 0


def status(state: State, file: str | None, as_json: bool) -> int:
    """Per rule and scope: asked, effective, mechanism, self-test, hits."""
    wanted = None
    if file is not None:
        wanted = read_policy(Path(file)).name if os.path.exists(file) else file
    desired = state.desired()
    scopes = state.effective(time.time_ns())
    names = {name for name in desired.policies if wanted in (None, name)}
    found = [
        {"scope": scope, **rule, "revision": body["revision"]}
        for scope, body in scopes.items()
        for rule in body["rules"]
        if wanted in (None, rule["policy"])
    ]
    if wanted is not None and wanted not in desired.policies and not found:
        raise IntactError(f"{wanted} is neither asked for nor in effect; apply it with: intact policy apply FILE")
    if as_json:
        asked = {
            name: {"by": desired.policies[name].by, "at_ns": desired.policies[name].at_ns} for name in sorted(names)
        }
        typer.echo(json.dumps({"revision": desired.revision, "desired": asked, "effective": found}, indent=2))
        return 0
    rows = [
        {
            "scope": rule["scope"],
            "rule": f"{rule['policy']}/{rule['rule_id']}",
            "asked": rule["asked"],
            "effective": rule["effective"],
            "mechanism": ", ".join(f"{part['mechanism']}: {part['effective']}" for part in rule["parts"]),
            "self-test": "; ".join(sorted({part["self_test"] for part in rule["parts"] if part["self_test"]})) or "–",
            "hits": str(rule["hits"]),
            "note": "; ".join(part["note"] for part in rule["parts"] if part["note"]),
        }
        for rule in found
    ]
    if rows:
        _print(rows, tuple(rows[0]))
    for scope, body in scopes.items():
        if body.get("problem"):
            console().print(f"{safe(scope)}: revision {body['revision']} is not in effect: {safe(body['problem'])}")
    idle = sorted(names - {rule["policy"] for rule in found})
    if idle:
        console().print(f"asked for and in effect nowhere, since no scope holds it: {safe(', '.join(idle))}")
    if not rows and not idle:
        console().print("no policy is asked for, and none is in effect")
    return 0


def who() -> str:
    """Who asks: the person behind sudo too."""
    names = []
    for uid in (os.environ.get("SUDO_UID", ""), str(os.getuid())):
        if uid.isdigit():
            try:
                names.append(pwd.getpwuid(int(uid)).pw_name)
            except KeyError:
                names.append(uid)
    return " as ".join(names)


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(safe(str(row[column])) for column in columns))
    console().print(table)
