"""What a person types after `why`, as the store holds it, and how a connection is told."""

import os
from pathlib import Path

import pytest

from intact.cli.tree import outcome, verb
from intact.cli.why import as_stored


@pytest.mark.parametrize(
    ("typed", "looked_for"),
    [
        ("/a/b", "/a/b"),
        ("b.py", "b.py"),
        ("src/b.py", "src/b.py"),
        ("host:80", "host:80"),
        (os.fsdecode(b"/a/\xff"), "/a/\\xff"),
        ("\u65e5\u672c", "\u65e5\u672c"),
    ],
)
def test_a_target_is_looked_for_as_it_was_stored(typed: str, looked_for: str) -> None:
    assert as_stored(typed) == looked_for


def test_a_path_with_dots_is_meant_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert as_stored("./x") == f"{tmp_path}/sub/x"
    assert as_stored("../x") == f"{tmp_path}/x"


def test_a_connect_that_does_not_wait_has_not_failed() -> None:
    waiting = {"kind": "connect", "result": -115}
    assert (verb(waiting), outcome(waiting)) == ("connecting to", 0)
    refused = {"kind": "connect", "result": -111}
    assert (verb(refused), outcome(refused)) == ("connected to", -111)
    assert outcome({"kind": "file_open", "result": 3}) == 0
