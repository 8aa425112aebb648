"""Topics of the governance expert on files and programs, each with its cause where it is asked for."""

from collections.abc import Awaitable, Callable

from intact.assist.answers import Evidence
from intact.assist.experts.governance_work import Work, cell, count, nothing, total
from intact.assist.understand.asked import Aggregation, program_asked

CHANGED = ("file_create", "file_write", "file_delete", "file_rename", "file_link", "file_chmod", "file_chown",
           "file_truncate", "dir_create", "dir_delete")  # fmt: skip
MAX_CAUSES = 5  # each is a call


def paths(key: str, *kinds: str, row: str = "path_row") -> Callable[[Work], Awaitable[str]]:
    """A topic: the paths on which something of these kinds was done."""

    async def told(work: Work) -> str:
        named = work.asked.entities.paths
        path = named[0] if named else "/"
        if "agent" in work.asked.concepts and work.asked.aggregation is Aggregation.TOP and not work.agent:
            return await _by_agent(work, path, kinds)
        found = await work.filtered("effects", by="path", kinds=list(kinds), succeeded=True, path=path, limit=500)
        if not found.answer.rows:
            return await _none(work, key, found, path=path if named else "")
        work.say_whether(key, n=count(found))
        if "why" in work.asked.concepts:
            await _causes(work, found, kinds)
            return "answered"
        columns = {"of": "of", "bytes": "bytes"} if row == "path_bytes_row" else {"of": "of"}
        work.rows(row, found, columns, limit=max(work.limit, 20))
        return "answered"

    return told


async def _by_agent(work: Work, path: str, kinds: tuple[str, ...]) -> str:
    found = await work.call("effects", by="agent", kinds=list(kinds), succeeded=True, path=path)
    if not found.answer.rows:
        return nothing(work, "none_of_it", found, "answered")
    work.say("agent_most", of=cell(found, "of"), n=cell(found, "objects"))
    work.rows("agent_most_row", found, {"of": "of", "n": "objects"})
    return "answered"


async def _none(work: Work, key: str, found: Evidence, *, path: str) -> str:
    """Say that it was not done, and of a named path, what else was or was tried."""
    verdict = "nothing_wrong" if work.asked.is_whether else "answered"
    if not path:
        return nothing(work, "none_of_it", found, verdict)
    nothing(work, f"no_{key}", found, verdict)
    other = await work.filtered("effects", by="kind", path=path)
    for row in range(len(other.answer.rows)):
        labels = {"kind": work.label("kind", other.answer.cell(row, "of"))}
        work.say("otherwise", labels, n=cell(other, "effects", row), failed=cell(other, "failed", row))
    return "found" if other.answer.rows and work.asked.is_whether else verdict


async def _causes(work: Work, found: Evidence, kinds: tuple[str, ...]) -> None:
    """For each of the first paths the tool call and the words that led to it."""
    said: set[str] = set()
    shown = min(len(found.answer.rows), MAX_CAUSES)
    for place in range(shown):
        why = await work.call("why", target=str(found.answer.cell(place, "of")), changes="file_read" not in kinds)
        rows = [row for row in range(len(why.answer.rows)) if why.answer.cell(row, "kind") in kinds]
        if not rows:
            work.say("cause_unknown", object=cell(found, "of", place))
            continue
        row = rows[0]
        labels = {"kind": work.label("kind", why.answer.cell(row, "kind"))}
        values = {"object": cell(why, "object", row)}
        if why.answer.cell(row, "cause") == "unexplained":
            work.say("cause_unknown", **values)
            continue
        if why.answer.cell(row, "arguments") is None or why.answer.cell(row, "tool") is None:
            cause = work.label("cause_kind", why.answer.cell(row, "cause"))
            work.say("cause_plain", labels | {"cause": cause}, **values)
        else:
            work.say("cause", labels, **values, tool=cell(why, "tool", row), arguments=cell(why, "arguments", row))
        words = why.answer.cell(row, "words")
        if words and str(words) not in said:
            said.add(str(words))
            work.say("cause_words", words=cell(why, "words", row))
    if len(found.answer.rows) > shown:
        work.say("more")


async def rename(work: Work) -> str:
    found = await work.filtered("effects", by="each", kinds=["file_rename"], succeeded=True)
    if not found.answer.rows:
        return await _none(work, "rename", found, path="")
    work.say_whether("rename", n=count(found))
    work.rows("rename_row", found, {"old": "detail", "new": "object", "tool": "tool"})
    return "answered"


async def permissions(work: Work) -> str:
    found = await work.filtered("effects", by="each", kinds=["file_chmod", "file_chown"], succeeded=True)
    if not found.answer.rows:
        return await _none(work, "permissions", found, path="")
    work.say_whether("permissions", n=count(found))
    work.rows("permissions_row", found, {"path": "object", "mode": "detail", "pid": "pid", "agent": "agent"})
    return "answered"


async def bytes_moved(work: Work) -> str:
    named = work.asked.entities.paths
    kind = "file_read" if "read" in work.asked.concepts and "write" not in work.asked.concepts else "file_write"
    found = await work.filtered("effects", by="all", kinds=[kind], path=named[0] if named else "")
    if not found.answer.rows:
        return nothing(work, "none_of_it", found, "answered")
    work.say("bytes", bytes=cell(found, "bytes"), n=cell(found, "operations"), objects=cell(found, "objects"))
    return "answered"


async def program(work: Work, name: str) -> str:
    """Whether a program was run."""
    found = await work.filtered("effects", by="path", kinds=["exec"], path=name, limit=500)
    if not found.answer.rows:
        every = await work.filtered("effects", by="path", kinds=["exec"], limit=500)
        rows = [row for row, each in enumerate(every.answer.rows) if _base(each[0]).startswith(name.lower())]
        if not rows:  # python is python3.11
            return nothing(work, "no_program", found, "nothing_wrong" if work.asked.is_whether else "answered")
        work.say_whether("program_like")
        for row in rows[: work.limit]:
            work.say("commands_row", of=cell(every, "of", row), n=cell(every, "effects", row))
        return "answered"
    work.say_whether("program", n=total(found, "effects"))
    work.rows("commands_row", found, {"of": "of", "n": "effects"})
    return "answered"


def _base(path: object) -> str:
    return str(path).rpartition("/")[2].lower()


async def failed_commands(work: Work) -> str:
    """The processes that ended with an exit code that is not 0."""
    found = await work.filtered("effects", by="each", kinds=["exit"], limit=500)
    number = found.answer.columns.index("number")
    rows = [row for row, each in enumerate(found.answer.rows) if str(each[number]) not in ("0", "-1", "None")]
    if not rows:
        return nothing(work, "no_failed_commands", found, "nothing_wrong")
    work.say_whether("failed_commands")
    for row in rows[: work.limit]:
        columns = {"object": "object", "code": "number", "pid": "pid", "agent": "agent"}
        work.say("failed_commands_row", **{name: cell(found, column, row) for name, column in columns.items()})
    if len(rows) > work.limit or found.answer.truncated:
        work.say("more")
    return "found"


async def commands(work: Work) -> str:
    name = program_asked(work.case.question.text)
    if name and name != work.agent and not work.is_run(name):
        return await program(work, name)
    found = await work.filtered("effects", by="path", kinds=["exec"], limit=500)
    if not found.answer.rows:
        return nothing(work, "none_of_it", found, "answered")
    work.say("commands", n=total(found, "effects"))
    work.rows("commands_row", found, {"of": "of", "n": "effects"})
    return "answered"


async def processes(work: Work) -> str:
    found = await work.filtered("effects", by="process", kinds=["exec"], limit=500)
    if not found.answer.rows:
        return nothing(work, "none_of_it", found, "answered")
    work.say("processes", n=count(found))
    work.rows("commands_row", found, {"of": "of", "n": "effects"})
    return "answered"
