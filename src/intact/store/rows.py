"""Slices to rows: what one group of segments adds to each table, as Arrow columns ready to insert."""

import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from intact.model.codec import bounded, finite
from intact.model.effects import CauseKind, Kind
from intact.model.facts import Fact, LlmCall, Loss, Process, StageCount
from intact.model.slice import Slice
from intact.store.runs import Run
from intact.store.tables import BY_NAME, CONTENT, FACT_TABLES, column_type

_ARROW = {
    "UInt64": pa.uint64(),
    "Int64": pa.int64(),
    "Bool": pa.bool_(),
    "Float64": pa.float64(),
    "String": pa.string(),
}
# A comm for more processes than this is not remembered; the oldest are forgotten.
MAX_NAMED_PROCESSES = 100_000

_LABELS = {
    "kind": [Kind(code).label if code in Kind._value2member_map_ else "unknown" for code in range(256)],
    "cause_kind": [
        CauseKind(code).name.lower() if code in CauseKind._value2member_map_ else "unknown" for code in range(256)
    ],
}
# our column of a family -> the table's, where the names differ
_RENAMED = {
    "process": {
        "process_id": "gprocess_id",
        "tid": "syscall_thread",
        "pid": "actor_pid",
        "exe": "exec_path",
        "comm": "process_kname",
    },
    "file": {"process_id": "gprocess_id", "tid": "syscall_thread", "path": "full_path"},
    "io": {"process_id": "gprocess_id", "tid": "syscall_thread", "path": "full_path", "count": "event_count"},
    "net": {"process_id": "gprocess_id", "tid": "syscall_thread"},
}


class Naming:
    """The last known comm of each process, for rows that do not carry it."""

    def __init__(self) -> None:
        self._comms: dict[int, str] = {}

    def learn(self, piece: Slice) -> None:
        for fact in piece.facts:
            if isinstance(fact, Process) and fact.comm is not None:
                self._put(fact.id, fact.comm)
        batch = piece.effects.get("process")
        if batch is not None:
            kinds, ids, children, comms = (
                batch.column(name).to_pylist() for name in ("kind", "process_id", "child_id", "comm")
            )
            for kind, process, child, comm in zip(kinds, ids, children, comms, strict=True):
                self._put(child if kind == Kind.FORK and child else process, comm)

    def comms(self, processes: pa.Array) -> pa.Array:
        """The comm of each row's process; empty where it is not known."""
        unique, inverse = np.unique(processes.to_numpy(zero_copy_only=False), return_inverse=True)
        names = pa.array([self._comms.get(int(process), "") for process in unique], pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(inverse.astype(np.int32)), names).cast(pa.string())

    def _put(self, process: int, comm: str) -> None:
        self._comms.pop(process, None)
        self._comms[process] = _text(comm)
        if len(self._comms) > MAX_NAMED_PROCESSES:
            del self._comms[next(iter(self._comms))]


class Group:
    """What a group of segments adds, gathered slice by slice."""

    def __init__(self, run: Run, first: int) -> None:
        self.run = run
        self.first = first
        self.last = first
        self.rows = 0
        self.until_ns = 0
        self._effects: dict[str, list[pa.RecordBatch]] = {}
        self._links: list[pa.RecordBatch] = []
        # a fact replaces an earlier one of its id: only the last of the group is inserted
        self._facts: dict[type[Fact], dict[object, tuple[int, Fact]]] = {}

    def add(self, piece: Slice, naming: Naming, revision: int) -> None:
        """Take a slice; its facts are numbered from `revision` on."""
        self.until_ns = max(self.until_ns, piece.until_ns)
        naming.learn(piece)
        for family, batch in piece.effects.items():
            if batch.num_rows:
                self._effects.setdefault(family, []).append(_renamed(family, batch, naming))
                self.rows += batch.num_rows
        if piece.links is not None and piece.links.num_rows:
            self._links.append(piece.links)
            self.rows += piece.links.num_rows
        for place, fact in enumerate(piece.facts, revision):
            kind = type(fact)
            if kind in FACT_TABLES:
                key = place if isinstance(fact, StageCount | Loss) else fact.id  # type: ignore[union-attr]
                self._facts.setdefault(kind, {})[key] = (place, fact)
                self.rows += 1

    def tables(self) -> Iterable[tuple[str, pa.Table]]:
        """The rows by table; tables that get none are left out."""
        for family, batches in self._effects.items():
            rows = pa.Table.from_batches(batches)
            for name, part in _by_table(family, rows):
                if part.num_rows:
                    yield name, self._of_run(name, part)
        if self._links:
            links = pa.Table.from_batches(self._links)
            yield "link", self._of_run("link", _labelled(links, "cause_kind"))
        for kind, facts in self._facts.items():
            yield FACT_TABLES[kind], self._of_run(FACT_TABLES[kind], fact_rows(kind, list(facts.values())))
            if kind is LlmCall:
                yield "llm_content", self._of_run("llm_content", content_rows(list(facts.values())))

    def _of_run(self, name: str, rows: pa.Table) -> pa.Table:
        """With the columns that are equal for all rows, and no others than the table has."""
        host = self.run.host
        constants: dict[str, pa.Array] = {
            "run_id": pa.array([self.run.id], pa.string()),
            "root_pid": pa.array([host.root_tgid], pa.uint32()),
            "root_process_id": pa.array([self.run.root_process_id], pa.uint64()),
        }
        zeros = pa.array(np.zeros(rows.num_rows, np.int32))
        given = BY_NAME[name].given
        for column, value in constants.items():
            if column in given and column not in rows.column_names:
                rows = rows.append_column(column, pa.DictionaryArray.from_arrays(zeros, value).cast(value.type))
        return rows.select([column for column in rows.column_names if column in given])


def fact_rows(kind: type[Fact], facts: list[tuple[int, Fact]]) -> pa.Table:
    """Facts of one kind as the rows of their table; what is nested is JSON text."""
    hints = get_type_hints(kind)
    columns: dict[str, pa.Array] = {"revision": pa.array([revision for revision, _ in facts], pa.uint64())}
    for field in fields(kind):
        if kind is LlmCall and field.name in CONTENT:
            continue
        values = [getattr(fact, field.name) for _, fact in facts]
        columns[field.name] = _column(column_type(field.name, hints[field.name]), hints[field.name], values)
    return pa.table(columns)


def content_rows(calls: list[tuple[int, Fact]]) -> pa.Table:
    """The content of calls, as JSON text."""
    columns: dict[str, pa.Array] = {
        "revision": pa.array([revision for revision, _ in calls], pa.uint64()),
        "id": pa.array([call.id for _, call in calls], pa.uint64()),  # type: ignore[union-attr]
    }
    for name in CONTENT:
        columns[name] = pa.array([_json(getattr(call, name)) for _, call in calls], pa.string())
    return pa.table(columns)


def run_rows(run: Run, revision: int) -> pa.Table:
    """The row of a run."""
    row = {
        "run_id": run.id,
        "revision": revision,
        "name": _text(run.name),
        "command": [_text(word) for word in run.command],
        "started_ns": run.started_ns,
        "ended_ns": run.ended_ns,
        "exit_code": run.exit_code,
        "host": _text(run.host.name),
        "boot_id": _text(run.host.boot_id),
        "kernel": _text(run.host.kernel),
        "intact_version": _text(run.intact_version),
        "root_process_id": run.root_process_id,
        "problem": None if run.problem is None else _text(run.problem),
    }
    types = {"revision": pa.uint64(), "root_process_id": pa.uint64(), "command": pa.list_(pa.string())}
    types |= dict.fromkeys(("started_ns", "ended_ns", "exit_code"), pa.int64())
    return pa.table({name: pa.array([value], types.get(name, pa.string())) for name, value in row.items()})


def _renamed(family: str, batch: pa.RecordBatch, naming: Naming) -> pa.RecordBatch:
    names = [_RENAMED[family].get(name, name) for name in batch.schema.names]
    batch = batch.rename_columns(names)
    if "process_kname" not in names:
        batch = batch.append_column("process_kname", naming.comms(batch.column("gprocess_id")))
    return batch


def _by_table(family: str, rows: pa.Table) -> Iterable[tuple[str, pa.Table]]:
    labelled = _labelled(rows, "kind")
    if family == "file":
        is_open = pc.equal(rows.column("kind"), int(Kind.FILE_OPEN))
        yield "file_open_event", labelled.filter(is_open)
        yield "file_mgmt_event", labelled.filter(pc.invert(is_open))
    else:
        yield {"process": "proc_ops_event", "io": "file_agg_event", "net": "net_event"}[family], labelled


def _labelled(rows: pa.Table, column: str) -> pa.Table:
    """With the codes of a column as their names."""
    codes: npt.NDArray[np.int32] = rows.column(column).to_numpy().astype(np.int32)
    labels = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(_LABELS[column]))
    return rows.set_column(rows.schema.get_field_index(column), column, labels.cast(pa.string()))


def _column(kind: str, hint: Any, values: list[Any]) -> pa.Array:
    nullable = kind.startswith("Nullable(")
    kind = kind.removeprefix("Nullable(").removesuffix(")") if nullable else kind
    if kind.startswith("Array("):
        item = kind.removeprefix("Array(").removesuffix(")")
        if item == "String":
            values = [[_text(text) for text in value] for value in values]
        return pa.array([list(value) for value in values], pa.list_(_ARROW[item]))
    if kind == "String":
        is_text = hint is str or hint == str | None
        values = [
            value if value is None and nullable else _text(value) if is_text else _json(value) for value in values
        ]
    return pa.array(values, _ARROW[kind])


def _json(value: Any) -> str:
    return json.dumps(finite(bounded(value)), separators=(",", ":"))


def _text(text: str) -> str:
    """Lone surrogates, which stand for bytes that are no UTF-8, have no place in a column."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
