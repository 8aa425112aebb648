import json
import os
import socket
from pathlib import Path

import pytest

from intact.cli.doctor import verdict
from intact.collect.features import Answer, Feature
from tests.e2e.recorded import intact

FIELDS = {"feature", "answer", "reason", "remedy", "needed_for"}


def test_every_answer_has_its_reason(tmp_path: Path) -> None:
    said = intact("doctor", "--json", "--data", str(tmp_path / "data"))
    assert said.returncode == 0, said.stderr
    found = {one["feature"]: one for one in json.loads(said.stdout)}
    assert set(found) >= {"privilege", "BTF", "cgroup v2", "ring buffer", "uprobes", "store", "data directory"}
    for one in found.values():
        assert set(one) == FIELDS
        assert one["answer"] in ("yes", "no", "unknown")
        assert one["reason"]
        if one["answer"] == "no" and one["needed_for"].startswith("record"):
            assert one["remedy"]
    assert found["store"]["answer"] == "yes"
    assert found["data directory"]["answer"] == "yes"
    assert found["BTF"]["answer"] == ("yes" if os.path.exists("/sys/kernel/btf/vmlinux") else "no")
    assert not (tmp_path / "data").exists()


def test_a_person_gets_a_table_and_a_verdict(tmp_path: Path) -> None:
    said = intact("doctor", "--data", str(tmp_path))
    assert said.returncode == 0, said.stderr
    heading, *rows, last = said.stdout.splitlines()
    assert heading.split()[:2] == ["feature", "answer"]
    assert any(row.startswith("privilege") for row in rows)
    assert last.strip()
    assert "\x1b" not in said.stdout


def test_a_data_directory_that_cannot_be_is_a_no_with_a_remedy(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    said = intact("doctor", "--json", "--data", str(place))
    (found,) = [one for one in json.loads(said.stdout) if one["feature"] == "data directory"]
    assert (found["answer"], "INTACT_DATA" in found["remedy"]) == ("no", True)


def asked(folder: Path, config: str) -> dict[str, dict[str, str]]:
    path = folder / "intact.yaml"
    path.write_text(config)
    said = intact("doctor", "--json", "--data", str(folder / "data"), "--config", str(path))
    assert said.returncode == 0, said.stderr
    assert "word" not in said.stdout
    return {one["feature"]: one for one in json.loads(said.stdout)}


def test_what_an_asker_needs_is_told(tmp_path: Path) -> None:
    found = asked(tmp_path, "assist:")
    told = {name: found[name]["answer"] for name in ("sessions", "language model", "counters of the host")}
    assert told == {"sessions": "yes", "language model": "no", "counters of the host": "yes"}
    assert found["language model"]["needed_for"] != "ask"  # it is answered without one
    assert {"log files", "kernel log", "journal", "services"} <= set(found)
    assert all(
        found[name]["remedy"]
        for name in ("log files", "kernel log", "journal", "services")
        if found[name]["answer"] == "no"
    )
    assert (found["services"]["answer"] == "yes") == os.path.isdir("/run/systemd/system")


def test_a_redis_that_is_away_and_a_key_that_is_not_set_are_noes(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and listens to nobody
        port = taken.getsockname()[1]
        model = "model: {name: m, api_key_env: NOT_SET_ANYWHERE}"
        found = asked(tmp_path, f"assist: {{sessions: 'redis://:word@127.0.0.1:{port}/0', {model}}}")
    assert (found["sessions"]["answer"], found["sessions"]["needed_for"]) == ("no", "ask")
    assert f"127.0.0.1:{port} does not answer" in found["sessions"]["reason"]
    assert found["language model"]["answer"] == "no"
    assert "NOT_SET_ANYWHERE" in found["language model"]["remedy"]


def test_a_model_is_configured_and_not_called(tmp_path: Path) -> None:
    with socket.socket() as endpoint:
        endpoint.bind(("127.0.0.1", 0))
        endpoint.listen()
        port = endpoint.getsockname()[1]
        found = asked(tmp_path, f"assist: {{model: {{name: m, base_url: 'http://127.0.0.1:{port}/v1'}}}}")
        endpoint.setblocking(False)
        with pytest.raises(BlockingIOError):
            endpoint.accept()
    assert found["language model"]["answer"] == "unknown"
    assert "m of openai at 127.0.0.1" in found["language model"]["reason"]


@pytest.mark.parametrize(
    ("answer", "use", "words"),
    [
        (Answer.YES, "record", "everything that intact needs"),
        (Answer.NO, "record", "not everything works here: x"),
        (Answer.UNKNOWN, "record", "could not tell about 1 feature: x"),
        (Answer.NO, "a better hook where there is one", "everything that intact needs"),
        (Answer.NO, "answers that say more", "everything that intact needs"),
    ],
)
def test_the_verdict_is_about_what_is_needed(answer: Answer, use: str, words: str) -> None:
    assert verdict([(Feature(name="x", answer=answer, reason="r"), use)]).startswith(words)
