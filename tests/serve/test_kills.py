"""Serve is killed at any moment while it answers: the next serve ends each answer, and no client misses or hears twice."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serve.running import Server, record, serving, wait_for_run
from tests.serve.streams import Heard, events_of, is_gap_free, kinds_of, listen_until, listen_while_it_lives, text_of
from tests.standin import Script, Standin, Step

KILLS = 10
AT_ONCE = 6
QUESTIONS = ("how many runs are there?", "which files did the last run change?", "thanks", "一共有几次运行记录？")


def test_ten_kills_at_any_moment(tmp_path: Path) -> None:
    """Without a model; the questions of each round are gone on with by the serve of the next."""
    moments = random.Random(20261120)
    data = tmp_path / "data"
    run = record(data)
    before: list[Heard] = []
    gone_on_with = 0
    for number in range(KILLS + 1):
        with serving(data, "--auth", "dev") as server:
            if not number:
                wait_for_run(server, run)
            for seen in before:
                whole = _rest(server, seen)
                gone_on_with += len(whole) > len(seen)
            before = _killed(server, moments.uniform(0.0, 0.4)) if number < KILLS else []
    assert gone_on_with


def test_a_kill_while_the_text_is_told(tmp_path: Path) -> None:
    """A long answer of a model, killed when its first words were heard: the rest is the same text, the model is not asked."""
    data = tmp_path / "data"
    run = record(data)
    text = "There is 1 run [e1].\n" + "".join(
        f"- Of it nothing else is to be said, item {'x' * n}.\n" for n in range(180)
    )
    with _model(tmp_path, Script(steps=(Step(text=text),) * 4)) as options:
        with serving(data, *options) as server:
            wait_for_run(server, run)
            seen, connection = listen_until(server, QUESTIONS[0], lambda heard: b'"token"' in heard)
            server.kill()
            connection.close()
        with serving(data, *options) as server:
            whole = _rest(server, seen)
    assert kinds_of(seen).count("done") == 0
    assert kinds_of(whole).count("verdict") == 1
    assert kinds_of(whole).count("model_call") == 1
    assert len(text_of(whole)) > 10_000
    identity = whole[0][1]["session_id"]
    with serving(data, "--auth", "dev") as server:
        page = server.ask(f"/api/sessions/{identity}/messages").json
    assert [row["content"] for row in page["rows"]] == [QUESTIONS[0], text_of(whole)]


def test_a_signal_ends_it_soon_and_the_next_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run = record(data)
    with _model(tmp_path, Script(steps=(Step(text="There is 1 run [e1].", delay_s=4.0),) * 4)) as options:
        with serving(data, *options) as server:
            wait_for_run(server, run)
            seen, connection = listen_until(server, QUESTIONS[0], lambda heard: b'"evidence"' in heard)
            began = time.monotonic()
            server.end()
            assert time.monotonic() - began < 20, "three seconds for the streams, and what a loaded machine adds"
            connection.close()
        with serving(data, *options) as server:
            whole = _rest(server, seen)
    assert "There is 1 run" in text_of(whole)


def _killed(server: Server, after_s: float) -> list[Heard]:
    """What several clients heard until serve was killed; those that heard nothing asked nothing."""
    heard: list[Heard] = []
    threads = [
        threading.Thread(target=lambda n=n: heard.append(listen_while_it_lives(server, QUESTIONS[n % len(QUESTIONS)])))
        for n in range(AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    time.sleep(after_s)
    server.kill()
    for thread in threads:
        thread.join()
    return [each for each in heard if each]


def _rest(server: Server, seen: Heard) -> Heard:
    """What one client hears in all, when it listens again."""
    identity = seen[0][1]["message"]
    answer = server.ask(f"/api/chat/{identity}", headers={"Last-Event-ID": seen[-1][0]})
    assert answer.status == 200, (answer.body, seen)
    whole = seen + events_of(answer.body)
    assert is_gap_free(whole), kinds_of(whole)
    kinds = kinds_of(whole)
    assert kinds[-1] == "done"
    assert kinds.count("done") == kinds.count("verdict") == kinds.count("session_response_id") == 1
    for kind in ("tool_call", "tool_result", "evidence"):
        ids = [event["id"] for _, event in whole if event["type"] == kind]
        assert len(ids) == len(set(ids))
    assert events_of(server.ask(f"/api/chat/{identity}").body) == whole
    page = server.ask(f"/api/sessions/{whole[0][1]['session_id']}/messages").json
    assert [row["role"] for row in page["rows"]] == ["user", "assistant"]
    assert page["rows"][1]["content"] == text_of(whole)
    return whole


@contextmanager
def _model(directory: Path, script: Script) -> Iterator[tuple[str, ...]]:
    with Standin(script, log_dir=directory / "log", tls=False) as model:
        config = directory / "intact.yaml"
        settings = {"name": "m", "base_url": f"{model.base_url}/v1"}
        config.write_text(json.dumps({"assist": {"model": settings, "host_metrics_s": 0}}))
        yield "--auth", "dev", "--config", str(config)
