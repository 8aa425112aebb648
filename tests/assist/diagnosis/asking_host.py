"""A case of the tests: tools are called at once, in this process, on a reader of the host that the test gives."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from intact.assist.answers import Evidence
from intact.assist.asking import Asker, Language, Question
from intact.assist.expert import Report, ToolFailed
from intact.assist.experts.host import EXPERT
from intact.assist.host_reader import HostReader
from intact.assist.rendering import render, text_of
from intact.assist.servers.host import TOOLS
from intact.assist.tool import Parts, ToolRefused
from intact.query.readers import Readers
from intact.query.scope import Rows

BY_NAME = {tool.name: tool for tool in TOOLS}


class Readings:
    """Keeps readings as JSON, as the real ones do."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def put(self, asker: str, body: dict[str, Any]) -> str:
        key = f"r{len(self.kept)}"
        self.kept[asker, key] = json.dumps(body)
        return key

    def get(self, asker: str, reading_id: str) -> dict[str, Any] | None:
        text = self.kept.get((asker, reading_id))
        return None if text is None else json.loads(text)


class NoStore:
    """A store in which nothing was ever measured."""

    def ask(self, *_: Any, **__: Any) -> Rows:
        return Rows(sql="", names=(), rows=(), truncated=False)


def parts_of(host: HostReader | None, readers: Readers | None = None) -> Parts:
    return Parts(readers=readers or NoStore(), readings=Readings(), host=host)  # type: ignore[arg-type]


@dataclass
class PlainCase:
    question: Question
    parts: Parts
    asker: Asker = field(default_factory=lambda: Asker(name="me"))
    evidence: dict[str, Evidence] = field(default_factory=dict)

    async def call(self, tool: str, **arguments: Any) -> Evidence:
        found = BY_NAME[tool.removeprefix("host.")]
        assert tool in EXPERT.tools, f"{tool} is none of the expert's"
        try:
            answer = await asyncio.to_thread(
                found.run, self.parts, self.asker, found.arguments.model_validate(arguments)
            )
        except ToolRefused as error:
            raise ToolFailed(str(error)) from error
        evidence = Evidence(id=f"e{len(self.evidence) + 1}", tool=tool, answer=answer)
        self.evidence[evidence.id] = evidence
        return evidence

    def step(self, step: str, message: str) -> None:
        pass


def question(text: str, language: Language = Language.EN, *, direct: bool = False) -> Question:
    return Question(
        id="r", session_id="s", text=text, language=language, asked_ns=time.time_ns(),
        direct_agent=EXPERT.id if direct else None,
    )  # fmt: skip


def ask(
    text: str, parts: Parts, *, asker: Asker | None = None, direct: bool = False
) -> tuple[Report | None, str, dict[str, Evidence]]:
    """What the expert says, as a report and as text, and on what evidence."""
    language = Language.ZH if any("\u4e00" <= character <= "\u9fff" for character in text) else Language.EN
    case = PlainCase(question=question(text, language, direct=direct), parts=parts, asker=asker or Asker(name="me"))
    report = asyncio.run(EXPERT.playbook(case))
    shown = "" if report is None else text_of(render(report, case.evidence, language))
    return report, shown, case.evidence
