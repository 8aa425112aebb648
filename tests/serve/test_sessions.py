"""The caller's sessions and feedback over HTTP; another's are as if they were not there."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest

from intact.assist.asking import Message
from intact.assist.keep.keep import Keep, ResponseRow, Session, State
from intact.assist.keep.opening import open_keep
from intact.assist.settings import AssistSettings
from intact.model.errors import UsageError
from intact.query.row_limits import Role
from intact.serve.app import build_app
from intact.serve.assistance import asker_of
from intact.serve.auth import ADMIN, AUDITOR, Tokens, User, check_user
from intact.serve.metrics import Readings
from intact.serve.service import Service
from tests.serve.running import command, serving

T0 = 1_790_000_000_000_000_000
NAMES = ("ann", "bob", "chief", "far")


class Caller:
    """Requests of one person."""

    def __init__(self, client: httpx2.AsyncClient, token: str | None) -> None:
        self._client = client
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    async def __call__(self, method: str, path: str, body: Any = None, status: int = 200, **query: Any) -> Any:
        content = None if body is None else json.dumps(body)
        answer = await self._client.request(method, path, content=content, headers=self._headers, params=query)
        assert answer.status_code == status, (answer.status_code, answer.text)
        if status >= 400:
            assert set(answer.json()["error"]) == {"code", "message", "hint"}
        return answer.json() if answer.content else None


class World:
    """The real application over what is kept in a file, with four who may come in."""

    def __init__(self, keep: Keep, callers: dict[str, Caller]) -> None:
        self.keep = keep
        self.ann, self.bob, self.chief, self.far = (callers[name] for name in NAMES)
        self.nobody = callers["nobody"]

    async def session(self, owner: str, *answers: str, at_ns: int = T0, tenant_id: int = 1) -> Session:
        """One with answers."""
        session = await self.keep.new_session(owner, at_ns=at_ns)
        assert session is not None
        for number, answer in enumerate(answers):
            identity = f"{answer}-{owner}" if tenant_id == 1 else "far"
            asker = {"name": owner, "tenant_id": tenant_id}
            row = ResponseRow(
                id=identity, session_id=session.id, owner=owner, question={}, asker=asker, started_ns=at_ns + number
            )
            assert await self.keep.open_response(row)
            for role in ("user", "assistant"):
                message = Message(
                    role=role, content=f"{role} <b>{number}</b> 好", at_ns=at_ns + number, response_id=identity
                )
                await self.keep.add_message(owner, session.id, message)
            done = {"expert": "host_diagnosis", "model": None}
            assert await self.keep.close_response(identity, State.DONE, ended_ns=at_ns + number, text="so", done=done)
        found = await self.keep.session(owner, session.id)
        assert found is not None
        return found


@asynccontextmanager
async def world(directory: Path, sessions: str = "sqlite", *, has_assistant: bool = True) -> AsyncIterator[World]:
    tokens = Tokens(directory)
    given = {
        "ann": tokens.add("ann"),
        "bob": tokens.add("bob"),
        "chief": tokens.add("chief", role=ADMIN),
        "far": tokens.add("far", role=ADMIN, tenant_id=2),
    }
    settings = AssistSettings.model_validate({"sessions": sessions, "session_days": 3_650})
    async with open_keep(settings, directory) as keep:
        service = Service(
            readers=cast(Any, SimpleNamespace(ask=None)),
            live=cast(Any, None),
            identify=lambda headers: tokens.user(headers.get("authorization")),
            readings=cast(Callable[[], Readings], None),
            is_ready=lambda: True,
            assistant=SimpleNamespace(keep=keep) if has_assistant else None,
        )
        transport = httpx2.ASGITransport(app=build_app(service))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            callers = {name: Caller(client, given.get(name)) for name in (*NAMES, "nobody")}
            yield World(keep, callers)


def run(work: Callable[[World], Awaitable[None]], directory: Path, **options: Any) -> None:
    async def whole() -> None:
        async with world(directory, **options) as made:
            await work(made)

    asyncio.run(whole())


def test_sessions_are_listed_shown_named_and_forgotten(tmp_path: Path) -> None:
    async def work(all_: World) -> None:
        made = [await all_.session("ann", at_ns=T0 + i * 1_000) for i in range(7)]
        await all_.session("bob", at_ns=T0)
        rows: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await all_.ann("GET", "/api/sessions", limit=3, **cursor)
            rows += page["rows"]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert [row["id"] for row in rows] == [each.id for each in reversed(made)]
        assert rows[-1] == {"id": made[0].id, "title": "", "created_ns": T0, "updated_ns": T0, "expert": None}
        path = f"/api/sessions/{made[0].id}"
        assert await all_.ann("GET", path) == rows[-1]
        assert await all_.ann("PATCH", path, {"title": "磁盘 <b>满</b>"}) == {**rows[-1], "title": "磁盘 <b>满</b>"}
        for wrong in (
            {},
            {"title": ""},
            {"title": "x" * 101},
            {"title": None},
            {"title": "x", "owner": "bob"},
            [],
            "x",
        ):
            await all_.ann("PATCH", path, wrong, 400)
        assert await all_.ann("DELETE", path, status=204) is None
        await all_.ann("GET", path, status=404)
        await all_.ann("DELETE", path, status=404)
        await all_.ann("GET", "/api/sessions", status=400, cursor="x")
        await all_.ann("GET", "/api/sessions", status=400, limit=0)

    run(work, tmp_path)


def test_messages_come_in_pages_with_what_was_said_of_them(tmp_path: Path) -> None:
    async def work(all_: World) -> None:
        session = await all_.session("ann", *(f"answer-{i}" for i in range(15)))
        path = f"/api/sessions/{session.id}/messages"
        await all_.ann("PUT", "/api/responses/answer-14-ann/feedback", {"rating": "up"})
        last = await all_.ann("GET", path)
        assert len(last["rows"]) == 20
        assert last["rows"][-1]["feedback"]["rating"] == "up"
        assert last["rows"][-2]["feedback"] is None  # the question
        assert last["rows"][-1]["content"] == "assistant <b>14</b> 好"
        first = await all_.ann("GET", path, before=last["before"])
        assert first["before"] is None
        numbers = [row["at_ns"] - T0 for row in [*first["rows"], *last["rows"]]]
        assert numbers == [number for number in range(15) for _ in range(2)]
        assert len((await all_.ann("GET", path, limit=200))["rows"]) == 30
        for wrong in ({"limit": 0}, {"limit": 201}, {"before": -1}, {"before": "x"}, {"before": 1 << 63}):
            await all_.ann("GET", path, status=400, **wrong)

    run(work, tmp_path)


def test_an_answer_is_rated_cleared_and_counted(tmp_path: Path) -> None:
    async def work(all_: World) -> None:
        session = await all_.session("ann", "one", "two", "three")
        await all_.session("bob", "one")
        await all_.session("2/far", "one", tenant_id=2)
        path = "/api/responses/one-ann/feedback"
        said = await all_.ann("PUT", path, {"rating": "down", "comment": "错了 <script>"})
        assert said["at_ns"] > T0
        expected = {"response_id": "one-ann", "session_id": session.id, "rating": "down", "comment": "错了 <script>"}
        assert said == {**expected, "at_ns": said["at_ns"]}
        assert (await all_.ann("PUT", path, {"rating": "up"}))["comment"] == "错了 <script>"
        assert (await all_.ann("PUT", path, {"rating": None}))["rating"] is None
        assert (await all_.ann("PUT", path, {"rating": None, "comment": ""}))["comment"] == ""
        for wrong in (
            {},
            {"rating": "sideways"},
            {"rating": "up", "comment": "x" * 2_001},
            {"rating": "up", "owner": "bob"},
        ):
            await all_.ann("PUT", path, wrong, 400)
        await all_.ann("PUT", "/api/responses/two-ann/feedback", {"rating": "up", "comment": "good"})
        await all_.ann("PUT", "/api/responses/three-ann/feedback", {"rating": "down"})
        assert await all_.ann("DELETE", "/api/responses/three-ann/feedback", status=204) is None
        await all_.bob("PUT", "/api/responses/one-bob/feedback", {"rating": "down"})
        await all_.far("PUT", "/api/responses/far/feedback", {"rating": "up"})

        mine = await all_.ann("GET", "/api/feedback/stats", by="expert")
        assert mine == {
            "by": "expert", "rows": [{"key": "host_diagnosis", "up": 1, "down": 0, "cleared": 2, "comments": 1}]
        }  # fmt: skip
        (tenant,) = (await all_.chief("GET", "/api/feedback/stats", by="model"))["rows"]
        assert tenant == {"key": "", "up": 1, "down": 1, "cleared": 2, "comments": 1}
        assert (await all_.chief("GET", "/api/feedback/stats", own=True))["rows"] == []
        (far,) = (await all_.far("GET", "/api/feedback/stats", by="session"))["rows"]
        assert (far["up"], far["down"]) == (1, 0)
        assert (await all_.ann("GET", "/api/feedback/stats", to_ns=T0))["rows"] == []
        for wrong in ({"by": "owner"}, {"from_ns": -1}, {"to_ns": 1 << 63}):
            await all_.ann("GET", "/api/feedback/stats", status=400, **wrong)

    run(work, tmp_path)


def test_what_is_anothers_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    async def work(all_: World) -> None:
        session = await all_.session("ann", "one")
        for caller in (all_.bob, all_.chief, all_.far, all_.ann):
            # ann herself asks for what nobody has
            session_id, response_id = (
                (session.id, "one-ann") if caller is not all_.ann else ("ses_" + "0" * 40, "nothing")
            )
            answers = [
                await caller("GET", f"/api/sessions/{session_id}", status=404),
                await caller("PATCH", f"/api/sessions/{session_id}", {"title": "mine"}, 404),
                await caller("GET", f"/api/sessions/{session_id}/messages", status=404),
                await caller("DELETE", f"/api/sessions/{session_id}", status=404),
            ]
            assert {json.dumps(answer) for answer in answers} == {json.dumps(answers[0])}
            assert answers[0]["error"]["message"] == "there is no such session"
            for method, body in (("PUT", {"rating": "down"}), ("DELETE", None)):
                answer = await caller(method, f"/api/responses/{response_id}/feedback", body, 404)
                assert answer["error"]["message"] == "there is no such response"
            if caller is not all_.ann:
                assert (await caller("GET", "/api/sessions"))["rows"] == []
        found = await all_.ann("GET", f"/api/sessions/{session.id}/messages")
        assert [row["feedback"] for row in found["rows"]] == [None, None]

    run(work, tmp_path)


@pytest.mark.parametrize("identity", ["%00", "a%20b", "..%2f..", "%ff%fe", "*", "x" * 128, "';--", "%F0%9F%A4%96"])
def test_a_hostile_id_is_none(tmp_path: Path, identity: str) -> None:
    async def work(all_: World) -> None:
        for path in (f"/api/sessions/{identity}", f"/api/sessions/{identity}/messages"):
            await all_.ann("GET", path, status=404)
        await all_.ann("PATCH", f"/api/sessions/{identity}", {"title": "x"}, 404)
        await all_.ann("PUT", f"/api/responses/{identity}/feedback", {"rating": "up"}, 404)

    run(work, tmp_path)


def test_users_of_one_name_in_two_tenants_are_two() -> None:
    users = [User(name="ann"), User(name="ann", tenant_id=2), User(name="ann", tenant_id=3, role=AUDITOR)]
    askers = [asker_of(cast(Any, SimpleNamespace(scope={"intact.user": user}))) for user in users]
    assert [asker.name for asker in askers] == ["ann", "2/ann", "3/ann"]
    assert [asker.role for asker in askers] == [Role.ADMIN, Role.ADMIN, Role.AUDITOR]
    with pytest.raises(UsageError):
        check_user(User(name="2/ann"))  # nobody is called so


def test_without_a_token_nobody_comes_in(tmp_path: Path) -> None:
    async def work(all_: World) -> None:
        for method, path in (
            ("GET", "/api/sessions"), ("GET", "/api/sessions/x"), ("PATCH", "/api/sessions/x"), ("DELETE", "/api/sessions/x"),
            ("GET", "/api/sessions/x/messages"), ("PUT", "/api/responses/x/feedback"), ("DELETE", "/api/responses/x/feedback"),
            ("GET", "/api/feedback/stats"),
        ):  # fmt: skip
            await all_.nobody(method, path, status=401)

    run(work, tmp_path)


def test_a_server_without_an_assistant_says_so(tmp_path: Path) -> None:
    async def work(all_: World) -> None:
        answer = await all_.ann("GET", "/api/sessions", status=501)
        assert answer["error"]["code"] == "not_offered"

    run(work, tmp_path, has_assistant=False)


def test_a_place_out_of_reach_is_no_fault_of_the_caller(tmp_path: Path) -> None:
    async def work(all_: World) -> None:
        for method, path, body in (
            ("GET", "/api/sessions", None), ("GET", "/api/sessions/x", None),
            ("PUT", "/api/responses/x/feedback", {"rating": "up"}), ("GET", "/api/feedback/stats", None),
        ):  # fmt: skip
            answer = await all_.ann(method, path, body, 503)
            assert answer["error"]["code"] == "unavailable"
            assert "127.0.0.1" not in json.dumps(answer)

    run(work, tmp_path, sessions="redis://:secret@127.0.0.1:9/0")


def test_a_running_serve_keeps_what_was_asked_over_its_end(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    ann, bob = tokens.add("ann"), tokens.add("bob")
    with serving(tmp_path) as server:
        answer = server.ask("/api/chat", "POST", token=ann, body={"message": "你好"})
        assert answer.status == 200, answer.body
        (row,) = server.ask("/api/sessions", token=ann).json["rows"]
        assert 1 <= len(row["title"]) <= 15
        said = server.ask(f"/api/sessions/{row['id']}/messages", token=ann).json["rows"]
        assert [each["role"] for each in said] == ["user", "assistant"]
        path = f"/api/responses/{said[1]['response_id']}/feedback"
        assert server.ask(path, "PUT", token=bob, body={"rating": "down"}).status == 404
        assert server.ask(path, "PUT", token=ann, body={"rating": "up"}).status == 200
        metrics = server.ask("/metrics", token=ann).body.decode()
        for line in ("intact_keep_sessions 1.0", "intact_keep_messages_added_total 2.0", "intact_keep_unavailable 0.0"):
            assert line in metrics.splitlines()
        server.kill()
    with serving(tmp_path) as server:
        assert server.ask("/api/sessions", token=ann).json["rows"] == [row]
        assert server.ask("/api/sessions", token=bob).json["rows"] == []
        kept = server.ask(f"/api/sessions/{row['id']}/messages", token=ann).json["rows"]
        assert kept[1]["feedback"]["rating"] == "up"
        server.end()
    assert command("runs", "--data", str(tmp_path)).returncode == 0
