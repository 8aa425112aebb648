"""The assistant about itself: what is asked most, sessions, its slow tools; for admins alone."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from intact.assist.asking import Asker, Language, Question
from intact.assist.experts.usage import EXPERT
from intact.assist.servers.offer import checked
from intact.assist.servers.own import OWN_TOOLS
from intact.assist.servers.registry import may_use, tool_named
from intact.assist.tool import Parts, Tool, ToolRefused
from intact.model.facts import Answer, Span
from intact.query.readers import Readers
from intact.query.row_limits import Role
from intact.store.answers import AnswerFacts, AnswerLog
from intact.store.database import Database
from intact.store.runs import DataDirectory
from tests.assist.questions.asking import Direct, Got, Listed, ask
from tests.query.test_answers import START, S, answer, span

ADMIN = Asker(name="me", role=Role.ADMIN)
NOW = START + 3_000 * S
ASKED = (
    ("s1", "which files were deleted", "answered"), ("s1", "Which files were deleted?", "answered"),
    ("s2", "磁盘还剩多少？", "cannot_tell"),
)  # fmt: skip


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Direct]:
    with Database(DataDirectory(tmp_path_factory.mktemp("used"))) as database:
        log = AnswerLog(database)
        for number, (session, question, verdict) in enumerate(ASKED):
            one: Answer = answer(number, session, question, "task", verdict, 2)
            spans: tuple[Span, ...] = (span(number, "tool agents.risk", 900, True),) if number else ()
            log.note(AnswerFacts(tenant_id=1, answer=one, spans=spans))
        log.close()
        readers = Readers(database)
        yield Direct(Parts(readers=readers, readings=None))  # type: ignore[arg-type]
        readers.close()


def say(pool: Direct, text: str, asker: Asker = ADMIN) -> Got:
    lang = "en" if text.isascii() else "zh"
    return ask(Listed(id="q", lang=lang, over="runs", text=text, truth="", how=""), pool, asker, NOW)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("大家最常问什么？", "2"),
        ("what do people ask most?", "2"),
        ("Which questions are most asked?", "deleted"),
        ("which tools of the assistant are slowest?", "agents.risk`: 900"),
        ("助手哪个工具最慢", "agents.risk`：中位 900"),
        ("how many sessions today?", "assistant: 2"),
        ("一共有多少个会话", "共 2"),
    ],
)
def test_the_assistant_tells_of_itself(pool: Direct, text: str, told: str) -> None:
    got = say(pool, text)
    assert got.report is not None
    assert (got.expert, got.report.verdict, got.stale) == (EXPERT.id, "answered", ())
    assert told in got.text


def test_of_a_time_without_any_it_says_so(pool: Direct) -> None:
    got = say(pool, "what did people ask most in March 2020, between 2020-03-01 and 2020-03-31?")
    assert got.report is not None
    assert got.report.verdict == "cannot_tell"


@pytest.mark.parametrize(
    "text",
    [
        "how many runs are there", "which tools did the agent use", "智能体用了哪些工具", "which process is slowest",
        "how many tokens were used", "哪个模型最慢", "did the agent ask for a password?", "which tool calls failed?",
    ],
)  # fmt: skip
def test_what_is_about_agents_is_no_question_for_it(text: str) -> None:
    language = Language.EN if text.isascii() else Language.ZH
    assert EXPERT.weight(Question(id="q", session_id="s", text=text, language=language, asked_ns=NOW)) == 0


def test_questions_of_others_are_for_admins(pool: Direct) -> None:
    tool = tool_named("agents.hot_questions")
    assert tool is not None
    assert [role for role in Role if may_use(tool, role)] == [Role.OWNER, Role.ADMIN]
    assert "deleted" not in say(pool, "what do people ask most?", replace(ADMIN, role=Role.AUDITOR)).text


@pytest.mark.parametrize("tool", OWN_TOOLS, ids=lambda tool: tool.name)
def test_the_tools_tell_the_same_again_and_nothing_to_others(pool: Direct, tool: Tool) -> None:
    answer = tool.run(pool.parts, ADMIN, checked(tool, {"at_ns": NOW}))
    assert answer.rows
    again = tool.run(pool.parts, ADMIN, checked(tool, answer.arguments))
    assert (again.rows_hash, again.arguments) == (answer.rows_hash, answer.arguments)
    assert set(answer.untrusted) == {name for name in ("question", "work") if name in answer.columns}
    assert tool.run(pool.parts, replace(ADMIN, tenant_id=2), checked(tool, {"at_ns": NOW})).rows == ()
    with pytest.raises(ToolRefused):
        checked(tool, {"from_ns": 2, "to_ns": 1})
