"""Hits told to others: whole, in time, again where it failed, and never in the way of who tells them."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.govern.notify import MOST_SYSLOG_BYTES, Notifier, syslog_line
from intact.model.config import Outputs

HIT = {
    "at_ns": 1_700_000_000_123_456_789,
    "rule_id": "r",
    "outcome": "prevented",
    "process_id": (1 << 63) + 1,
    "path": "/x",
    "argv": ["a"],
    "id": 7,
}


class Hook:
    """Answers with these status codes in turn, the last again and again."""

    def __init__(self, *answers: int) -> None:
        self.posts: list[Any] = []
        left = list(answers)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.posts.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hits?key=1"


def outputs(url: str = "", address: str = "", **more: Any) -> Outputs:
    return Outputs.model_validate({"webhook": {"url": url, "retries": 1}, "syslog": {"address": address}, **more})


@pytest.fixture
def hook(request: pytest.FixtureRequest) -> Iterator[Hook]:
    made = Hook(*request.param)
    yield made
    made.server.shutdown()
    made.server.server_close()


def wait(done: Any) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("hook", [(503, 204)], indirect=True)
def test_a_post_is_tried_again(hook: Hook) -> None:
    notifier = Notifier(outputs(hook.url), "machine")
    notifier.tell([HIT])
    wait(lambda: len(hook.posts) == 2)
    notifier.close()
    assert hook.posts[0] == hook.posts[1]
    assert hook.posts[0]["host"] == "machine"
    (told,) = hook.posts[0]["hits"]
    assert (told["process_id"], told["rule_id"], "id" in told) == (str((1 << 63) + 1), "r", False)
    assert notifier.take_lost() == 0


@pytest.mark.parametrize("hook", [(302,), (400,)], indirect=True)
def test_an_answer_that_will_not_change_is_not_asked_for_again(hook: Hook, capfd: pytest.CaptureFixture[str]) -> None:
    notifier = Notifier(outputs(hook.url), "machine")
    notifier.tell([HIT, HIT])
    notifier.close()
    assert len(hook.posts) == 1
    assert notifier.take_lost() == 2
    assert notifier.take_lost() == 0
    told = capfd.readouterr().err
    assert "webhook" in told
    assert "key=1" not in told


def test_who_does_not_answer_holds_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        notifier = Notifier(outputs(url, queue=5), "machine")
        began = time.monotonic()
        for _ in range(1000):
            notifier.tell([HIT])
        assert time.monotonic() - began < 1
        assert notifier.take_lost() >= 1000 - 5 - 100
        notifier.close()
        assert time.monotonic() - began < 5


def test_nothing_is_kept_where_nobody_is_to_be_told() -> None:
    notifier = Notifier(outputs(), "machine")
    notifier.tell([HIT])
    notifier.close()
    assert notifier.take_lost() == 0


def test_syslog_by_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        notifier = Notifier(outputs(address=f"udp://127.0.0.1:{server.getsockname()[1]}"), "my machine")
        notifier.tell([HIT])
        line = server.recv(65536).decode()
        notifier.close()
    assert line.startswith("<84>1 2023-11-14T22:13:20.123")
    head, _, body = line.partition("{")
    assert head.split()[2:4] == ["mymachine", "intact"]
    assert head.split()[5:] == ["prevented", "-"]
    assert json.loads("{" + body)["rule_id"] == "r"


@given(path=st.text(max_size=5000), argv=st.lists(st.text(max_size=300), max_size=60), host=st.text(max_size=300))
def test_a_line_is_one_line_of_bounded_length(path: str, argv: list[str], host: str) -> None:
    line = syslog_line({**HIT, "path": path, "argv": argv, "rule_id": "r" * 64, "comm": path[:16]}, host)
    assert len(line) <= MOST_SYSLOG_BYTES
    assert all(32 <= byte < 127 for byte in line)
    assert json.loads(line.split(b" ", 7)[7])["rule_id"] == "r" * 64
