"""Who started whom, by fork edges and identity: a bare pid is reused and a parent pid changes when a parent dies."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from intact.correlate.state import Node
from intact.model.effects import Kind
from intact.model.facts import Process

_MOST_EXECS = 16


@dataclass(frozen=True, slots=True)
class Forked:
    """A process was made."""

    node: Node
    parent: Node | None
    at_ns: int


@dataclass(frozen=True, slots=True)
class Executed:
    """A process changed its image."""

    node: Node
    at_ns: int
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exited:
    """A process is gone."""

    node: Node
    at_ns: int


Step = Forked | Executed | Exited

_COLUMNS = [
    "kind", "process_id", "pid", "tid", "uid", "gid", "at_ns", "parent_id", "ppid", "child_id", "child_pid", "start_ns", "comm",
    "exe", "cwd", "argv", "argv_clipped", "exit_code", "exit_signal",
]  # fmt: skip


class ProcessTree:
    """All processes of a recording that may still matter."""

    def __init__(self, *, capacity: int) -> None:
        self.nodes: dict[int, Node] = {}
        self.forgotten = 0
        self._capacity = capacity
        self._gone: list[Node] = []
        self._untold: dict[int, Node] = {}

    def alive(self, process: Process) -> Node:
        """A process that ran before the probes came."""
        node = self._node(process.id, process)
        node.process = replace(process, end_ns=node.process.end_ns or process.end_ns)
        if process.argv and not node.execs:
            node.execs.append((process.exec_ns or process.start_ns, process.argv))
        node.fork_ns = node.fork_ns or process.start_ns
        node.told, node.arrived = 1, True
        self._untold.pop(node.id, None)
        if process.parent_id and node.parent is None:
            self._join(
                node, self._node(process.parent_id, Process(id=process.parent_id, pid=process.ppid or 0, start_ns=0))
            )
        return node

    def read(self, batch: pa.RecordBatch) -> Iterator[Step]:
        """The steps of the tree's life in one batch of the family `process`; threads are not processes."""
        rows = batch.filter(pc.invert(batch.column("is_thread"))).select(_COLUMNS)
        for row in rows.to_pylist():
            if row["kind"] == Kind.FORK:
                yield self._fork(row)
            elif row["kind"] == Kind.EXEC:
                yield self._exec(row)
            elif row["kind"] == Kind.EXIT:
                yield self._exit(row)

    def _node(self, process_id: int, process: Process) -> Node:
        node = self.nodes.get(process_id)
        if node is None:
            node = self.nodes[process_id] = Node(id=process_id, process=process)
            if len(self.nodes) > self._capacity:
                self._forget()
        return node

    def node(self, process_id: int, *, pid: int = 0) -> Node:
        """The process of that id, known or not."""
        found = self.nodes.get(process_id)
        return found if found is not None else self._node(process_id, Process(id=process_id, pid=pid, start_ns=0))

    def _join(self, child: Node, parent: Node) -> None:
        if child is not parent and child.parent is None:
            child.parent = parent
            parent.children.append(child)

    def _fork(self, row: dict[str, Any]) -> Forked:
        parent = self.node(row["process_id"], pid=row["pid"])
        old = parent.process
        child = self._node(
            row["child_id"],
            Process(id=row["child_id"], pid=row["child_pid"], start_ns=row["start_ns"]),
        )
        child.process = replace(
            child.process,
            start_ns=row["start_ns"],
            parent_id=parent.id,
            ppid=row["pid"],
            exe=child.process.exe or old.exe,
            comm=child.process.comm or row["comm"],
            argv=child.process.argv or old.argv,
            argv_clipped=child.process.argv_clipped or old.argv_clipped,
            cwd=child.process.cwd or old.cwd,
            uid=row["uid"],
            gid=row["gid"],
        )
        self._join(child, parent)
        child.fork_ns, child.fork_tid = row["at_ns"], row["tid"]
        child.seen_ns = max(child.seen_ns, row["at_ns"])
        if not child.told:
            self._untold[child.id] = child
        return Forked(child, parent, row["at_ns"])

    def _exec(self, row: dict[str, Any]) -> Executed:
        node = self.node(row["process_id"], pid=row["pid"])
        argv = tuple(row["argv"])
        node.process = replace(
            node.process,
            start_ns=row["start_ns"] or node.process.start_ns,
            parent_id=node.process.parent_id or row["parent_id"] or None,
            ppid=node.process.ppid or row["ppid"] or None,
            exec_ns=row["at_ns"],
            exe=row["exe"],
            comm=row["comm"],
            argv=argv,
            argv_clipped=row["argv_clipped"],
            cwd=row["cwd"],
            uid=row["uid"],
            gid=row["gid"],
        )
        if node.parent is None and row["parent_id"] and not node.fork_ns:
            # Its fork was not seen. The parent told now may be a later one, which is better than none.
            self._join(node, self.node(row["parent_id"], pid=row["ppid"]))
        node.fork_ns = node.fork_ns or row["start_ns"] or row["at_ns"]
        node.execs.append((row["at_ns"], argv))
        if len(node.execs) > _MOST_EXECS:
            del node.execs[1]
        node.told += 1
        self._untold.pop(node.id, None)
        return Executed(node, row["at_ns"], argv)

    def _exit(self, row: dict[str, Any]) -> Exited:
        node = self.node(row["process_id"], pid=row["pid"])
        known = node.process
        node.process = replace(
            known,
            start_ns=known.start_ns or row["start_ns"],
            parent_id=known.parent_id or row["parent_id"] or None,
            ppid=known.ppid or row["ppid"] or None,
            comm=known.comm or row["comm"],
            end_ns=row["at_ns"],
            exit_code=row["exit_code"] if not row["exit_signal"] else None,
            exit_signal=row["exit_signal"] or None,
        )
        self._untold.pop(node.id, None)
        self._gone.append(node)
        return Exited(node, row["at_ns"])

    def silent(self, before_ns: int) -> list[Process]:
        """Processes that were made before that time and have neither changed their image nor ended: told once."""
        found = []
        for node in list(self._untold.values()):
            if node.fork_ns > before_ns:
                break
            del self._untold[node.id]
            found.append(node.process)
        return found

    def _forget(self) -> None:
        """Drop the processes that ended first, which costs nothing; if all live, the oldest, which is counted."""
        half = self._gone[: (len(self._gone) + 1) // 2]
        del self._gone[: len(half)]
        if not half:
            half = [next(iter(self.nodes.values()))]
            self.forgotten += 1
        parents = {id(node.parent): node.parent for node in half if node.parent is not None}
        for node in half:
            self.nodes.pop(node.id, None)
            for child in node.children:
                child.parent = node.parent
            if node.parent is not None:
                node.parent.children += node.children
            node.children = []
        for parent in parents.values():
            parent.children = [child for child in parent.children if child.id in self.nodes]
