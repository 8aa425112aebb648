"""Tools over recorded runs: the same again, nobody else's rows, no words for auditors, and nothing hostile gets through."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intact.assist.answers import MAX_ROWS, ToolAnswer
from intact.assist.asking import Asker, Language
from intact.assist.servers.agents import TOOLS as ALL_AGENTS
from intact.assist.servers.offer import checked, schema
from intact.assist.servers.own import OWN_TOOLS
from intact.assist.servers.query import TOOLS as QUERY
from intact.assist.tool import Parts, Tool, ToolRefused
from intact.query.readers import Readers
from intact.query.row_limits import Role
from intact.query.sql import run_sql
from intact.store.database import Database
from intact.store.runs import DataDirectory
from tests.assist.questions.recorded import ASKED_NS, WORDS, nightly

AGENTS = tuple(tool for tool in ALL_AGENTS if tool not in OWN_TOOLS)  # those over runs
BY_NAME = {tool.name: tool for tool in (*AGENTS, *QUERY)}
ONE, TWO = Asker(name="one", tenant_id=1), Asker(name="two", tenant_id=2)
# what makes a tool give all it has
NEEDED: dict[str, dict[str, Any]] = {
    "why": {"target": "/srv/app/helper"},
    "sql": {"sql": "SELECT run_id, name FROM run ORDER BY run_id"},
    "describe": {"table": "net_event"},
    "enum": {"table": "net_event", "tag": "kind"},
}
HOSTILE = [
    "'; DROP TABLE run; --", "' OR 1=1 --", "') UNION ALL SELECT run_id FROM run --", "\\' OR 1=1 --", "{run:String}", "%",
    "x' OR run_id != '", "*/ SELECT 1 /*", "$RUNS", "'||(SELECT max(run_id) FROM run)||'", "\x00", "\x1b[2J", "'" * 300,
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    parts: Parts
    database: Database
    mine: str
    theirs: str

    def call(self, name: str, asker: Asker = ONE, **given: Any) -> ToolAnswer:
        tool = BY_NAME[name]
        raw = {**NEEDED.get(name, {}), **given}
        if "at_ns" in tool.arguments.model_fields:
            raw.setdefault("at_ns", ASKED_NS)
        return tool.run(self.parts, asker, checked(tool, raw))


class NoReadings:
    def put(self, asker: str, body: dict[str, Any]) -> str:
        raise AssertionError("nothing of a recorded run is live")

    def get(self, asker: str, reading_id: str) -> dict[str, Any] | None:
        return None


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    data = DataDirectory(tmp_path_factory.mktemp("tenants"))
    with Database(data) as database:
        mine = nightly(database, data)
        theirs = nightly(database, data, tenant=2, name="theirs")
        readers = Readers(database)
        yield Store(parts=Parts(readers=readers, readings=NoReadings()), database=database, mine=mine, theirs=theirs)
        readers.close()


def all_text(answer: ToolAnswer) -> str:
    return json.dumps(answer.as_json(), ensure_ascii=False)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_same_again_with_the_arguments_it_tells(store: Store, name: str) -> None:
    answer = store.call(name)
    assert answer.rows or name == "nothing"
    tool = BY_NAME[name]
    again = tool.run(store.parts, ONE, checked(tool, json.loads(json.dumps(answer.arguments))))
    assert again.rows_hash == answer.rows_hash
    assert again.arguments == answer.arguments
    assert ToolAnswer.from_json(json.loads(json.dumps(answer.as_json()))).rows == answer.rows


@pytest.mark.parametrize("name", [tool.name for tool in AGENTS if tool.name != "why"])
def test_the_query_it_tells_gives_the_rows(store: Store, name: str) -> None:
    answer = store.call(name)
    rows = run_sql(store.database, answer.query, reader=ONE.reader(), limit=len(answer.rows)).rows
    assert [row[0] for row in rows] == [row[0] for row in answer.rows]


@pytest.mark.parametrize("name", BY_NAME)
def test_rows_of_another_tenant_never_show(store: Store, name: str) -> None:
    mine, theirs = store.call(name, ONE), store.call(name, TWO)
    assert store.theirs not in all_text(mine)
    assert "theirs" not in all_text(mine)
    assert store.mine not in all_text(theirs)


@pytest.mark.parametrize("name", [tool.name for tool in AGENTS])
def test_a_run_of_others_is_refused_as_one_that_is_not_there(store: Store, name: str) -> None:
    said = set()
    for run in (store.theirs, "theirs", "20200101-000000-nothing-0000", store.theirs[:20]):
        with pytest.raises(ToolRefused) as refused:
            store.call(name, runs=[run])
        said.add(str(refused.value))
    assert len(said) == 1


def test_a_member_sees_only_the_runs_that_are_told(store: Store) -> None:
    nobody = Asker(name="m", role=Role.MEMBER)
    member = Asker(name="m", role=Role.MEMBER, run_ids=(store.mine, store.theirs))
    assert [row[0] for row in store.call("runs", member).rows] == [store.mine]
    for tool in AGENTS:
        assert store.call(tool.name, nobody).rows == ()


@pytest.mark.parametrize("name", [tool.name for tool in AGENTS])
def test_auditors_see_what_was_done_and_not_what_was_said(store: Store, name: str) -> None:
    auditor = Asker(name="a", role=Role.AUDITOR)
    answer = store.call(name, auditor)
    assert answer.rows
    assert WORDS not in all_text(answer)
    assert "chmod 4755" not in all_text(answer)


def test_words_are_there_for_who_may_see_them(store: Store) -> None:
    answer = store.call("why")
    assert answer.cell(0, "words") == WORDS
    assert "words" in answer.untrusted
    assert "chmod 4755" in str(answer.cell(0, "arguments"))


def test_hosts_are_looked_at_only_by_who_may(store: Store) -> None:
    assert len(store.call("runs", hosts=["web-1"]).rows) == 1
    limited = Asker(name="l", hosts=("db-1",))
    for hosts, asker in ((["db-1"], ONE), (["web-1"], limited)):
        with pytest.raises(ToolRefused, match="not yours"):
            store.call("runs", asker, hosts=hosts)


def test_a_range_of_time_bounds_what_is_looked_at(store: Store) -> None:
    every = store.call("effects", by="each")
    times = [row[every.columns.index("at_ns")] for row in every.rows]
    middle = int(str(sorted(times, key=int)[len(times) // 2]))  # type: ignore[arg-type]
    early, late = store.call("effects", by="each", to_ns=middle), store.call("effects", by="each", from_ns=middle)
    assert len(early.rows) + len(late.rows) == len(every.rows)
    assert early.to_ns == middle
    assert store.call("runs", to_ns=1).rows == ()


def test_bounds_are_told(store: Store) -> None:
    answer = store.call("effects", by="each", limit=2)
    assert (len(answer.rows), answer.truncated, answer.total) == (2, True, None)
    assert store.call("effects", by="each").total is not None


def test_what_is_risky_is_found_and_nothing_else(store: Store) -> None:
    answer = store.call("risk")
    found = {(str(row[0]), str(answer.cell(place, "object"))) for place, row in enumerate(answer.rows)}
    assert found == {
        ("setuid_bit", "/srv/app/helper"),
        ("sensitive_change", "/etc/cron.d/again"),
        ("privilege_change", "setuid"),
        ("credential_read", "/root/.ssh/id_ed25519"),
        ("unexplained_change", "/srv/app/surprise.bin"),
        ("unexplained_change", "/etc/cron.d/again"),
        ("outside_write", "/etc/cron.d/again"),
        ("blocked", "/etc/shadow"),
        ("blocked", "/etc/sudoers"),
        ("outside_contact", "93.184.216.34:443"),
        ("signal", "pid 4242"),
    }


TEXT_FILTERS = [
    (tool.name, field)
    for tool in AGENTS
    for field, info in tool.arguments.model_fields.items()
    if info.annotation is str and field != "effect"
]


@pytest.mark.parametrize(("name", "field"), TEXT_FILTERS)
def test_what_looks_like_sql_is_only_a_text_that_nothing_has(store: Store, name: str, field: str) -> None:
    for text in HOSTILE[:6]:
        more: dict[str, Any] = {"by": "each"} if "by" in BY_NAME[name].arguments.model_fields and name != "cost" else {}
        try:
            answer = store.call(name, ONE, **{**more, field: text})
        except ToolRefused:
            continue
        assert answer.rows == ()
    assert len(store.call("runs").rows) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_what_looks_like_sql_names_no_run_and_no_host(store: Store, text: str) -> None:
    for given_name in ("runs", "hosts"):
        with pytest.raises(ToolRefused):
            store.call("effects", ONE, **{given_name: [text]})


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM file('/etc/passwd')", "DROP TABLE run", "SELECT 1; SELECT 2", "SELECT * FROM system.one", "", " ",
        "SELECT name FROM run INTO OUTFILE '/tmp/x'", "SELECT sleep(3)", "SELECT * FROM run FINAL", "SELECT 1 FORMAT CSV",
    ],
)  # fmt: skip
def test_the_guard_of_sql_is_in_the_tool(store: Store, sql: str) -> None:
    with pytest.raises(ToolRefused):
        store.call("sql", sql=sql)


def test_sql_of_an_auditor_gives_no_words(store: Store) -> None:
    auditor = Asker(name="a", role=Role.AUDITOR)
    assert store.call("sql", sql="SELECT input_messages FROM llm_content").rows
    assert store.call("sql", auditor, sql="SELECT input_messages FROM llm_content").rows == ()


def test_every_tool_says_what_it_is_for_in_both_languages() -> None:
    assert 10 <= len(AGENTS) <= 14
    for tool in BY_NAME.values():
        assert set(tool.about) == set(tool.says) == set(Language)
        assert all(info.description for info in tool.arguments.model_fields.values())


TEXTS = st.sampled_from([*HOSTILE, "/srv/app/helper", "planner", "nightly", "latest", "run"]) | st.text(max_size=20)
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "integer": st.integers(-1, 1 << 65) | st.integers(0, 600),
    "boolean": st.booleans(),
    "null": st.none(),
}
WRONG: st.SearchStrategy[Any] = st.sampled_from([None, "x", -1, [], {}, 1.5])


def _values(field: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values for one field of a schema: most that fit, some that do not."""
    if "enum" in field:
        return st.sampled_from(field["enum"]) | WRONG
    if "anyOf" in field:
        return st.one_of(*(_values(each) for each in field["anyOf"]))
    if field.get("type") == "array":
        return st.lists(_values(field["items"]), max_size=3) | WRONG
    return BY_TYPE.get(field.get("type", ""), st.none()) | WRONG


def _arguments(tool: Tool) -> st.SearchStrategy[dict[str, Any]]:
    properties = schema(tool.arguments).get("properties", {})
    return st.fixed_dictionaries({}, optional={name: _values(field) for name, field in properties.items()})


@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_arguments_give_an_answer_or_a_refusal(store: Store, name: str, data: st.DataObject) -> None:
    tool = BY_NAME[name]
    raw = {**NEEDED.get(name, {}), **data.draw(_arguments(tool))}
    try:
        answer = tool.run(store.parts, ONE, checked(tool, raw))
    except ToolRefused:
        return
    assert len(answer.rows) <= MAX_ROWS
    assert store.theirs not in all_text(answer)
    assert answer.rows_hash
