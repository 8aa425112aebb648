"""What is another's is as if it were not there, on every route, by token and by cookie; and no page of another site asks."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from intact.serve.auth import Tokens, User
from intact.serve.cookies import SignedCookies
from intact.store.runs import Run
from tests.serve.running import Answer, Server, record, serving, wait_for_run
from tests.serve.streams import events_of

Who = dict[str, str]  # the headers that say it
NOBODY = {"session": "ses_" + "0" * 40, "response": "r_" + "0" * 40, "run": "nothing"}


@dataclass
class House:
    server: Server
    ann: Who
    others: dict[str, Who]
    run: Run
    session: str
    response: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data = tmp_path_factory.mktemp("house")
    run = record(data)
    tokens = Tokens(data)
    cookies = SignedCookies.load(data)

    def cookie(user: User) -> Who:
        return {"Cookie": f"sessionid={cookies.sign(user, time.time() + 600)}"}

    ann = {"Authorization": f"Bearer {tokens.add('ann', role='admin')}"}
    others = {
        "token": {"Authorization": f"Bearer {tokens.add('ben', role='admin')}"},
        "cookie": cookie(User(name="ben", role="admin")),
        "same name elsewhere": cookie(User(name="ann", role="admin", tenant_id=2)),
        "name made to look": {"Authorization": f"Bearer {tokens.add('2.ann', tenant_id=2)}"},
    }
    with serving(data) as server:
        wait_for_run(server, run, ann["Authorization"].partition(" ")[2])
        answer = server.ask("/api/chat", "POST", body={"message": "how many runs are there?"}, headers=ann)
        first = events_of(answer.body)[0][1]
        yield House(server, ann, others, run, first["session_id"], first["message"])


def requests(session: str, response: str) -> list[tuple[str, str, Any]]:
    return [
        ("GET", f"/api/sessions/{session}", None),
        ("GET", f"/api/sessions/{session}/messages", None),
        ("PATCH", f"/api/sessions/{session}", {"title": "mine"}),
        ("DELETE", f"/api/sessions/{session}", None),
        ("POST", "/api/chat", {"message": "hello", "session_id": session}),
        ("GET", f"/api/chat/{response}", None),
        ("DELETE", f"/api/chat/{response}", None),
        ("PUT", f"/api/responses/{response}/feedback", {"rating": "down"}),
        ("DELETE", f"/api/responses/{response}/feedback", None),
    ]


@pytest.mark.parametrize("who", ["token", "cookie", "same name elsewhere", "name made to look"])
def test_of_what_is_anothers_nothing_is_told(house: House, who: str) -> None:
    headers = house.others[who]
    theirs = requests(house.session, house.response)
    nobodys = requests(NOBODY["session"], NOBODY["response"])
    for (method, path, body), (_, unknown, unknown_body) in zip(theirs, nobodys, strict=True):
        answers = [
            house.server.ask(path, method, body=body, headers=headers),
            house.server.ask(unknown, method, body=unknown_body, headers=headers),
            house.server.ask(unknown, method, body=unknown_body, headers=house.ann),
        ]
        assert [answer.status for answer in answers] == [404] * 3, path
        assert len({answer.body for answer in answers}) == 1, path
        assert len({frozenset(answer.headers) for answer in answers}) == 1, path
    rows = house.server.ask("/api/sessions", headers=headers).json["rows"]
    assert rows == []
    mine = house.server.ask(f"/api/sessions/{house.session}/messages", headers=house.ann).json["rows"]
    assert [row["role"] for row in mine] == ["user", "assistant"]


def test_runs_of_another_tenant_are_not_there(house: House) -> None:
    for part in ("", "/run", "/effects", "/ledger"):
        headers = house.others["same name elsewhere"]
        theirs = house.server.ask(f"/api/runs/{house.run.id}{part}", headers=headers)
        nobodys = house.server.ask(f"/api/runs/{NOBODY['run']}{part}", headers=headers)
        assert (theirs.status, theirs.body) == (404, nobodys.body)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 401),
        ({"Sec-Fetch-Site": "same-site"}, 401),
        ({"Origin": "https://evil.example"}, 401),
        ({"Origin": "null"}, 401),
    ],
    ids=str,
)
def test_with_a_cookie_no_page_of_another_site_asks(house: House, sent: Who, status: int) -> None:
    headers = {**house.others["cookie"], **sent}

    def ask(method: str, path: str, body: Any) -> Answer:
        return house.server.ask(path, method, body=body, headers=headers)

    answer = ask("POST", "/api/chat", {"message": "hello"})
    assert answer.status == status
    body = {"threadId": f"thread-{time.time_ns():020d}", "runId": f"run-{time.time_ns():020d}", "messages": []}
    assert ask("POST", "/api/agent", body).status == (400 if status == 200 else 401)
    assert ask("DELETE", f"/api/chat/{NOBODY['response']}", None).status == (404 if status == 200 else 401)
    for each in house.server.ask("/api/sessions", headers=house.others["cookie"]).json["rows"]:
        house.server.ask(f"/api/sessions/{each['id']}", "DELETE", headers=house.others["cookie"])
