"""`intact ask`: the assistant in the terminal."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import typer

from intact.assemble.redact import Redactor
from intact.assist.asking import Asker, Language
from intact.assist.assistant import Assistant, Wiring
from intact.assist.intent.gate import detect_language
from intact.assist.plain_events import Plain
from intact.assist.responses import Asked, Care, Unknown
from intact.assist.settings import AssistSettings, read_assist_settings
from intact.cli.reading import opened
from intact.cli.terminal import console, safe
from intact.collect.host_state import LocalHost
from intact.model.errors import IntactError, UsageError
from intact.query.readers import Readers
from intact.query.row_limits import Role

# The owner of the data directory; no token can have this name.
OWNER = Asker(name="@owner", role=Role.OWNER)
LATEST = "latest"


def run(  # noqa: PLR0913  # one for each option
    question: str | None = typer.Argument(None, help="What you want to know; without it, one question after another."),
    expert: str | None = typer.Option(None, "--expert", metavar="ID", help="Ask this expert directly."),
    session: str | None = typer.Option(
        None, "--session", metavar="ID", help="Go on with a session; `latest`: the last."
    ),
    lang: Language | None = typer.Option(None, "--lang", help="Of the answer; default: that of the question."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object: text, verdict, evidence and steps."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    config: Path | None = typer.Option(
        None, "--config", metavar="FILE", help="Else /etc/intact/intact.yaml; its section assist."
    ),
) -> None:
    """Ask in plain words what agents did and why, how this host is, or how Intact works. Every number tells its source.

    Example: intact ask "which files did the last run change, and why?"
    """
    settings = read_assist_settings(config)
    if question is None and (as_json or not sys.stdin.isatty()):
        question = sys.stdin.read(20_000).strip() or None
        if question is None:
            raise UsageError('there is no question; give one: intact ask "what did the last run change?"')
    if not os.environ.get("INTACT_DEBUG"):  # what went wrong is told in one line; the log is for who asks for it
        logging.getLogger("intact").setLevel(logging.CRITICAL)
    talk = _Talk(settings, expert=expert, session=session, lang=lang, as_json=as_json)
    with opened(data, all_runs=True) as (database, _):
        readers = Readers(database)
        try:
            care = Care(redact=Redactor(database.data.redaction_key()).text)
            wiring = Wiring(directory=database.data.path, readers=readers, host=LocalHost(), place="ask", care=care)
            code = asyncio.run(talk.hold(wiring, question))
        finally:
            readers.close()
    raise typer.Exit(code)


class _Talk:
    """Questions and answers on a terminal."""

    def __init__(
        self, settings: AssistSettings, *, expert: str | None, session: str | None, lang: Language | None, as_json: bool
    ) -> None:
        self._settings = settings
        self._expert = expert
        self._session = session
        self._lang = lang or (Language(settings.language) if settings.language else None)
        self._as_json = as_json
        self._is_terminal = sys.stdout.isatty() and not as_json

    async def hold(self, wiring: Wiring, question: str | None) -> int:
        """One answer, or one after another until the end of the input; the exit code."""
        async with Assistant.opened(self._settings, wiring) as assistant:
            if self._expert is not None and self._expert not in assistant.expert_ids:
                raise UsageError(
                    f"there is no expert {self._expert[:60]!r}; there are: {', '.join(assistant.expert_ids)}"
                )
            if self._session == LATEST:
                latest = await assistant.keep.sessions(OWNER.name, limit=1)
                self._session = latest[0].id if latest else None
            if question is not None:
                return await self._answer(assistant, question)
            while (asked := await asyncio.to_thread(_prompt)) is not None:
                if asked.strip():
                    await self._answer(assistant, asked.strip())
            return 0

    async def _answer(self, assistant: Assistant, text: str) -> int:
        asked = Asked(
            text=text, language=self._lang or detect_language(text), session_id=self._session, direct_agent=self._expert
        )
        try:
            response_id = await assistant.responses.start(OWNER, asked)
        except Unknown:
            raise IntactError(f"there is no session {str(self._session)[:60]!r}") from None
        told: list[Plain] = []
        with _interrupting(assistant, response_id), _Screen(self._is_terminal, self._as_json) as screen:
            async for _, event in _events(assistant, response_id):
                told.append(event)
                screen.show(event)
        self._session = next(event["session_id"] for event in told if event["type"] == "session_response_id")
        if self._as_json:
            typer.echo(json.dumps(_whole(told), ensure_ascii=False, indent=1))
        else:
            screen.end(told, self._session)
        return (
            0
            if told[-1]["verdict"] not in ("failed", "cancelled")
            else 130
            if told[-1]["verdict"] == "cancelled"
            else 1
        )


async def _events(assistant: Assistant, response_id: str) -> AsyncIterator[tuple[int, Plain]]:
    async for number, event in assistant.responses.listen(OWNER, response_id):
        yield number, event


@contextlib.contextmanager
def _interrupting(assistant: Assistant, response_id: str) -> Any:
    """Ctrl-C ends the answer, not the talk."""
    loop = asyncio.get_running_loop()
    ending: set[asyncio.Task[bool]] = set()

    def end() -> None:
        ending.add(loop.create_task(assistant.responses.cancel(OWNER, response_id)))

    loop.add_signal_handler(signal.SIGINT, end)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


class _Screen:
    """What is shown while it goes on: steps on standard error, the answer on standard output."""

    def __init__(self, is_terminal: bool, is_quiet: bool) -> None:
        self._is_terminal = is_terminal
        self._is_quiet = is_quiet
        self._status: Any = None
        self._calls: dict[str, str] = {}
        self._text: list[str] = []

    def __enter__(self) -> "_Screen":
        if not self._is_quiet and sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True, markup=False, highlight=False).status("…")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, event: Plain) -> None:
        if self._is_quiet:
            return
        match event["type"]:
            case "thinking_step" if self._status is not None:
                self._status.update(safe(event["message"]))
            case "tool_call":
                self._calls[event["id"]] = safe(event["description"])
            case "tool_result" if self._status is not None:
                mark = "✓" if event["ok"] else "✗"
                problem = "" if event["ok"] else f": {safe(event['problem'] or '')}"
                self._status.console.print(
                    f"  {mark} {self._calls.get(event['id'], event['name'])} ({event['ms']:.0f} ms){problem}",
                    style="dim",
                )
            case "error":
                typer.echo(f"intact: {safe(event['message'])}", err=True)
            case "token":
                self._text.append(event["message"])
                if not self._is_terminal:
                    typer.echo(_safe_lines(event["message"]), nl=False)

    def end(self, told: list[Plain], session_id: str) -> None:
        if self._is_terminal:
            from rich.markdown import Markdown

            console().print(Markdown(_safe_lines("".join(self._text)), hyperlinks=False))
        else:
            typer.echo("")
        found = [event for event in told if event["type"] == "evidence"]
        if found:
            typer.echo("", err=True)
        for event in found:
            query = " ".join(safe(event["query"]).split())
            rows = f"{len(event['rows'])} row{'' if len(event['rows']) == 1 else 's'}"
            typer.echo(f"[{event['id']}] {rows} · {event['rows_hash'][:12]} · {query[:160]}", err=True)
        done = told[-1]
        if done["struck"]:
            typer.echo(f"intact: {done['struck']} claims did not hold and are struck out", err=True)
        if self._is_terminal:
            typer.echo(f"go on with: intact ask --session {session_id} …", err=True)


def _safe_lines(text: str) -> str:
    return "\n".join(safe(line) for line in text.split("\n"))


def _whole(told: list[Plain]) -> dict[str, Any]:
    """The answer as one object."""
    done = {name: value for name, value in told[-1].items() if name not in ("type", "timestamp")}
    first = told[0]
    return {
        "session_id": first["session_id"],
        "response_id": first["message"],
        "text": "".join(event["message"] for event in told if event["type"] == "token"),
        **done,
        **{
            key: [{k: v for k, v in event.items() if k not in ("type", "timestamp")} for event in told if event["type"] == kind]
            for key, kind in (
                ("steps", "thinking_step"), ("calls", "tool_call"), ("evidence", "evidence"), ("charts", "chart"),
                ("problems", "error"),
            )
        },
    }  # fmt: skip


def _prompt() -> str | None:
    try:
        return input("? ")
    except (EOFError, KeyboardInterrupt):
        return None
