"""The governance expert: what did an agent do, why, was it risky, what did it cost, and was all of it seen.

A topic is a function that calls tools and says sentences; `_TOPICS` is the list of them. To add one: a rule in
`understand/asked.py`, a function here, its sentences in `governance_texts.py`.
"""

import re
from collections.abc import Awaitable, Callable, Sequence

from intact.assist.answers import Evidence
from intact.assist.asking import Language, Question
from intact.assist.events import Chart
from intact.assist.expert import Case, Expert, Report, Value
from intact.assist.experts.governance_files import (
    CHANGED,
    bytes_moved,
    commands,
    failed_commands,
    paths,
    permissions,
    processes,
    program,
    rename,
)
from intact.assist.experts.governance_texts import BASES_ZH
from intact.assist.experts.governance_work import MAX_LISTED, Work, cell, count, look, nothing, total
from intact.assist.understand.asked import Aggregation, understood
from intact.assist.understand.entities import names_in
from intact.query.catalogue import in_language
from intact.query.risk import BY_NAME

_ABOUT_AGENTS = frozenset(
    {"agent", "run", "token", "tool", "call", "model", "cost", "policy", "finding", "unexplained"}
)

_WELL_KNOWN = re.compile(
    r"(?<![A-Za-z0-9_./-])(?:claude|codex|cursor|aider|copilot|opencode|cline)(?![A-Za-z0-9_./-])",
    re.IGNORECASE | re.ASCII,
)


async def _playbook(case: Case) -> Report | None:
    question = case.question
    asked = understood(question.text, question.asked_ns, question.language)
    if asked.topic is None:
        return None
    work = Work(case, asked)
    if not await look(work):
        return work.report("cannot_tell")
    unknown = _unknown_agent(work)
    if unknown:
        work.say("no_such_agent", {"name": unknown})
    verdict = await _TOPICS[asked.topic](work)
    if not verdict:
        return None
    for also in _DEEDS:  # how many were created, and how many deleted?
        if asked.topic in _DEEDS and also != asked.topic and also in asked.concepts and "why" not in asked.concepts:
            await _TOPICS[also](work)
    has_gaps = False if asked.topic in _ABOUT_RECORDS else await _tell_gaps(work)
    if verdict == "nothing_wrong" and has_gaps:
        verdict = "cannot_tell"
    return work.report(verdict)


def _unknown_agent(work: Work) -> str:
    """A well-known agent that a question names and no run has: what is told then is of others."""
    if work.agent or work.runs is None or work.asked.topic in ("cost", "tokens", "calls", "models", "latency"):
        return ""
    found = _WELL_KNOWN.search(work.case.question.text)
    if found is None:
        return ""
    known = {str(cell).lower() for row in work.runs.answer.rows for cell in row if isinstance(cell, str)}
    return "" if any(found[0].lower() in each for each in known) else found[0].capitalize()


async def _tell_gaps(work: Work) -> bool:
    """Say of which runs not all was seen; whether there are any."""
    found = await work.call("losses")
    gaps = _incomplete(found)
    for row in gaps[:3]:
        values = _loss_values(found, row)
        if found.answer.cell(row, "clipped_calls"):
            work.say("gap_clipped", **values)
        else:
            work.say("gap", name=values["name"], lost=values["lost"])
    return bool(gaps)


def _incomplete(losses: Evidence) -> list[int]:
    answer = losses.answer
    return [
        row
        for row in range(len(answer.rows))
        if answer.cell(row, "lost") or answer.cell(row, "clipped_calls") or answer.cell(row, "short_stages")
    ]


def _loss_values(losses: Evidence, row: int) -> dict[str, Value]:
    return {
        "name": cell(losses, "name", row),
        "lost": cell(losses, "lost", row),
        "clipped": cell(losses, "clipped_calls", row),
    }


def _by(work: Work) -> str | None:
    """What sums are wanted by; None: one sum."""
    found, asked = work.asked.concepts, work.asked
    for concept, by in (("day", "day"), ("hour", "hour"), ("per_run", "run")):
        if concept in found:
            return by
    if asked.aggregation not in (Aggregation.TOP, Aggregation.COMPARE, Aggregation.LIST):
        return None
    if "agent" in found and not work.agent and (asked.aggregation is not Aggregation.LIST or "list" in found):
        return "agent"
    if "model" in found and not asked.entities.models:
        return "model"
    if "run" in found and not work.given.get("runs") and not asked.wants_latest:
        return "run" if asked.aggregation is not Aggregation.LIST else None
    return None


def _model(work: Work) -> dict[str, str]:
    models = work.asked.entities.models
    return {"model": models[0]} if models else {}


async def _cost(work: Work) -> str:
    by = _by(work)
    if "call" in work.asked.concepts and work.asked.aggregation is Aggregation.TOP and by is None:
        return await _dearest_calls(work)
    found = await work.filtered("calls", by=by or "all", order="dearest", **_model(work))
    if not found.answer.rows:
        return nothing(work, "no_calls", found, "cannot_tell")
    if by is None:
        if {"run", "count"} <= work.asked.concepts and work.runs is not None and len(work.chosen) > 1:
            work.say("runs_counted", n=count(work.runs))
        work.say("cost", cost=cell(found, "cost_usd"), calls=cell(found, "calls"), tokens=cell(found, "tokens"))
    else:
        if by not in ("day", "hour"):
            work.say("cost_top", of=cell(found, "of"), cost=cell(found, "cost_usd"))
        work.rows("cost_row", found, {"of": "of", "cost": "cost_usd", "calls": "calls", "tokens": "tokens"})
        work.charts.append(_chart(work, found, "cost_usd", "usd"))
    if any(row[found.answer.columns.index("calls_without_price")] for row in found.answer.rows):
        work.say("unpriced", n=total(found, "calls_without_price"))
    return "answered"


async def _dearest_calls(work: Work) -> str:
    found = await work.filtered("calls", by="each", order="dearest", limit=work.asked.limit or 3, **_model(work))
    if not found.answer.rows:
        return nothing(work, "no_calls", found, "cannot_tell")
    work.say("dearest")
    work.rows("dearest_row", found, {"cost": "cost_usd", "model": "model", "at": "at_ns"})
    return "answered"


async def _tokens(work: Work) -> str:
    by = _by(work)
    found = await work.filtered("calls", by=by or "all", order="tokens", **_model(work))
    if not found.answer.rows:
        return nothing(work, "no_calls", found, "cannot_tell")
    if by is None:
        columns = {"tokens": "tokens", "input": "input_tokens", "cached": "cached_tokens", "output": "output_tokens"}
        work.say(
            "tokens", **{name: cell(found, column) for name, column in columns.items()}, calls=cell(found, "calls")
        )
        return "answered"
    work.say("tokens_top", of=cell(found, "of"), tokens=cell(found, "tokens"))
    work.rows("cost_row", found, {"of": "of", "cost": "cost_usd", "calls": "calls", "tokens": "tokens"})
    work.charts.append(_chart(work, found, "tokens", "tokens"))
    return "answered"


def _chart(work: Work, found: Evidence, column: str, unit: str) -> Chart:
    title = {"cost_usd": ("Cost", "费用"), "tokens": ("Tokens", "Token")}[column]
    name = title[1] if work.asked.language is Language.ZH else title[0]
    return Chart(title=name, kind="bar", evidence_id=found.id, x="of", y=(column,), unit=unit)


async def _calls(work: Work) -> str:
    found = await work.filtered("calls", by="all", **_model(work))
    if not found.answer.rows:
        return nothing(work, "no_calls", found, "answered")
    work.say("calls", calls=cell(found, "calls"), failed=cell(found, "failed_calls"))
    return "answered"


async def _call_errors(work: Work) -> str:
    found = await work.filtered("calls", by="error", failed=True, order="tokens", **_model(work))
    every = await work.filtered("calls", by="all", **_model(work))
    if not found.answer.rows:
        if not every.answer.rows:
            return nothing(work, "no_calls", every, "cannot_tell")
        work.say("no_call_errors", calls=cell(every, "calls"))
    else:
        work.say_whether("call_errors", n=total(found, "calls"))
        work.rows("call_errors_row", found, {"of": "of", "n": "calls"})
    if every.answer.rows and every.answer.cell(0, "incomplete_calls"):
        work.say("incomplete", n=cell(every, "incomplete_calls"))
    return "found" if found.answer.rows else "nothing_wrong"


async def _models(work: Work) -> str:
    found = await work.filtered("calls", by="model", order="tokens")
    if not found.answer.rows:
        return nothing(work, "no_calls", found, "answered")
    work.say("models", n=count(found))
    work.rows("models_row", found, {"of": "of", "calls": "calls", "tokens": "tokens"})
    return "answered"


async def _latency(work: Work) -> str:
    if work.asked.aggregation is Aggregation.TOP and "average" not in work.asked.concepts:
        found = await work.filtered("calls", by="each", order="slowest", limit=work.asked.limit or 3, **_model(work))
        if not found.answer.rows:
            return nothing(work, "no_calls", found, "cannot_tell")
        columns = {"took": "took_ns", "model": "model", "at": "at_ns"}
        work.say("slowest", **{name: cell(found, column) for name, column in columns.items()})
        for row in range(1, len(found.answer.rows)):
            work.say("slowest_row", **{name: cell(found, column, row) for name, column in columns.items()})
        return "answered"
    found = await work.filtered("calls", by="all", **_model(work))
    if not found.answer.rows:
        return nothing(work, "no_calls", found, "cannot_tell")
    work.say("latency", mean=cell(found, "mean_ns"), max=cell(found, "max_ns"), calls=cell(found, "calls"))
    if "model" in work.asked.concepts and not work.asked.entities.models:
        each = await work.filtered("calls", by="model", order="slowest")
        work.rows("latency_row", each, {"of": "of", "mean": "mean_ns", "max": "max_ns"})
    return "answered"


async def _tools(work: Work) -> str:
    found = await work.filtered("tool_calls", by="tool")
    if not found.answer.rows:
        return nothing(work, "no_tools", found, "answered")
    tools = [str(row[0]) for row in found.answer.rows]
    named = set(names_in(work.case.question.text, tools))
    if named:
        for row, tool in enumerate(tools):
            if tool in named:
                values = {"of": "of", "n": "tool_calls", "failed": "failed_tool_calls"}
                work.say("tool_named", **{name: cell(found, column, row) for name, column in values.items()})
        return "answered"
    if work.asked.aggregation is Aggregation.TOP:
        work.say("tools_top", of=cell(found, "of"), top=cell(found, "tool_calls"))
    else:
        work.say("tools", n=total(found, "tool_calls"), of=cell(found, "of"), top=cell(found, "tool_calls"))
    work.rows("tools_row", found, {"of": "of", "n": "tool_calls", "failed": "failed_tool_calls"})
    return "answered"


async def _tool_errors(work: Work) -> str:
    found = await work.filtered("tool_calls", by="tool", failed=True)
    if not found.answer.rows:
        return nothing(work, "no_tool_errors", found, "nothing_wrong")
    work.say_whether("tool_errors", n=total(found, "tool_calls"))
    work.rows("tool_errors_row", found, {"of": "of", "n": "tool_calls"})
    return "found"


async def _network(work: Work) -> str:
    hosts = work.asked.entities.hosts
    given = {"host": hosts[0].rpartition(":")[0] if hosts[0].count(":") == 1 else hosts[0]} if hosts else {}
    found = await work.filtered("network", local="outside" not in work.asked.concepts, **given)
    if not found.answer.rows:
        key = "no_outside" if "outside" in work.asked.concepts else "no_network"
        return nothing(work, key, found, "nothing_wrong" if work.asked.is_whether else "answered")
    work.say_whether("network", n=count(found))
    columns = {"address": "address", "port": "port", "n": "contacts", "agents": "agents"}
    work.rows("network_row", found, columns, limit=max(work.limit, 20))
    return "answered"


async def _signals(work: Work) -> str:
    found = await work.filtered("effects", by="each", kinds=["signal"])
    if not found.answer.rows:
        return nothing(work, "none_of_it", found, "nothing_wrong")
    work.say_whether("signals", n=count(found))
    work.rows("signals_row", found, {"detail": "detail", "object": "object", "pid": "pid", "agent": "agent"})
    return "found"


async def _why(work: Work) -> str:
    named = work.asked.entities
    target = [*named.paths, *named.hosts, *(str(pid) for pid in named.pids)][0]
    found = await work.call("why", target=target, changes=True)
    if not found.answer.rows:
        found = await work.call("why", target=target)
    if not found.answer.rows:
        return nothing(work, "no_target", found, "cannot_tell")
    kinds = {concept: kind for kind, concept in _WHY_KINDS if concept in work.asked.concepts}
    rows = range(len(found.answer.rows))
    fitting = [row for row in rows if found.answer.cell(row, "kind") in kinds.values()]
    row = (fitting or list(rows))[0]
    columns = {"object": "object", "at": "at_ns", "process": "process", "pid": "pid"}
    told = {name: cell(found, column, row) for name, column in columns.items()}
    labels = {"kind": work.label("kind", found.answer.cell(row, "kind"))}
    cause = found.answer.cell(row, "cause")
    work.given = {**work.given, "runs": [str(found.answer.cell(row, "run"))]}  # what is missing in others is no matter
    if cause == "unexplained":
        work.say("why_unexplained", labels, **told)
        return "found"
    if found.answer.cell(row, "arguments") is None or found.answer.cell(row, "model") is None:
        key = "why_plain" if found.answer.cell(row, "tool") is None else "why_tool"
        tool = {} if key == "why_plain" else {"tool": cell(found, "tool", row)}
        work.say(key, labels | {"cause": work.label("cause_kind", cause)}, **told, **tool)
    else:
        causes = {name: cell(found, name, row) for name in ("model", "tool", "arguments")}
        work.say("why", labels, **told, **causes)
    if found.answer.cell(row, "words"):
        work.say("why_words", words=cell(found, "words", row))
    if work.asked.language is Language.ZH:
        names = str(found.answer.cell(row, "basis") or "").split(", ")
        basis = "、".join(BASES_ZH[name] for name in names if name in BASES_ZH)
        work.say("why_basis", {"basis": basis}, confidence=cell(found, "confidence", row))
    else:
        work.say("why_basis", basis=cell(found, "basis", row), confidence=cell(found, "confidence", row))
    return "answered"


_WHY_KINDS = (("file_delete", "delete"), ("file_create", "create"), ("file_rename", "rename"), ("file_write", "write"),
              ("file_chmod", "chmod"))  # fmt: skip


async def _unexplained(work: Work) -> str:
    found = await work.filtered("effects", by="each", cause="unexplained", limit=MAX_LISTED)
    if not found.answer.rows:
        return nothing(work, "no_unexplained", found, "nothing_wrong")
    if found.answer.truncated:
        every = await work.filtered("effects", by="kind", cause="unexplained")
        work.say("unexplained", n=total(every, "effects"))
    else:
        work.say("unexplained", n=count(found))
    columns = {"object": "object", "pid": "pid", "agent": "agent", "at": "at_ns"}
    for row in range(min(len(found.answer.rows), work.limit)):
        labels = {"kind": work.label("kind", found.answer.cell(row, "kind"))}
        work.say("unexplained_row", labels, **{name: cell(found, column, row) for name, column in columns.items()})
    return "found"


async def _losses(work: Work) -> str:
    found = await work.call("losses")
    gaps = _incomplete(found)
    for row in gaps:
        work.say("losses", **_loss_values(found, row))
    for row in range(len(found.answer.rows)):
        if not found.answer.cell(row, "ended"):
            work.say("running", name=cell(found, "name", row))
    if gaps:
        causes = await work.call("losses", by="cause")
        work.rows("losses_row", causes, {"stage": "stage", "cause": "cause", "lost": "lost"})
        return "found"
    work.say("no_losses", n=count(found), lost=total(found, "lost"), seen=total(found, "seen"))
    return "nothing_wrong"


async def _policy(work: Work) -> str:
    found = await work.filtered("effects", by="each", kinds=["blocked"], limit=500)
    if not found.answer.rows:
        return nothing(work, "no_policy", found, "nothing_wrong")
    work.say_whether("policy", n=count(found))
    work.rows("policy_row", found, {"object": "object", "detail": "detail", "pid": "pid", "agent": "agent"})
    return "found"


async def _findings(work: Work) -> str:
    found = await work.call("findings")
    if not found.answer.rows:
        return nothing(work, "no_findings", found, "nothing_wrong")
    work.say_whether("findings", n=count(found))
    work.rows("findings_row", found, {"severity": "severity", "title": "title", "state": "state"})
    return "found"


def _risks(key: str, *names: str) -> Callable[[Work], Awaitable[str]]:
    """A topic: the risks of these kinds."""

    async def told(work: Work) -> str:
        if "sudo" in work.case.question.text.lower():
            await program(work, "sudo")
        each = [await work.filtered("risk", risk=name) for name in names]
        found = [evidence for evidence in each if evidence.answer.rows]
        if not found:
            return nothing(work, f"no_{key}", each[0], "nothing_wrong")
        columns = dict(_RISK_COLUMNS[key])
        for evidence in found:
            work.say_whether(key, n=count(evidence))
            work.rows(f"{key}_row", evidence, columns)
        return "found"

    return told


_RISK_COLUMNS = {
    "credentials": {"object": "object", "pid": "pid", "agent": "agent", "times": "times", "failed": "failed"},
    "privileges": {"object": "object", "detail": "detail", "pid": "pid", "agent": "agent"},
}


async def _risk(work: Work) -> str:
    found = await work.filtered("risk")
    if not found.answer.rows:
        return nothing(work, "no_risk", found, "nothing_wrong")
    work.say_whether("risk", n=count(found))
    for row in range(min(len(found.answer.rows), max(work.limit, 15))):
        title = in_language(BY_NAME[str(found.answer.cell(row, "risk"))].title, work.asked.language.value)
        values = {column: cell(found, column, row) for column in ("object", "severity", "pid", "agent")}
        work.say("risk_row", {"title": title}, **values)
    return "found"


async def _runs(work: Work) -> str:
    assert work.runs is not None
    work.say("runs", n=count(work.runs))
    for row in work.chosen[: work.limit]:
        is_open = work.runs.answer.cell(row, "took_ns") is None
        columns = {"name": "name", "started": "started_ns"} | ({} if is_open else {"took": "took_ns"})
        values = {name: cell(work.runs, column, row) for name, column in columns.items()}
        work.say("runs_row_open" if is_open else "runs_row", **values)
    return "answered"


async def _duration(work: Work) -> str:
    assert work.runs is not None
    rows: Sequence[int] = work.chosen
    if work.asked.aggregation is Aggregation.TOP:
        took = work.runs.answer.columns.index("took_ns")
        rows = sorted(rows, key=lambda row: -int(work.runs.answer.rows[row][took] or 0))[:1]  # type: ignore[union-attr]
    for row in rows[: work.limit]:
        if work.runs.answer.cell(row, "took_ns") is None:
            work.say("duration_open", name=cell(work.runs, "name", row), started=cell(work.runs, "started_ns", row))
        else:
            work.say("duration", name=cell(work.runs, "name", row), took=cell(work.runs, "took_ns", row))
    return "answered"


async def _exit_code(work: Work) -> str:
    assert work.runs is not None
    for row in work.chosen[: work.limit]:
        work.say("exit_code", name=cell(work.runs, "name", row), code=cell(work.runs, "exit_code", row))
    return "answered"


async def _agents(work: Work) -> str:
    found = await work.call("agents", limit=500)
    if not found.answer.rows:
        return nothing(work, "none_of_it", found, "answered")
    work.say("agents", n=count(found))
    columns = {"agent": "agent", "pid": "pid", "calls": "calls", "tools": "tool_calls", "tokens": "tokens"}
    work.rows("agents_row", found, {**columns, "cost": "cost_usd"})
    return "answered"


async def _compare(work: Work) -> str:
    """Runs side by side; only those that are named, for anything else may be compared with anything."""
    if "runs" not in work.given or len(work.chosen) < 2:
        return ""
    assert work.runs is not None
    for row in work.chosen[: work.limit]:
        run = str(work.runs.answer.cell(row, "run"))
        calls = await work.of_run("calls", run, by="all")
        files = await work.of_run("effects", run, by="all", kinds=[*CHANGED], succeeded=True)
        values = {"name": cell(work.runs, "name", row), "took": cell(work.runs, "took_ns", row)}
        work.say("compare_row", **values)
        if calls.answer.rows:
            columns = {"calls": "calls", "tokens": "tokens", "cost": "cost_usd"}
            work.say("compare_calls", **{name: cell(calls, column) for name, column in columns.items()})
        if files.answer.rows:
            work.say("compare_files", n=cell(files, "objects"))
    return "answered"


async def _summary(work: Work) -> str:
    assert work.runs is not None
    if len(work.chosen) == 1:
        columns = {"name": "name", "agents": "agent_names", "started": "started_ns"}
        work.say("summary_run", **{name: cell(work.runs, column, work.chosen[0]) for name, column in columns.items()})
    else:
        work.say("summary_runs", n=count(work.runs), name=cell(work.runs, "name"))
    await _cost(work)
    tools = await work.filtered("tool_calls", by="tool")
    if tools.answer.rows:
        work.say("summary_tools", n=total(tools, "tool_calls"), of=cell(tools, "of"))
    kinds = await work.filtered("effects", by="kind", kinds=[*CHANGED, "exec", "connect", "blocked"], succeeded=True)
    for row in range(len(kinds.answer.rows)):
        labels = {"of": work.label("kind", kinds.answer.cell(row, "of"))}
        work.say("summary_kind", labels, n=cell(kinds, "effects", row))
    return await _risk(work)


_DEEDS = ("create", "delete", "rename")
# where what is missing is the topic itself, or does not matter
_ABOUT_RECORDS = frozenset({"losses", "runs", "duration", "exit_code"})
_TOPICS: dict[str, Callable[[Work], Awaitable[str]]] = {
    "why": _why,
    "unexplained": _unexplained,
    "losses": _losses,
    "policy": _policy,
    "findings": _findings,
    "credentials": _risks("credentials", "credential_read"),
    "signals": _signals,
    "privileges": _risks("privileges", "privilege_change", "setuid_bit"),
    "risk": _risk,
    "exit_code": _exit_code,
    "tool_errors": _tool_errors,
    "cost": _cost,
    "tokens": _tokens,
    "call_errors": _call_errors,
    "latency": _latency,
    "tools": _tools,
    "permissions": permissions,
    "bytes": bytes_moved,
    "delete": paths("delete", "file_delete"),
    "rename": rename,
    "create": paths("create", "file_create"),
    "commands": commands,
    "failed_commands": failed_commands,
    "calls": _calls,
    "models": _models,
    "network": _network,
    "write": paths("write", "file_write", row="path_bytes_row"),
    "read": paths("read", "file_read", row="path_bytes_row"),
    "files": paths("files", *CHANGED),
    "duration": _duration,
    "processes": processes,
    "summary": _summary,
    "agents": _agents,
    "compare": _compare,
    "runs": _runs,
}


def _weight(question: Question) -> float:
    """By the topic of the question; less where it is about the machine itself or how something is used."""
    asked = understood(question.text, question.asked_ns, question.language)
    if asked.topic is None:
        return 0.0
    weight = 0.55 + 0.35 * (asked.topic == "why" or bool(asked.concepts & _ABOUT_AGENTS))
    weight -= 0.4 * ("host" in asked.concepts) + 0.4 * ("manual" in asked.concepts)
    return max(round(weight, 2), 0.0)


EXPERT = Expert(
    id="agent_governance",
    names={Language.EN: "Agent governance", Language.ZH: "智能体治理专家"},
    about={
        Language.EN: "What an agent did, why, whether it was risky, what it cost, and whether all of it was seen.",
        Language.ZH: "智能体做了什么、为什么做、有没有风险、花了多少，以及记录是否完整。",
    },
    prompt=(
        "You look into what AI agents did on machines, from a record of their calls to models, their tool calls and every "
        "effect on the machine. Find the run and the time that are meant before anything else. Tell what was done, and by "
        "whose words, from links only: an effect without a cause is unexplained, never guess one. Check what was missed "
        "before you say that nothing happened."
    ),
    tools=(
        "agents.runs",
        "agents.agents",
        "agents.calls",
        "agents.tool_calls",
        "agents.effects",
        "agents.why",
        "agents.network",
        "agents.findings",
        "agents.risk",
        "agents.losses",
    ),
    playbook=_playbook,
    weight=_weight,
)
