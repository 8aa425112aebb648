"""`intact ask`: what it says and how it ends, with nothing recorded, beside a serve, interrupted, and read by nobody."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.serve.running import environment, record, serving, wait_for_run
from tests.standin import Script, Standin, Step

QUESTION = "how many runs are there?"
WAIT_S = 120


def started(*words: str, out: int | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "intact", "ask", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if out is None else out, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    out, errors = process.communicate(timeout=WAIT_S)
    return process.returncode, (out or b"").decode(), errors.decode()


def is_running(data: Path, place: str) -> bool:
    found = subprocess.run(
        [sys.executable, "-c", _RUNNING, str(data / "assist.db"), place], capture_output=True, text=True, check=True
    )
    return found.stdout.strip() != "0"


_RUNNING = """
import sqlite3, sys
query = "SELECT count(*) FROM responses WHERE state = 'running' AND place = ?"
print(sqlite3.connect(sys.argv[1]).execute(query, sys.argv[2:]).fetchone()[0])
"""


def test_without_a_data_directory_two_at_once_are_answered(tmp_path: Path) -> None:
    """Both make the directory, its keys and its files at the same moment."""
    data = str(tmp_path / "none" / "yet")
    both = [started(text, "--data", data) for text in (QUESTION, "一共有几次运行记录？")]
    english, chinese = (ended(each) for each in both)
    assert (english[0], chinese[0]) == (0, 0), (english, chinese)
    assert "[e1]" in english[1]
    assert "运行" in chinese[1]
    assert "Traceback" not in english[2] + chinese[2]


def test_a_wrong_key_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / "intact.yaml"
    config.write_text('{"assist": {"modell": {}}}')
    code, out, errors = ended(started("hello", "--config", str(config), "--data", str(tmp_path / "data")))
    assert (code, out) == (2, "")
    assert "assist.modell" in errors
    assert len(errors.splitlines()) == 1


def test_beside_a_serve_and_read_by_nobody(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run = record(data)
    with serving(data, "--auth", "dev") as server:
        wait_for_run(server, run)
        reading, writing = os.pipe()
        os.close(reading)
        both = [
            started(QUESTION, "--data", str(data), "--json"),
            started("what can you do?", "--data", str(data), out=writing),
        ]
        os.close(writing)
        code, out, errors = ended(both[0])
        assert (code, errors) == (0, "")
        answer = json.loads(out)
        assert answer["verdict"] in ("answered", "found")
        assert answer["evidence"][0]["rows"]
        assert server.ask(f"/api/sessions/{answer['session_id']}").status == 404, "it is the owner's, not dev's"
        assert server.ask("/api/sessions").json["rows"] == []
        code, _, errors = ended(both[1])
        assert code in (0, 1)
        assert "Traceback" not in errors
        assert server.ask("/healthz").status == 200


def test_an_interrupt_ends_the_answer(tmp_path: Path) -> None:
    data = tmp_path / "data"
    record(data)
    script = Script(steps=(Step(text="late", delay_s=60.0),) * 4)
    with Standin(script, log_dir=tmp_path / "log", tls=False) as model:
        config = tmp_path / "intact.yaml"
        settings = {"name": "m", "base_url": f"{model.base_url}/v1"}
        config.write_text(json.dumps({"assist": {"model": settings}}))
        process = started(QUESTION, "--data", str(data), "--config", str(config))
        try:
            _wait_until_asked(tmp_path / "log")
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            code, _, errors = ended(process)
        finally:
            process.kill()
    assert code == 130
    assert time.monotonic() - began < 20
    assert "Traceback" not in errors
    assert not is_running(data, "ask")


def _wait_until_asked(log: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not any(path.stat().st_size for path in log.glob("conn-*.in")):
        assert time.monotonic() < deadline, "the model was never asked"
        time.sleep(0.1)


def test_an_interrupt_before_the_answer_is_one_line(tmp_path: Path) -> None:
    process = started(QUESTION, "--data", str(tmp_path / "data"))
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    code, _, errors = ended(process)
    assert code in (130, -signal.SIGINT), errors  # the second: Python itself was not up yet
    assert code != 130 or errors.splitlines()[-1:] == ["intact: interrupted"] or not errors
