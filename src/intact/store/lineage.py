"""What is known of processes from slice to slice: the last comm and image of each, its parent, and the agent it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from intact.model.effects import Kind
from intact.model.facts import Agent, Process
from intact.model.slice import Slice

# The oldest processes beyond this are forgotten.
MAX_PROCESSES = 100_000
MAX_CHILDREN = 1_000
# The rest of a longer command line is told by the exec alone.
MAX_ARGV = 256


class Image(NamedTuple):
    """What a process runs."""

    exe: str = ""
    argv: Sequence[str] = ()


NOTHING = Image()


@dataclass(slots=True)
class Lineal:
    """A process, as far as naming and ancestry need it."""

    comm: str = ""
    pid: int = 0
    parent: int = 0
    agent: int = 0  # process id of the agent it belongs to
    image: Image = NOTHING
    children: list[int] = field(default_factory=list)


class Lineage:
    """Learns from slices; gives each row's comm, and the processes of which something changed."""

    def __init__(self) -> None:
        self._known: dict[int, Lineal] = {}
        self._changed: dict[int, None] = {}
        self._roots: dict[int, int] = {}  # of agents

    def learn(self, piece: Slice) -> list[Image]:
        """Take in processes and agents of one slice; the image behind each row of its process events."""
        for fact in piece.facts:
            if isinstance(fact, Process):
                known = self._put(fact.id, comm=fact.comm, pid=fact.pid, parent=fact.parent_id or 0)
                known.image = known.image if known.image.exe else _image_of(fact)
        images: list[Image] = []
        batch = piece.effects.get("process")
        if batch is not None:
            names = ("kind", "process_id", "pid", "parent_id", "child_id", "child_pid", "comm", "exe", "argv")
            for kind, process, pid, parent, child, child_pid, comm, exe, argv in zip(
                *(batch.column(name).to_pylist() for name in names), strict=True
            ):
                if kind == Kind.FORK and child:
                    above = self._known.get(process)
                    known = self._put(child, comm=comm, pid=child_pid, parent=process)
                    known.image = known.image if above is None else above.image
                else:
                    known = self._put(process, comm=comm, pid=pid, parent=parent)
                if kind == Kind.EXEC:
                    known.image = Image(exe, argv[:MAX_ARGV])
                images.append(Image(exe, argv) if kind == Kind.EXEC else known.image)
                if kind == Kind.EXIT:
                    known.image = NOTHING
        for fact in piece.facts:
            if isinstance(fact, Agent) and fact.biz_type:
                self._roots[fact.process_id] = fact.root_process_id
                self._adopt(fact.process_id, fact.process_id)
        return images

    def comms(self, processes: pa.Array) -> pa.Array:
        """The comm of each row's process; empty where it is not known."""
        unique, inverse = np.unique(processes.to_numpy(zero_copy_only=False), return_inverse=True)
        known = (self._known.get(int(process)) for process in unique)
        names = pa.array([process.comm if process else "" for process in known], pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(inverse.astype(np.int32)), names).cast(pa.string())

    def roots(self, processes: pa.Array) -> tuple[pa.Array, pa.Array]:
        """The root of each row's process and its pid: that of the agent it belongs to, 0 as long as none is known."""
        unique, inverse = np.unique(processes.to_numpy(zero_copy_only=False), return_inverse=True)
        known = [self._known.get(int(process)) for process in unique]
        roots = [0 if process is None else self._roots.get(process.agent, 0) for process in known]
        above = (self._known.get(root) for root in roots)
        pids = np.array([0 if root is None else root.pid for root in above], np.uint32)
        return pa.array(np.array(roots, np.uint64)[inverse]), pa.array(pids[inverse])

    def changes(self) -> list[tuple[int, Lineal]]:
        """The processes that are new or of which something changed since this was last asked."""
        found = [(process, self._known[process]) for process in self._changed if process in self._known]
        self._changed.clear()
        return found

    def _put(self, process: int, *, comm: str | None, pid: int, parent: int) -> Lineal:
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
            self._roots.pop(oldest, None)
        return known

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


def _image_of(fact: Process) -> Image:
    return Image(text_of(fact.exe or ""), [text_of(argument) for argument in fact.argv[:MAX_ARGV]])


def text_of(text: str) -> str:
    """Lone surrogates, which stand for bytes that are no UTF-8, have no place in a column."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
