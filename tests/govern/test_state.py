"""Asked for and in effect: kept apart, never loosened by accident, and logged."""

import os
from pathlib import Path

import pytest

from intact.govern.state import FRESH_NS, Applied, State
from intact.model.errors import IntactError

TEXT = "name: a\nrules:\n  - {id: r, connect: {}, action: deny}\n"


def applied(at_ns: int = 1) -> Applied:
    return Applied(text=TEXT, by="ann as root", at_ns=at_ns)


def test_what_is_asked_for_is_read_back_and_logged(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert state.desired().revision == 0
    assert state.apply("a", applied(1)).revision == 1
    assert state.apply("a", applied(2)).revision == 2
    assert [policy.name for policy in state.desired().read()] == ["a"]
    assert state.remove("a", by="ann", at_ns=3).revision == 3
    assert state.desired().read() == ()
    assert [(entry["did"], entry["by"], entry["at_ns"]) for entry in state.log()] == [
        ("applied", "ann as root", 1),
        ("replaced", "ann as root", 2),
        ("removed", "ann", 3),
    ]


def test_what_was_not_asked_for_cannot_be_removed(tmp_path: Path) -> None:
    with pytest.raises(IntactError, match="no policy 'b' is applied"):
        State(tmp_path).remove("b", by="ann", at_ns=1)


def test_only_a_newer_file_changes_anything(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.apply("a", applied())
    assert state.newer(0) is not None
    assert state.newer(1) is None
    (tmp_path / "govern" / "desired.json").unlink()
    assert state.newer(1) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"revision": 9}', '{"revision": 9, "policies": {"a": 1}}'])
def test_a_broken_file_changes_nothing_and_is_told(tmp_path: Path, content: str) -> None:
    state = State(tmp_path)
    state.apply("a", applied())
    (tmp_path / "govern" / "desired.json").write_text(content)
    assert state.newer(0) is None
    with pytest.raises(IntactError):
        state.desired()


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: cannot give a file away")
def test_a_file_of_another_user_is_not_believed(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.apply("a", applied())
    os.chown(tmp_path / "govern" / "desired.json", 65534, 65534)
    assert state.newer(0) is None
    with pytest.raises(IntactError, match="can be written by others"):
        state.desired()


def test_what_is_in_effect_grows_old(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.tell("one", {"at_ns": 100, "rules": []})
    assert set(state.effective(200)) == {"one"}
    assert state.effective(200 + FRESH_NS) == {}
    state.forget("one")
    assert state.effective(200) == {}
