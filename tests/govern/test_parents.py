"""Parents of those who are hit: as the tree of processes told them, and no more of them than fit."""

from intact.govern.parents import Parents
from intact.model.effects import Kind
from intact.model.facts import Process
from intact.model.slice import Slice
from tests.store.slices import effects


def test_forks_and_execs_and_processes_that_were_there_tell_parents() -> None:
    parents = Parents()
    told = effects(
        "process", 4, kind=[int(Kind.FORK), int(Kind.FORK), int(Kind.EXEC), int(Kind.EXIT)], process_id=[1, 1, 8, 7],
        pid=[10, 10, 80, 70], child_id=[7, 8, 0, 0], child_pid=[70, 80, 0, 0], ppid=[0, 0, 70, 1], is_thread=False,
    )  # fmt: skip
    parents.learn(Slice(until_ns=1, facts=(Process(id=5, pid=50, start_ns=0, ppid=2),), effects=told))
    assert [parents.of(process) for process in (5, 7, 8, 9)] == [2, 10, 70, 0]


def test_a_thread_is_no_child() -> None:
    parents = Parents()
    told = effects("process", 1, kind=int(Kind.FORK), process_id=[1], pid=[10], child_id=[1], is_thread=True)
    parents.learn(Slice(until_ns=1, effects=told))
    assert parents.of(1) == 0


def test_those_remembered_are_bounded() -> None:
    parents = Parents(most=2)
    for process in (1, 2, 3):
        parents.learn(Slice(until_ns=1, facts=(Process(id=process, pid=process, start_ns=0, ppid=9),)))
    assert [parents.of(process) for process in (1, 2, 3)] == [0, 9, 9]
