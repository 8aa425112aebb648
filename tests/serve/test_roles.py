"""A member sees the runs that are told, an auditor not what was said, a cookie is as good as a token: over a real serve."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from intact.assist.protocol import Client, StreamableHttpTransport
from intact.serve.assistance import asker_for, has_rights_still
from intact.serve.auth import Tokens, User
from intact.serve.cookies import SignedCookies
from intact.serve.live import LiveFeed
from intact.serve.operate import LiveQuery, LiveReader
from intact.store.runs import Run
from tests.query import recording
from tests.serve.running import Answer, Server, record, serving, wait_for_run
from tests.store.slices import T0


@dataclass
class Made:
    server: Server
    tokens: dict[str, str]
    cookies: SignedCookies
    one: Run
    two: Run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    data = tmp_path_factory.mktemp("roles")
    one, two = record(data), record(data, name="second", started_ns=T0 + 1)
    tokens = Tokens(data)
    given = {
        "admin": tokens.add("admin", role="admin"),
        "member": tokens.add("member", role="member", run_ids=(one.id,)),
        "far": tokens.add("far", role="admin", tenant_id=2),
        "auditor": tokens.add("auditor", role="auditor"),
    }
    with serving(data) as server:
        for run in (one, two):
            wait_for_run(server, run, given["admin"])
        yield Made(server, given, SignedCookies.load(data), one, two)


def get(made: Made, who: str, path: str, **query: Any) -> Answer:
    return made.server.ask(path, token=made.tokens[who], **query)


def sql(made: Made, who: str, text: str) -> Any:
    answer = made.server.ask("/api/query", "POST", token=made.tokens[who], body={"sql": text})
    return answer.json["rows"] if answer.status == 200 else answer.json


def test_a_member_sees_the_runs_that_are_told(made: Made) -> None:
    assert {row["id"] for row in get(made, "admin", "/api/runs").json["rows"]} == {made.one.id, made.two.id}
    assert [row["id"] for row in get(made, "member", "/api/runs").json["rows"]] == [made.one.id]
    unknown = get(made, "member", "/api/runs/nothing")
    for path in ("", "/run", "/effects", "/calls", "/ledger"):
        assert get(made, "member", f"/api/runs/{made.one.id}{path}").status == 200
        other = get(made, "member", f"/api/runs/{made.two.id}{path}")
        assert (other.status, other.body) == (404, unknown.body)
    for path in ("/api/agents", "/api/ledger"):
        assert {row["run_id"] for row in get(made, "member", path).json["rows"]} == {made.one.id}
        assert {row["run_id"] for row in get(made, "admin", path).json["rows"]} == {made.one.id, made.two.id}
        assert get(made, "member", path, run=made.two.id).status == 404
    assert get(made, "member", "/api/live", run=made.two.id).status == 404
    # what is told of runs since the start of serve
    everything = get(made, "admin", "/api/live", after=_start(made)).json["items"]
    assert {item["run_id"] for item in everything} <= {made.one.id, made.two.id}
    assert {item["run_id"] for item in get(made, "member", "/api/live", after=_start(made)).json["items"]} <= {
        made.one.id
    }
    assert sql(made, "member", "SELECT DISTINCT run_id FROM process") == [[made.one.id]]
    assert sorted(sql(made, "admin", "SELECT DISTINCT run_id FROM process")) == sorted([[made.one.id], [made.two.id]])


def _start(made: Made) -> str:
    return str(get(made, "admin", "/api/live").json["cursor"].rpartition("-")[0] + "-0")


def test_an_auditor_sees_what_was_done_and_not_what_was_said(made: Made) -> None:
    assert get(made, "auditor", f"/api/runs/{made.one.id}/effects").status == 200
    assert len(get(made, "auditor", "/api/runs").json["rows"]) == 2
    for path in ("", "/calls", "/turns"):
        assert get(made, "auditor", f"/api/runs/{made.one.id}{path}").status == 403
    assert sql(made, "auditor", "SELECT count() FROM llm_content") == [[0]]
    assert sql(made, "admin", "SELECT count() FROM llm_content")[0][0] > 0


def test_an_auditor_hears_no_words_live_or_by_sql(made: Made) -> None:
    feed = LiveFeed()
    for piece in recording.slices():
        feed.publish("r", 1, piece)
    for who, is_told in (("auditor", False), ("admin", True)):
        user = User(name=who, role=who)
        wanted = LiveQuery.model_validate({})
        service: Any = SimpleNamespace(live=feed)
        reader = LiveReader(service, user, wanted, feed.cursor(0))
        rows = [json.loads(reader.text(item)) for item in asyncio.run(reader.wait(0))]
        calls = [row for row in rows if row["type"] in ("tool_call", "mcp_call")]
        assert calls
        assert any(row["arguments"] or row["result"] for row in calls) is is_told
        assert (sql(made, who, "SELECT count() FROM tool_call WHERE toString(arguments) != ''")[0][0] > 0) is is_told


def test_what_is_of_the_whole_machine_is_for_those_who_see_it(made: Made) -> None:
    for path in ("/metrics", "/api/policies"):
        assert get(made, "auditor", path).status == 200
        assert get(made, "member", path).status == get(made, "far", path).status == 403
    answer = made.server.ask("/api/policies", "PUT", token=made.tokens["far"], body={"text": "name: a\nrules: []\n"})
    assert answer.status == 403


def test_only_an_admin_may_change(made: Made) -> None:
    for who in ("member", "auditor"):
        answer = made.server.ask("/api/policies", "PUT", token=made.tokens[who], body={"text": "name: a\nrules: []\n"})
        assert answer.status == 403


def test_a_cookie_is_as_good_as_a_token(made: Made) -> None:
    member = User(name="member", role="member", run_ids=(made.one.id,))
    value = made.cookies.sign(member, time.time() + 60)
    host = f"127.0.0.1:{made.server.port}"
    for name in ("sessionid", "JSESSIONID"):
        answer = made.server.ask("/api/runs", headers={"Cookie": f"theme=dark; {name}={value}"})
        assert [row["id"] for row in answer.json["rows"]] == [made.one.id]
    for cookie in (
        f"sessionid={value[:-3]}abc", f"sessionid={value}; sessionid={value}", "sessionid=", "sessionid=default",
        f"sessionid={made.cookies.sign(member, time.time() - 1)}", f"other={value}",
    ):  # fmt: skip
        refused = made.server.ask("/api/runs", headers={"Cookie": cookie})
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    body = {"sql": "SELECT DISTINCT run_id FROM process"}
    for origin, status in ((f"http://{host}", 200), ("http://evil.org", 401), ("null", 401)):
        headers = {"Cookie": f"sessionid={value}", "Origin": origin}
        assert made.server.ask("/api/query", "POST", body=body, headers=headers).status == status
    wrong = made.server.ask("/api/runs", token="nobody", headers={"Cookie": f"sessionid={value}"})
    assert wrong.status == 401


def test_other_agents_see_over_mcp_what_their_token_shows(made: Made) -> None:
    async def ask(who: str) -> set[str]:
        url = f"http://127.0.0.1:{made.server.port}/mcp"
        transport = StreamableHttpTransport(url, headers={"Authorization": f"Bearer {made.tokens[who]}"})
        async with Client(transport, mode="legacy") as client:
            assert len(await client.list_tools()) >= 20
            found = await client.call_tool_mcp("query_sql", {"sql": "SELECT DISTINCT run_id FROM process"})
            assert not found.is_error, found.content
            return {row[0] for row in found.structured_content["rows"]}

    assert asyncio.run(ask("member")) == {made.one.id}
    assert asyncio.run(ask("admin")) == {made.one.id, made.two.id}
    assert made.server.ask("/mcp", "POST", body={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).status == 401


def test_rights_of_before_count_only_where_they_are_those_of_now() -> None:
    anna = User(name="anna", role="admin")
    asker = asker_for(anna)
    assert has_rights_still(asker, [User(name="bert"), anna])
    assert has_rights_still(asker, [User(name="bert"), User(name="anna", tenant_id=2)])  # another anna
    for less in (User(name="anna", role="auditor"), User(name="anna", role="admin", hosts=("web-1",))):
        assert not has_rights_still(asker, [less])
