"""Who made the processes that are governed, as the tree of processes told it: a hit does not tell."""

import pyarrow.compute as pc

from intact.model.effects import Kind
from intact.model.facts import Process
from intact.model.slice import Slice

MOST_PARENTS = 16_384  # the oldest beyond this are forgotten


class Parents:
    """The pid of each process's parent, by process id."""

    def __init__(self, most: int = MOST_PARENTS) -> None:
        self._known: dict[int, int] = {}
        self._most = most

    def learn(self, piece: Slice) -> None:
        """Take in what a slice tells of processes."""
        for fact in piece.facts:
            if isinstance(fact, Process) and fact.ppid:
                self._put(fact.id, fact.ppid)
        batch = piece.effects.get("process")
        if batch is None:
            return
        rows = batch.filter(pc.invert(batch.column("is_thread")))
        names = ("kind", "process_id", "pid", "child_id", "ppid")
        for kind, process, pid, child, parent in zip(*(rows.column(name).to_pylist() for name in names), strict=True):
            if kind == Kind.FORK:
                self._put(child, pid)
            elif kind == Kind.EXEC or process not in self._known:  # at its end it may be with init
                self._put(process, parent)

    def of(self, process: int) -> int:
        """The pid of the parent, 0 as long as it is not known."""
        return self._known.get(process, 0)

    def _put(self, process: int, parent: int) -> None:
        if not process or not parent:
            return
        self._known.pop(process, None)
        self._known[process] = parent
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]
