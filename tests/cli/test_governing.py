"""Hits among the slices: each with the parent of who was hit, also where its making is told only with the next slice."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from intact.cli.governing import Enforcement
from intact.govern.hits import Hit
from intact.model.effects import Kind
from intact.model.slice import Slice
from tests.store.slices import HOST, effects


class Told:
    """A governor that tells these hits, and at its end no more."""

    def __init__(self, *hits: Sequence[Hit], alive: dict[int, int] | None = None) -> None:
        self._hits = [list(some) for some in hits]
        self._alive = alive or {}
        self.epoch = 3
        self.self_tests: dict[str, str] = {}

    def hits(self) -> list[Hit]:
        return self._hits.pop(0) if self._hits else []

    def observe(self, piece: Slice) -> list[Hit]:
        del piece
        return []

    def losses(self) -> dict[str, int]:
        return {}

    def status(self) -> list[Any]:
        return []

    def parent(self, pid: int, process: int) -> int:
        del process
        return self._alive.get(pid, 0)

    def finish(self) -> list[Hit]:
        return self.hits()

    def close(self) -> None:
        pass


def hit(process: int, at_ns: int) -> Hit:
    return Hit(
        rule_id="r", policy="p", target="exec", action="deny", mechanism="exec_kill", outcome="prevented",
        process_id=process, pid=process * 10, tid=process * 10, at_ns=at_ns,
    )  # fmt: skip


def fork(child: int, until_ns: int) -> Slice:
    told = effects("process", 1, kind=int(Kind.FORK), process_id=[1], pid=[10], child_id=[child], at_ns=until_ns - 1)
    return Slice(until_ns=until_ns, effects=told)


def rows(tmp_path: Path, governor: Told, pieces: list[Slice], monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    enforcement = Enforcement(tmp_path, [], tmp_path, HOST)
    monkeypatch.setattr(enforcement, "governor", governor)
    told = [piece.effects.get("block") for piece in enforcement.watch(iter(pieces))]
    return [[] if batch is None else [(row["pid"], row["ppid"]) for row in batch.to_pylist()] for batch in told]


def test_a_parent_of_this_slice_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows(tmp_path, Told([hit(7, 4)]), [fork(7, 5)], monkeypatch) == [[(70, 10)]]


def test_a_hit_of_a_process_not_yet_told_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    governor = Told([hit(8, 6)])
    assert rows(tmp_path, governor, [fork(7, 5), fork(8, 9)], monkeypatch) == [[], [(80, 10)]]


def test_nothing_waits_longer_than_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    governor = Told([hit(9, 6)])
    assert rows(tmp_path, governor, [fork(7, 5), fork(8, 9)], monkeypatch) == [[], [(90, 0)]]


def test_what_waits_at_the_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows(tmp_path, Told([hit(9, 6)]), [fork(7, 5)], monkeypatch) == [[], [(90, 0)]]


def test_one_that_runs_still_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    governor = Told([hit(9, 6)], alive={90: 33})
    assert rows(tmp_path, governor, [fork(7, 5)], monkeypatch) == [[(90, 33)]]
