"""Changes of credentials, signals and parents of ends, from records made by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.decode import wire
from intact.decode.stage import decode
from intact.decode.wire import CredentialCall
from intact.model.effects import Kind
from intact.model.facts import Loss
from intact.model.identity import host_hash, process_id
from intact.model.slice import RawSlice, Slice
from tests.decode import made
from tests.decode.made import HOST, START

HERE = host_hash(HOST.boot_id)


def decoded(*slices: RawSlice) -> list[Slice]:
    return list(decode(slices, HOST))


def rows(slices: list[Slice], family: str) -> list[dict[str, Any]]:
    return [row for one in slices if family in one.effects for row in one.effects[family].to_pylist()]


def test_a_change_of_credentials_has_both_sides() -> None:
    before = wire.Credentials(1, 2, 3, 4, 5, 6, 7, 8, 1 << 40, 1 << 41, 1 << 42, 1 << 43)
    after = wire.Credentials(11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 23, 24)
    op = CredentialCall.SETRESUID
    one = made.credential(100, [7, 4_000_000_000], [9], before=before, after=after, result=-1, h_op=op, h_clipped=12)
    (row,) = rows(decoded(made.raw([one])), "credential")
    names = (
        "uid",
        "euid",
        "suid",
        "fsuid",
        "gid",
        "egid",
        "sgid",
        "fsgid",
        "caps",
        "permitted",
        "inheritable",
        "ambient",
    )
    assert [row[f"old_{name}"] for name in names] == [1, 2, 3, 4, 5, 6, 7, 8, 1 << 40, 1 << 41, 1 << 42, 1 << 43]
    assert [row[f"new_{name}"] for name in names] == [11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 23, 24]
    assert (row["old_groups"], row["new_groups"], row["groups_clipped"]) == ([7, 4_000_000_000], [9], 3)
    assert (row["call"], row["kind"], row["result"]) == ("setresuid", Kind.CREDENTIAL_CHANGE, -1)
    assert (row["at_ns"], row["end_ns"]) == (HOST.boot_offset_ns + 90, HOST.boot_offset_ns + 100)
    assert row["process_id"] == process_id(HERE, 42, START)


def test_a_signal_has_the_identity_of_its_target() -> None:
    sent = [
        made.signal(100, 9, 43),
        made.signal(100, 9, 44),
        made.signal(101, 15, 45, target_start_ns=0, result=-3),
        made.signal(102, 15, 0, target_start_ns=0, result=-1),
    ]
    found = rows(decoded(made.raw(sent)), "signal")
    targets = [process_id(HERE, pid, START + 1) for pid in (43, 44)]
    assert [(r["target_id"], r["target_pid"], r["signal"], r["result"]) for r in found] == [
        (targets[0], 43, 9, 0),
        (targets[1], 44, 9, 0),
        (0, 45, 15, -3),
        (0, 0, 15, -1),
    ]
    assert len({r["id"] for r in found}) == len(found)


def test_an_end_tells_its_parent_if_the_record_does() -> None:
    told = made.exit_(100, parent_tgid=41, parent_start_ns=START - 1, h_flags=wire.Flag.PARENT)
    older = made.exit_(200, parent_tgid=41, parent_start_ns=1 << 63)  # what was in the ring
    first, second = rows(decoded(made.raw([told, older])), "process")
    assert (first["parent_id"], first["ppid"]) == (process_id(HERE, 41, START - 1), 41)
    assert (second["parent_id"], second["ppid"]) == (0, 0)


@pytest.mark.parametrize(
    "bad",
    [
        made.credential(10, groups_before=30),
        made.credential(10, h_op=0),
        made.credential(10, h_op=max(CredentialCall) + 1),
        made.credential(10, h_length=1000),
        made.signal(10, 9, 43, target_start_ns=1 << 63),
        made.exit_(10, parent_start_ns=1 << 63, h_flags=wire.Flag.PARENT),
    ],
)
def test_a_record_that_cannot_be_is_refused_and_counted(bad: made.Made) -> None:
    slices = decoded(made.raw([bad, made.signal(20, 9, 43)]))
    assert len(rows(slices, "signal")) == 1
    assert not rows(slices, "credential")
    losses = [fact for one in slices for fact in one.facts if isinstance(fact, Loss)]
    assert [(loss.stage, loss.cause, loss.count) for loss in losses] == [("decode.process", "malformed", 1)]


@given(
    groups=st.lists(st.tuples(*[st.lists(st.integers(0, 2**32 - 1), max_size=32)] * 2), min_size=1, max_size=9),
    cuts=st.sets(st.integers(100, 200)),
)
def test_any_cut_and_any_groups_give_the_same_rows(groups: list[tuple[list[int], list[int]]], cuts: set[int]) -> None:
    records = [made.credential(100 + 10 * i, *sides) for i, sides in enumerate(groups)]
    records += [made.signal(105 + 10 * i, 9, 43 + i) for i in range(len(groups))]
    parts = decoded(*made.cut_at(records, cuts))
    whole = decoded(made.raw(records))
    assert sorted((r["old_groups"], r["new_groups"], r["id"]) for r in rows(parts, "credential")) == sorted(
        (r["old_groups"], r["new_groups"], r["id"]) for r in rows(whole, "credential")
    )
    by_time = {r["end_ns"] - HOST.boot_offset_ns: (r["old_groups"], r["new_groups"]) for r in rows(whole, "credential")}
    assert by_time == {100 + 10 * i: sides for i, sides in enumerate(groups)}
    assert {r["id"] for r in rows(parts, "signal")} == {r["id"] for r in rows(whole, "signal")}
