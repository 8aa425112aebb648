"""What answers depend on fails while they are made, and clients do what clients do: answers go on, and say what is missing."""

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.assist.keep.places import Valkey
from tests.serve.running import Server, command, record, serving, wait_for_run
from tests.serve.streams import Heard, events_of, is_gap_free, kinds_of, listen_until, text_of
from tests.standin import Script, Standin, Step

QUESTION = "how many runs are there?"
USERS, EACH = 10, 10
SLOW = 12


def asked(server: Server, message: str = QUESTION, *, token: str | None = None) -> Heard:
    answer = server.ask("/api/chat", "POST", token=token, body={"message": message}, timeout=120)
    assert answer.status == 200, answer.body
    return events_of(answer.body)


def problems_of(events: Heard) -> list[str]:
    return [event["code"] for _, event in events if event["type"] == "error"]


def within(seconds: float, is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_redis_goes_and_comes_back(tmp_path: Path) -> None:
    """Stopped while a model works: the answer goes on; down at the start: serve starts; back again: all is kept again."""
    data = tmp_path / "data"
    run = record(data)
    valkey = Valkey(tmp_path)
    script = Script(steps=(Step(text="There is 1 run [e1].", delay_s=2.0),) * 8)
    try:
        with Standin(script, log_dir=tmp_path / "log", tls=False) as model:
            config = tmp_path / "intact.yaml"
            assist = {"model": {"name": "m", "base_url": f"{model.base_url}/v1"}, "sessions": valkey.url}
            config.write_text(json.dumps({"assist": {**assist, "host_metrics_s": 0}}))
            with serving(data, "--auth", "dev", "--config", str(config)) as server:
                wait_for_run(server, run)
                assert problems_of(asked(server)) == []
                seen, connection = listen_until(server, QUESTION, lambda heard: b'"model"' in heard)
                valkey.stop()
                rest = server.ask(f"/api/chat/{seen[0][1]['message']}", headers={"Last-Event-ID": seen[-1][0]})
                whole = seen + events_of(rest.body)
                connection.close()
                assert is_gap_free(whole)
                assert problems_of(whole) == ["unkept"]
                assert "There is 1 run" in text_of(whole)
                again = asked(server)
                assert problems_of(again) == ["unkept"]
                assert "evidence" in kinds_of(again), "tools are called without it"
                assert server.ask("/api/sessions").status == 503
            with serving(data, "--auth", "dev", "--config", str(config)) as server:
                assert "There is 1 run" in text_of(asked(server))
                valkey.start()
                within(30, lambda: server.ask("/api/sessions").status == 200)
                kept = asked(server)
                assert problems_of(kept) == []
                page = server.ask(f"/api/sessions/{kept[0][1]['session_id']}/messages").json
                assert [row["role"] for row in page["rows"]] == ["user", "assistant"]
    finally:
        valkey.stop()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[str]]]:
    data = tmp_path_factory.mktemp("many")
    run = record(data)
    tokens = [
        command("token", "add", f"user{n}", "--data", str(data)).stdout.decode().split()[-1] for n in range(USERS)
    ]
    with serving(data) as server:
        wait_for_run(server, run, tokens[0])
        yield server, tokens


def test_a_hundred_at_once(many: tuple[Server, list[str]]) -> None:
    server, tokens = many
    answers: list[Heard] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(asked(server, token=tokens[n % USERS])))
        for n in range(USERS * EACH)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == USERS * EACH
    assert all(is_gap_free(events) and kinds_of(events)[-1] == "done" for events in answers)
    assert len({events[0][1]["message"] for events in answers}) == USERS * EACH
    sessions = [server.ask("/api/sessions", token=token, limit=100).json["rows"] for token in tokens]
    assert [len(rows) for rows in sessions] == [EACH] * USERS


def test_too_much_of_one_asker_is_refused(tmp_path: Path) -> None:
    """Twenty answers of one asker at once; what is more is told to ask again, and others are answered."""
    data = tmp_path / "data"
    run = record(data)
    tokens = [command("token", "add", name, "--data", str(data)).stdout.decode().split()[-1] for name in ("a", "b")]
    with Standin(Script(steps=(Step(delay_s=60.0),) * 40), log_dir=tmp_path / "log", tls=False) as model:
        config = tmp_path / "intact.yaml"
        assist = {"model": {"name": "m", "base_url": f"{model.base_url}/v1"}, "host_metrics_s": 0}
        config.write_text(json.dumps({"assist": assist}))
        with serving(data, "--config", str(config)) as server:
            wait_for_run(server, run, tokens[0])
            heard = [listen_until(server, QUESTION, lambda heard: b"\n\n" in heard, token=tokens[0]) for _ in range(20)]
            body = {"message": QUESTION}
            answer = server.ask("/api/chat", "POST", token=tokens[0], body=body)
            assert answer.status == 503
            assert answer.json["error"]["code"] == "overloaded"
            other, connection = listen_until(server, QUESTION, lambda heard: b"\n\n" in heard, token=tokens[1])
            assert kinds_of(other)[0] == "session_response_id"
            connection.close()
            for events, connection in heard:
                _is_cancelled(server, events[0][1]["message"], tokens[0])
                connection.close()
            assert "done" in kinds_of(asked(server, "thanks", token=tokens[0]))
            metrics = server.ask("/metrics", token=tokens[0]).body.decode()
            assert 'verdict="cancelled"' in metrics


def _is_cancelled(server: Server, identity: str, token: str) -> None:
    assert server.ask(f"/api/chat/{identity}", "DELETE", token=token).json == {"cancelled": True}
    events = events_of(server.ask(f"/api/chat/{identity}", token=token).body)
    assert is_gap_free(events)
    assert kinds_of(events)[-1] == "done"
    assert events[-1][1]["verdict"] == "cancelled"
    assert server.ask(f"/api/chat/{identity}", "DELETE", token=token).json == {"cancelled": False}


def test_who_goes_away_finds_the_answer(many: tuple[Server, list[str]]) -> None:
    server, tokens = many
    events, connection = listen_until(server, QUESTION, lambda heard: b"\n\n" in heard, token=tokens[0])
    connection.close()
    path = f"/api/sessions/{events[0][1]['session_id']}/messages"
    # the session is written after the first packet
    within(60, lambda: len(server.ask(path, token=tokens[0]).json.get("rows", ())) == 2)
    whole = events_of(server.ask(f"/api/chat/{events[0][1]['message']}", token=tokens[0]).body)
    assert kinds_of(whole)[-1] == "done"


def test_who_does_not_read_holds_up_nobody(many: tuple[Server, list[str]]) -> None:
    """Clients that ask and read nothing: others are answered, memory stays, and the slow ones find the whole in the end."""
    server, tokens = many
    asked(server, token=tokens[0])
    before = _resident(server)
    silent = [_silent(server, tokens[n % USERS]) for n in range(SLOW)]
    assert kinds_of(asked(server, token=tokens[1]))[-1] == "done"
    assert _resident(server) - before < 100 << 20
    for each in silent:
        each.settimeout(60)
        response = http.client.HTTPResponse(each)
        response.begin()
        assert kinds_of(events_of(response.read()))[-1] == "done"
        each.close()


def _silent(server: Server, token: str) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    made.connect(("127.0.0.1", server.port))
    body = json.dumps({"message": QUESTION}).encode()
    head = (
        f"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    made.sendall(head.encode() + body)
    return made


def _resident(server: Server) -> int:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
