"""The command itself: wrong use, errors of the machine, readers that go away; one line each and the promised exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

from intact.cli.export import Format
from intact.cli.export import run as export
from intact.cli.replay import replay
from intact.collect.capture_file import CaptureReader
from intact.store.runs import DataDirectory

CAPTURE = Path(__file__).parents[1] / "captures" / "demo.capture"


def intact(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "intact.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={"INTACT_DATA": str(data)}, check=False)


def test_without_a_command_the_help_is_printed_as_it_is(tmp_path: Path) -> None:
    done = intact(data=tmp_path)
    assert (done.returncode, done.stderr) == (2, "")
    assert "\n  show " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("bogus",), "(see: intact --help)"),
        (("show", "--bogus"), "(see: intact show --help)"),
    ],
)
def test_wrong_use_names_the_help_that_there_is(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = intact(*arguments, data=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_an_error_of_the_machine_is_told_without_its_python_name(tmp_path: Path) -> None:
    no_directory = tmp_path / "file"
    no_directory.touch()
    done = intact("runs", data=no_directory)
    assert (done.returncode, done.stderr) == (1, f"intact: {no_directory}/runs: Not a directory\n")


def test_a_reader_of_an_export_that_goes_away_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CaptureReader(CAPTURE) as reader:
        replay(reader, DataDirectory(tmp_path), "demo")

    class Closed:
        def writelines(self, _lines: object) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        export("demo", Format.JSONL, None, tmp_path)


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with CaptureReader(CAPTURE) as reader:
            replay(reader, DataDirectory(tmp_path), name)
    found = DataDirectory(tmp_path).runs()
    done = intact("runs", data=tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [run.id for run in reversed(found)]
