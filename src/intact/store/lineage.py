"""What is known of processes from slice to slice: the last comm of each, its parent, and whether it belongs to an agent."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from intact.model.effects import Kind
from intact.model.facts import Agent, Process
from intact.model.slice import Slice

# The oldest processes beyond this are forgotten.
MAX_PROCESSES = 100_000
MAX_CHILDREN = 1_000


@dataclass(slots=True)
class Lineal:
    """A process, as far as naming and ancestry need it."""

    comm: str = ""
    pid: int = 0
    parent: int = 0
    agent: int = 0  # process id of the agent it belongs to
    children: list[int] = field(default_factory=list)


class Lineage:
    """Learns from slices; gives each row's comm, and the processes of which something changed."""

    def __init__(self) -> None:
        self._known: dict[int, Lineal] = {}
        self._changed: dict[int, None] = {}

    def learn(self, piece: Slice) -> None:
        """Take in processes and agents of one slice."""
        for fact in piece.facts:
            if isinstance(fact, Process):
                self._put(fact.id, comm=fact.comm, pid=fact.pid, parent=fact.parent_id or 0)
        batch = piece.effects.get("process")
        if batch is not None:
            names = ("kind", "process_id", "pid", "parent_id", "child_id", "child_pid", "comm")
            for kind, process, pid, parent, child, child_pid, comm in zip(
                *(batch.column(name).to_pylist() for name in names), strict=True
            ):
                if kind == Kind.FORK and child:
                    self._put(child, comm=comm, pid=child_pid, parent=process)
                else:
                    self._put(process, comm=comm, pid=pid, parent=parent)
        for fact in piece.facts:
            if isinstance(fact, Agent) and fact.biz_type:
                self._adopt(fact.process_id, fact.process_id)

    def comms(self, processes: pa.Array) -> pa.Array:
        """The comm of each row's process; empty where it is not known."""
        unique, inverse = np.unique(processes.to_numpy(zero_copy_only=False), return_inverse=True)
        known = (self._known.get(int(process)) for process in unique)
        names = pa.array([process.comm if process else "" for process in known], pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(inverse.astype(np.int32)), names).cast(pa.string())

    def changes(self) -> list[tuple[int, Lineal]]:
        """The processes that are new or of which something changed since this was last asked."""
        found = [(process, self._known[process]) for process in self._changed if process in self._known]
        self._changed.clear()
        return found

    def _put(self, process: int, *, comm: str | None, pid: int, parent: int) -> None:
        known = self._known.pop(process, None)
        if known is None:
            known = Lineal()
            self._changed[process] = None
        self._known[process] = known
        if comm is not None and text_of(comm) != known.comm:
            known.comm = text_of(comm)
            self._changed[process] = None
        known.pid = pid or known.pid
        if parent and parent != known.parent and parent != process:
            known.parent = parent
            above = self._known.get(parent)
            if above is not None:
                above.children.append(process)  # for the case that it turns out to be an agent
                del above.children[:-MAX_CHILDREN]
                if above.agent and not known.agent:
                    self._adopt(process, above.agent)
        if len(self._known) > MAX_PROCESSES:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._changed.pop(oldest, None)

    def _adopt(self, process: int, agent: int) -> None:
        """A process belongs to an agent, and so does what it started, unless that is an agent of its own."""
        todo = [process]
        while todo:
            each = todo.pop()
            known = self._known.setdefault(each, Lineal())
            if known.agent == agent or (known.agent == each and each != process):
                continue
            known.agent = agent
            self._changed[each] = None
            todo += known.children


def text_of(text: str) -> str:
    """Lone surrogates, which stand for bytes that are no UTF-8, have no place in a column."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
