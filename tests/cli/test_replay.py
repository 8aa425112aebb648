import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.recorded import intact, kernel_test, lines, record, show

CAPTURES = Path(__file__).parents[1] / "captures"
DEMO = CAPTURES / "demo.capture"


def replayed(data: Path, capture: Path, *options: str) -> dict[str, Any]:
    said = intact("replay", str(capture), "--data", str(data), "--json", *options)
    assert said.returncode == 0, said.stderr
    about: dict[str, Any] = json.loads(said.stdout)
    return about


def without_id(shown: dict[str, Any]) -> dict[str, Any]:
    return {**shown, "run": {**shown["run"], "id": ""}}


def test_a_replay_is_a_run_and_a_second_one_has_the_same_rows(tmp_path: Path) -> None:
    first = replayed(tmp_path, DEMO)
    assert (first["name"], first["exit_code"], first["problem"]) == ("demo", 0, None)
    assert (first["calls"], first["tool_calls"]) == (3, 3)
    second = replayed(tmp_path, DEMO)
    assert first["id"] != second["id"]
    one, other = show(tmp_path, first["id"]), show(tmp_path, second["id"])
    assert len(one["effects"]) == first["effects"] > 100
    assert [tool["name"] for tool in one["tool_calls"]] == ["write_file", "shell", "shell"]
    assert one["ledger"]["complete"]
    assert without_id(one) == without_id(other)


def test_a_replay_tells_what_it_gave(tmp_path: Path) -> None:
    said = intact("replay", str(DEMO), "--data", str(tmp_path), "--name", "again")
    assert (said.returncode, said.stdout) == (0, "")
    counted, run = lines(said.stderr)
    assert counted.startswith("intact: replayed 3 calls, 3 tool calls, ")
    assert "again" in run
    assert "\x1b" not in said.stderr


def test_a_cut_capture_is_replayed_up_to_the_break(tmp_path: Path) -> None:
    cut = tmp_path / "cut.capture"
    cut.write_bytes(DEMO.read_bytes()[: DEMO.stat().st_size * 7 // 10])
    said = intact("replay", str(cut), "--data", str(tmp_path / "data"), "--json")
    assert said.returncode == 0
    assert lines(said.stderr) == [f"intact: {cut} is cut (it ends within a frame): replayed up to there"]
    about = json.loads(said.stdout)
    assert "cut" in about["problem"]
    assert about["ended_ns"] > about["started_ns"]
    assert show(tmp_path / "data", about["id"])["calls"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "not a capture"),
        (b"\x7fELF\x1b[31m" * 9, "not a capture"),
        (b"intact capture 7\n", "version 7"),
    ],
)
def test_what_is_no_capture_is_refused_in_one_line(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    data = tmp_path / "data"
    said = intact("replay", str(path), "--data", str(data))
    assert (said.returncode, said.stdout) == (1, "")
    assert len(lines(said.stderr)) == 1
    assert words in said.stderr
    assert not data.exists()


def test_wrong_use_is_told_and_help_has_an_example(tmp_path: Path) -> None:
    assert intact("replay").returncode == 2
    assert intact("replay", str(DEMO), "--data", str(tmp_path), "--name", " ").returncode == 2
    assert "Example:" in intact("replay", "--help").stdout


def test_a_full_data_directory_is_told(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    said = intact("replay", str(DEMO), "--data", str(place))
    assert said.returncode == 1
    assert len(lines(said.stderr)) == 1


@kernel_test
def test_a_recording_and_its_replay_have_the_same_rows(tmp_path: Path) -> None:
    data, capture = tmp_path / "data", tmp_path / "run.capture"
    script = "echo hello > a; mv a b; (exec 3<b; read x <&3); rm b; exit 3"
    done = record(data, "/bin/sh", "-c", script, options=["--capture", str(capture)], cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert capture.stat().st_mode & 0o777 == 0o600
    (recorded,) = os.listdir(data / "runs")
    about = replayed(data, capture)
    assert about["exit_code"] == 3
    one = show(data, recorded)
    assert {effect["kind"] for effect in one["effects"]} >= {"exec", "file_create", "file_rename", "file_delete"}
    assert without_id(one) == without_id(show(data, about["id"]))
