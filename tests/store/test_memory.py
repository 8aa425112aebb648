"""What rows owe to earlier slices: roles of sockets, names and agents of processes."""

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from intact.model.effects import FAMILIES, Kind
from intact.model.facts import Agent, Process
from intact.model.slice import Slice
from intact.store.lineage import Lineage
from intact.store.roles import MAX_SOCKETS, Roles
from tests.store.slices import T0, batch, effects


def net(*rows: tuple[Kind, int]) -> pa.RecordBatch:
    return batch(
        FAMILIES["net"], len(rows), kind=[int(kind) for kind, _ in rows], socket=[socket for _, socket in rows]
    )


def agent(process: int) -> Agent:
    return Agent(
        id=process, process_id=process, root_process_id=1, biz_type=1, name="a", recogniser="r", score=1.0, reason="x",
        role="agent", first_seen_ns=T0, last_seen_ns=T0,
    )  # fmt: skip


def fork(parent: int, child: int) -> dict[str, pa.RecordBatch]:
    return effects(
        "process", 1, kind=int(Kind.FORK), process_id=parent, child_id=child, child_pid=child, comm=f"c{child}"
    )


def test_a_close_has_the_role_of_its_socket() -> None:
    roles = Roles()
    assert roles.of(net((Kind.CONNECT, 1), (Kind.ACCEPT, 2), (Kind.CLOSE, 3))).to_pylist() == ["client", "server", ""]
    assert roles.of(net((Kind.CLOSE, 2), (Kind.CLOSE, 1), (Kind.CLOSE, 1))).to_pylist() == [
        "server",
        "client",
        "client",
    ]
    assert roles.of(net((Kind.CLOSE, 1), (Kind.ACCEPT, 1), (Kind.CLOSE, 1))).to_pylist() == ["", "server", "server"]
    assert len(roles._sockets) == 0


def test_sockets_remembered_are_bounded() -> None:
    roles = Roles()
    for start in range(0, 3 * MAX_SOCKETS, MAX_SOCKETS // 2):
        roles.of(net(*((Kind.CONNECT, start + n + 1) for n in range(MAX_SOCKETS // 2))))
        assert len(roles._sockets) <= MAX_SOCKETS
    assert roles.of(net((Kind.CLOSE, 1), (Kind.CLOSE, 3 * MAX_SOCKETS))).to_pylist() == ["", "client"]


NET = st.lists(st.tuples(st.sampled_from([Kind.CONNECT, Kind.ACCEPT, Kind.CLOSE]), st.integers(1, 3)), max_size=20)


@settings(deadline=None)
@given(NET, st.integers(0, 20))
def test_any_cut_gives_the_same_roles(rows: Any, cut: int) -> None:
    roles = Roles()
    found = [role for part in (rows[:cut], rows[cut:]) if part for role in roles.of(net(*part)).to_pylist()]
    expected, open_ones = [], {}
    for kind, socket in rows:
        if kind is not Kind.CLOSE:
            open_ones[socket] = "client" if kind is Kind.CONNECT else "server"
        expected.append(open_ones.get(socket, ""))
    # a socket that was closed says nothing more after the cut; within a batch the last role stands
    assert len(found) == len(expected)
    assert all(role in ("", right) for role, right in zip(found, expected, strict=True))


def test_what_an_agent_starts_belongs_to_it() -> None:
    lineage = Lineage()
    lineage.learn(Slice(until_ns=1, facts=(Process(id=1, pid=1, start_ns=1, comm="sh"),), effects=fork(1, 2)))
    assert {process: known.agent for process, known in lineage.changes()} == {1: 0, 2: 0}
    lineage.learn(Slice(until_ns=2, effects=fork(2, 3)))
    lineage.learn(Slice(until_ns=3, facts=(agent(2),)))
    assert {process: (known.comm, known.agent) for process, known in lineage.changes()} == {2: ("c2", 2), 3: ("c3", 2)}
    lineage.learn(Slice(until_ns=4, effects=fork(3, 4)))
    assert [(process, known.agent) for process, known in lineage.changes()] == [(4, 2)]
    lineage.learn(Slice(until_ns=5, facts=(agent(4),), effects=fork(4, 5)))
    assert {process: known.agent for process, known in lineage.changes()} == {4: 4, 5: 4}
    assert lineage.comms(pa.array([4, 9], pa.uint64())).to_pylist() == ["c4", ""]
    assert lineage.changes() == []
