"""Each shipped capture gives its golden: whole, cut into other slices, cut short, and with records lost."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intact.collect.capture_file import CaptureReader
from intact.decode import wire
from intact.model.slice import Host, RawSlice
from tests.captures.golden import Outcome, outcome_of, read

CAPTURES = sorted((Path(__file__).parent / "captures").glob("*.capture"))
BLESS = os.environ.get("INTACT_BLESS") == "1"
# A run of the pipeline takes some tenths of a second.
SLOW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))

captures = pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)


def check_golden(name: str, summary: dict[str, Any]) -> None:
    golden = CAPTURES[0].with_name(f"{name}.golden.json")
    text = json.dumps(summary, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if BLESS:
        golden.write_text(text)
    assert golden.exists(), "no golden yet; make one with: make bless"
    assert json.loads(text) == json.loads(golden.read_text()), "not as before; if that is meant: make bless"


def test_there_are_captures() -> None:
    assert {path.stem for path in CAPTURES} >= {"demo", "background", "responses", "gemini"}
    assert sum(path.stat().st_size for path in CAPTURES) < 300_000


@captures
def test_a_capture_gives_its_golden(path: Path) -> None:
    check_golden(path.stem, outcome_of(path).summary())


@captures
def test_a_capture_is_redacted_and_of_nobody(path: Path) -> None:
    with CaptureReader(path) as reader:
        assert reader.about.redacted
        assert reader.host.name == "demo"
        whole = b"".join(bytes(data) for raw in reader.slices() for data in raw.rings.values())
        assert (reader.cut, reader.ending is None) == (None, False)
    assert not [word for word in (b"sk-ant", b"sk-test", b"/home/") if word in whole]


def test_a_capture_cut_short_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.capture"
    whole = next(path for path in CAPTURES if path.stem == "demo").read_bytes()
    path.write_bytes(whole[: len(whole) * 7 // 10])
    with CaptureReader(path) as reader:
        found = Outcome(reader.slices(), reader.host)
        assert reader.cut == "it ends within a frame"
    check_golden("cut", found.summary())


@captures
@SLOW
@given(data=st.data())
def test_other_slices_give_the_same(path: Path, data: st.DataObject) -> None:
    host, raw = read(path)
    known = _known(path)
    edges = [edge for one in raw for edge in _times(one)]
    cuts = data.draw(st.lists(st.sampled_from(edges), max_size=40), label="cuts")
    merges = data.draw(st.sets(st.integers(0, len(raw)), max_size=len(raw)), label="merges")
    found = Outcome(_merged(_split(raw, set(cuts)), merges), host)
    assert found.effects == known.effects
    assert found.rows == known.rows
    assert dict(found.facts) == dict(known.facts)
    assert found.claims() == known.claims()
    assert (found.losses, found.seen, found.passed) == (known.losses, known.seen, known.passed)


@captures
@SLOW
@given(seed=st.integers(0, 1 << 32), share=st.sampled_from([0.002, 0.01, 0.1, 0.5, 1.0]))
def test_lost_records_are_told_and_break_nothing(path: Path, seed: int, share: float) -> None:
    host, raw = read(path)
    known = _known(path)
    chance = np.random.default_rng(seed)
    found = Outcome([_thinned(one, chance, share) for one in raw], host)
    assert set(found.effects) <= set(known.effects)
    for key, call in found.facts["LlmCall"].items():
        before = known.facts["LlmCall"].get(key)
        # What is called complete is what it was; everything else says what is wrong with it.
        if call["complete"] and before is not None:
            assert _words(call) == _words(before)
        assert call["complete"] or call["missing_bytes"] or call["problem"]


_outcomes: dict[Path, Outcome] = {}


def _known(path: Path) -> Outcome:
    if path not in _outcomes:
        _outcomes[path] = outcome_of(path)
    return _outcomes[path]


def _words(call: dict[str, Any]) -> dict[str, Any]:
    return {
        name: call[name] for name in ("output_messages", "finish_reasons", "output_tokens", "request_model", "status")
    }


def _rows(name: str, data: bytes | bytearray | memoryview) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(data, np.uint8).reshape(-1, wire.CLASS_BYTES[name.rpartition("_")[2]])


def _ktimes(rows: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return rows[:, :8].copy().view(np.uint64)[:, 0]


def _times(raw: RawSlice) -> list[int]:
    """Times of its records, at which it could have been drained."""
    return sorted(
        {int(at) for name, data in raw.rings.items() for at in _ktimes(_rows(name, data))} | {raw.until_ktime_ns}
    )


def _split(raw: list[RawSlice], cuts: set[int]) -> list[RawSlice]:
    """The slices as more drains would have brought them: each ends at a cut, its counters come with the last part."""
    parts: list[RawSlice] = []
    before = 0
    for one in raw:
        edges = sorted(cut for cut in cuts if before < cut < one.until_ktime_ns)
        for low, high in zip([0, *edges], [*edges, one.until_ktime_ns], strict=True):
            last = high == one.until_ktime_ns
            rings = {}
            for name, data in one.rings.items():
                rows = _rows(name, data)
                at = _ktimes(rows)
                mine = rows[(at >= low) & ((at < high) | last)]
                if len(mine):
                    rings[name] = mine.tobytes()
            parts.append(
                RawSlice(
                    until_ktime_ns=high,
                    rings=rings,
                    counters=one.counters if last else {},
                    notes=one.notes if last else (),
                    unheard=one.unheard if last else (),
                )
            )
        before = one.until_ktime_ns
    return parts


def _merged(raw: list[RawSlice], borders: set[int]) -> Iterator[RawSlice]:
    """Neighbours put together where there is no border between them."""
    group: list[RawSlice] = []
    for number, one in enumerate(raw):
        group.append(one)
        if number in borders or number == len(raw) - 1:
            names = dict.fromkeys(name for part in group for name in part.rings)
            yield RawSlice(
                until_ktime_ns=one.until_ktime_ns,
                rings={name: b"".join(bytes(part.rings.get(name, b"")) for part in group) for name in names},
                counters=next((part.counters for part in reversed(group) if part.counters), {}),
                notes=tuple(note for part in group for note in part.notes),
                unheard=tuple(unheard for part in group for unheard in part.unheard),
            )
            group = []


def _thinned(raw: RawSlice, chance: np.random.Generator, share: float) -> RawSlice:
    rings = {}
    for name, data in raw.rings.items():
        rows = _rows(name, data)
        rings[name] = rows[chance.random(len(rows)) >= share].tobytes()
    return RawSlice(
        until_ktime_ns=raw.until_ktime_ns, rings=rings, counters=raw.counters, notes=raw.notes, unheard=raw.unheard
    )


def test_splitting_and_merging_lose_no_record() -> None:
    host, raw = read(CAPTURES[0])
    assert isinstance(host, Host)

    def records(slices: list[RawSlice]) -> list[bytes]:
        return sorted(row.tobytes() for one in slices for name, data in one.rings.items() for row in _rows(name, data))

    cuts = {at for one in raw for at in _times(one)[::7]}
    parts = _split(raw, cuts)
    assert len(parts) > len(raw)
    assert records(parts) == records(list(_merged(parts, {3, 9, 27}))) == records(raw)
