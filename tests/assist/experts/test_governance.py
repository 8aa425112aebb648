"""The governance expert: verdicts, what may be seen, what was missed, and sentences in both languages."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from intact.assist.asking import Asker, Language, Question
from intact.assist.experts.governance import EXPERT
from intact.assist.experts.governance_texts import KEYS, sentence
from intact.assist.servers.registry import tool_named
from intact.assist.tool import Parts
from intact.query.readers import Readers
from intact.query.row_limits import Role
from intact.store.database import Database
from intact.store.runs import DataDirectory
from tests.assist.questions.asking import Direct, Got, Listed, ask
from tests.assist.questions.recorded import ASKED_NS, WORDS, nightly
from tests.query.recording import record

ME = Asker(name="me")


class NoReadings:
    def put(self, asker: str, body: object) -> str:
        raise AssertionError("nothing of a recorded run is live")

    def get(self, asker: str, reading_id: str) -> None:
        return None


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Direct]:
    data = DataDirectory(tmp_path_factory.mktemp("governed"))
    with Database(data) as database:
        nightly(database, data)
        nightly(database, data, tenant=2, name="theirs")
        record(database, data)
        readers = Readers(database)
        yield Direct(Parts(readers=readers, readings=NoReadings()))
        readers.close()


def say(pool: Direct, text: str, asker: Asker = ME) -> Got:
    lang = "en" if text.isascii() else "zh"
    return ask(Listed(id="q", lang=lang, over="runs", text=text, truth="", how=""), pool, asker, ASKED_NS)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("How much did the nightly run cost?", "answered"),
        ("Is anything risky in the nightly run?", "found"),
        ("small 这次运行有没有触发策略？", "cannot_tell"),  # nothing, but its record is not complete
        ("What did the run 20200101-000000-nothing-0000 cost?", "cannot_tell"),
        ("What did runs cost in March 2020, between 2020-03-01 and 2020-03-31?", "cannot_tell"),
        ("Why was /nobody/knows.txt deleted by the agent?", "cannot_tell"),
        ("Why was /srv/app/surprise.bin created?", "found"),
    ],
)
def test_verdicts(pool: Direct, text: str, verdict: str) -> None:
    got = say(pool, text)
    assert got.report is not None
    assert (got.report.verdict, got.expert, got.stale) == (verdict, EXPERT.id, ())


def test_what_was_missed_is_told_with_the_answer(pool: Direct) -> None:
    assert "incomplete: 19" in say(pool, "Which files were deleted in the nightly run?").text
    assert "记录不完整，已知丢失 19" in say(pool, "nightly 运行里删除了哪些文件？").text


def test_an_auditor_hears_what_was_done_and_not_what_was_said(pool: Direct) -> None:
    question = "why was /srv/app/helper changed by the agent?"
    assert WORDS in say(pool, question).text
    told = say(pool, question, replace(ME, role=Role.AUDITOR)).text
    assert "/srv/app/helper" in told
    assert WORDS not in told
    assert "4755 helper" not in told


def test_a_run_of_another_tenant_is_not_there(pool: Direct) -> None:
    assert "theirs" not in say(pool, "How many runs are recorded?").text
    assert "theirs" in say(pool, "How many runs are recorded?", replace(ME, tenant_id=2)).text


def test_a_summary_names_what_matters(pool: Direct) -> None:
    text = say(pool, "What did the agents do in the nightly run?").text
    assert all(each in text for each in ("nightly", "Bash", "/srv/app/helper", "$0.1016"))


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("how much did the agent cost", 0.8, 1.0),
        ("哪个工具用得最多", 0.8, 1.0),
        ("which process uses the most memory", 0.0, 0.3),
        ("how do I configure a policy", 0.0, 0.6),
        ("what is the weather like", 0.0, 0.0),
    ],
)
def test_its_weight(text: str, least: float, most: float) -> None:
    language = Language.EN if text.isascii() else Language.ZH
    question = Question(id="q", session_id="s", text=text, language=language, asked_ns=ASKED_NS)
    assert least <= EXPERT.weight(question) <= most


def test_its_tools_are_there() -> None:
    assert 5 <= len(EXPERT.tools) <= 10
    assert all(tool_named(name) is not None for name in EXPERT.tools)


@pytest.mark.parametrize("key", KEYS)
def test_a_sentence_has_the_same_values_in_both_languages(key: str) -> None:
    places = [sorted(re.findall(r"\{(\w+)\}", sentence(key, language))) for language in Language]
    assert places[0] == places[1]
    assert not re.search(r"[一-鿿]", sentence(key, Language.EN))


@pytest.mark.parametrize(
    ("text", "verdict", "told"),
    [
        ("did any agent read /etc/hostname in the nightly run?", "cannot_tell", "No: no read of it was seen (0"),
        ("有没有智能体读过 /etc/hostname？", "cannot_tell", "没有，记录里没有读取它的动作（0"),
        ("有没有智能体读过 /root/.ssh/id_ed25519？", "answered", "是的，读取了 1"),
        ("was anything deleted?", "answered", "Yes: 2"),
        ("has anyone read /etc/shadow?", "found", "- but there is of it: met by a policy, 1"),
        ("did any agent run curl?", "cannot_tell", "No: it was not seen to be run (0"),
        ("智能体执行过 sh 吗", "answered", "是的，执行过"),
        ("Which files did the nightly run delete, and why?", "answered", "because the model called the tool `Bash`"),
        ("nightly 那次运行删了哪些文件，为什么？", "answered", f"用户的原话：`{WORDS}`"),
        ("nightly 运行新建了哪些文件，为什么？", "answered", "：没有找到能解释它的指令"),
        ("did codex delete anything?", "answered", "No agent called Codex"),
        ("which comands did teh agnets run", "answered", "commands were executed"),
        ("最贵的三次调用", "answered", "最贵的模型调用"),
        ("did the nightly run succeed?", "answered", "Run `nightly` ended with exit code 3"),
        (
            "how many files were created and how many deleted in the nightly run?",
            "answered",
            "2 files were created",
        ),
        ("which agent deleted the most files?", "answered", "did so to the most files:"),
        ("how many times was sh executed", "answered", "It was run"),
        ("which commands failed in the nightly run?", "cannot_tell", "None of the 0 processes"),
    ],
)
def test_what_is_asked_is_answered_first(pool: Direct, text: str, verdict: str, told: str) -> None:
    got = say(pool, text)
    assert got.report is not None
    assert told in got.text
    assert (got.report.verdict, got.expert, got.stale) == (verdict, EXPERT.id, ())


def test_one_thing_is_said_to_be_one(pool: Direct) -> None:
    for text in (
        "how many runs did planner take part in?",
        "which models were used",
        "was anything deleted?",
        "summary of runs",
    ):
        assert not re.search(
            r"(?<![\d,.])1 (?:\[e\d+\] )?(?:\w+ )?(?:files|runs|models|calls|agents|times)\b", say(pool, text).text
        )
