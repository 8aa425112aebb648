"""Slices to rows: what one group of segments adds to each table, as Arrow columns ready to insert."""

import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeAlias, get_type_hints

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from intact.model.codec import bounded, finite
from intact.model.effects import CauseKind, Kind
from intact.model.facts import Fact, LlmCall, Loss, StageCount
from intact.model.slice import Slice
from intact.store.lineage import Image, Lineage, text_of
from intact.store.reducers import CreateMemory, IoReducer
from intact.store.roles import Roles
from intact.store.runs import Run
from intact.store.tables import BY_NAME, CONTENT, FACT_TABLES, column_type

Batch: TypeAlias = pa.RecordBatch

_ARROW = {
    "UInt64": pa.uint64(),
    "Int64": pa.int64(),
    "Bool": pa.bool_(),
    "Float64": pa.float64(),
    "String": pa.string(),
}
_LABELS = {
    "kind": [Kind(code).label if code in Kind._value2member_map_ else "unknown" for code in range(256)],
    "cause_kind": [
        CauseKind(code).name.lower() if code in CauseKind._value2member_map_ else "unknown" for code in range(256)
    ],
}
_COMMON_NAMES = {"process_id": "gprocess_id", "tid": "syscall_thread"}
# Reads and writes as they came, beside their aggregates under "io".
RAW_IO = "raw_io"
TABLE_OF_FAMILY = {
    "process": "proc_ops_event",
    "io": "file_agg_event",
    RAW_IO: "file_event",
    "net": "net_event",
    "credential": "proc_perm_event",
    "signal": "proc_signal_event",
    "block": "proc_block_event",
}
_MAP = pa.schema(
    [
        pa.field("revision", pa.uint64()),
        pa.field("id", pa.uint64()),
        pa.field("name", pa.string()),
        pa.field("pid", pa.uint32()),
        pa.field("biz_type", pa.uint8()),
        pa.field("agent_process_id", pa.uint64()),
    ]
)
# our column of a family -> the table's, where the names differ
_RENAMED = {
    "process": {
        "process_id": "gprocess_id",
        "tid": "syscall_thread",
        "pid": "actor_pid",
        "exe": "exec_path",
        "comm": "process_kname",
    },
    "file": {**_COMMON_NAMES, "path": "full_path"},
    "io": {**_COMMON_NAMES, "path": "full_path", "count": "event_count"},
    "net": _COMMON_NAMES,
    "credential": _COMMON_NAMES,
    "signal": _COMMON_NAMES,
    "block": {**_COMMON_NAMES, "exe": "exec_path"},
}


class Memory:
    """What the rows of one slice owe to the slices before it; told of every slice of a run, in order."""

    def __init__(self) -> None:
        self.lineage = Lineage()
        self._io = IoReducer()
        self._creates = CreateMemory()
        self._roles = Roles()

    def take(self, piece: Slice) -> dict[str, list[Batch]]:
        """The rows of the effects of a slice by family, reduced; reads and writes come when they are complete."""
        images = self.lineage.learn(piece)
        given = {family: self._named(family, batch) for family, batch in piece.effects.items() if batch.num_rows}
        answer: dict[str, list[Batch]] = {}
        for family, batch in given.items():
            if family == "file":
                batch = batch.append_column("is_repeat", pa.array(self._creates.repeats(batch)))
            elif family == "net":
                batch = batch.append_column("role", self._roles.of(batch))
            elif family == "process":
                batch = _with_images(batch, images)
            answer[RAW_IO if family == "io" else family] = [batch]
        reduced = self._io.add(given.get("io"), given.get("file"), piece.until_ns)
        if reduced is not None:
            answer["io"] = reduced.to_batches()
        return answer

    def skip(self, piece: Slice) -> None:
        """Learn from a slice whose rows are in the store."""
        self.take(piece)
        self.lineage.changes()

    def finish(self) -> list[Batch]:
        """Reads and writes that were still waiting."""
        rest = self._io.finish()
        return [] if rest is None else rest.to_batches()

    def _named(self, family: str, batch: Batch) -> Batch:
        renamed = _RENAMED.get(family, _COMMON_NAMES)
        batch = batch.rename_columns([renamed.get(name, name) for name in batch.schema.names])
        if "process_kname" not in batch.schema.names:
            batch = batch.append_column("process_kname", self.lineage.comms(batch.column("gprocess_id")))
        return batch


class Group:
    """What a group of segments adds, gathered slice by slice."""

    def __init__(self, run: Run, first: int, *, raw_reads: bool = False) -> None:
        self.run = run
        self.first = first
        self._raw_reads = raw_reads
        self.last = first
        self.rows = 0
        self.until_ns = 0
        self._effects: dict[str, list[Batch]] = {}
        self._processes: dict[int, dict[str, Any]] = {}
        self._links: list[pa.RecordBatch] = []
        # a fact replaces an earlier one of its id: only the last of the group is inserted
        self._facts: dict[type[Fact], dict[object, tuple[int, Fact]]] = {}

    def add(self, piece: Slice, memory: Memory, revision: int) -> None:
        """Take a slice; its facts are numbered from `revision` on."""
        self.until_ns = max(self.until_ns, piece.until_ns)
        for family, batches in memory.take(piece).items():
            batches = self._rooted(batches, memory)
            if family != RAW_IO or self._raw_reads:
                self._effects.setdefault(family, []).extend(batches)
            self.rows += sum(batch.num_rows for batch in batches if family != "io")
        self._note_processes(memory, revision)
        if piece.links is not None and piece.links.num_rows:
            self._links.append(piece.links)
            self.rows += piece.links.num_rows
        for place, fact in enumerate(piece.facts, revision):
            kind = type(fact)
            if kind in FACT_TABLES:
                key = place if isinstance(fact, StageCount | Loss) else fact.id  # type: ignore[union-attr]
                self._facts.setdefault(kind, {})[key] = (place, fact)
                self.rows += 1

    def next(self, first: int) -> "Group":
        """The group after this one."""
        return Group(self.run, first, raw_reads=self._raw_reads)

    def finish(self, memory: Memory) -> None:
        """Take what comes with the end of the run."""
        self._effects.setdefault("io", []).extend(self._rooted(memory.finish(), memory))

    def _rooted(self, batches: list[Batch], memory: Memory) -> list[Batch]:
        """A recording has one root, its command; elsewhere each agent has its own."""
        if self.run.host.root_tgid:
            return batches
        answer = []
        for batch in batches:
            roots, pids = memory.lineage.roots(batch.column("gprocess_id"))
            answer.append(batch.append_column("root_process_id", roots).append_column("root_pid", pids))
        return answer

    def _note_processes(self, memory: Memory, revision: int) -> None:
        for process, known in memory.lineage.changes():
            self._processes[process] = {
                "revision": revision,
                "id": process,
                "name": known.comm,
                "pid": known.pid,
                "biz_type": int(known.agent != 0),
                "agent_process_id": known.agent,
            }

    def tables(self) -> Iterable[tuple[str, pa.Table]]:
        """The rows by table; tables that get none are left out."""
        for family, batches in self._effects.items():
            if not batches:
                continue
            rows = pa.Table.from_batches(batches)
            for name, part in _by_table(family, rows):
                if part.num_rows:
                    yield name, self._of_run(name, part)
        if self._processes:
            yield (
                "gprocess_map",
                self._of_run("gprocess_map", pa.Table.from_pylist(list(self._processes.values()), _MAP)),
            )
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
            "tenant_id": pa.array([self.run.tenant_id], pa.uint32()),
            "is_recording": pa.array([self.run.is_recording], pa.bool_()),
            "host": pa.array([text_of(host.name)], pa.string()),
        }
        zeros = pa.array(np.zeros(rows.num_rows, np.int32))
        given = BY_NAME[name].given
        for column, value in constants.items():
            if column in given and column not in rows.column_names:
                rows = rows.append_column(column, pa.DictionaryArray.from_arrays(zeros, value).cast(value.type))
        return rows.select([column for column in rows.column_names if column in given])


def _with_images(batch: Batch, images: list[Image]) -> Batch:
    """Forks and exits with the program and the command line of the process, as its last exec told them."""
    for place, name in enumerate(("exec_path", "argv")):
        values = pa.array([image[place] for image in images], batch.schema.field(name).type)
        batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), values)
    return batch


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
        "name": text_of(run.name),
        "command": [text_of(word) for word in run.command],
        "started_ns": run.started_ns,
        "ended_ns": run.ended_ns,
        "exit_code": run.exit_code,
        "host": text_of(run.host.name),
        "boot_id": text_of(run.host.boot_id),
        "kernel": text_of(run.host.kernel),
        "intact_version": text_of(run.intact_version),
        "root_process_id": run.root_process_id,
        "problem": None if run.problem is None else text_of(run.problem),
        "tenant_id": run.tenant_id,
        "is_recording": run.is_recording,
    }
    types = {"revision": pa.uint64(), "root_process_id": pa.uint64(), "command": pa.list_(pa.string())}
    types |= {"tenant_id": pa.uint32(), "is_recording": pa.bool_()}
    types |= dict.fromkeys(("started_ns", "ended_ns", "exit_code"), pa.int64())
    return pa.table({name: pa.array([value], types.get(name, pa.string())) for name, value in row.items()})


def _by_table(family: str, rows: pa.Table) -> Iterable[tuple[str, pa.Table]]:
    labelled = _labelled(rows, "kind")
    if family == "file":
        # a repeated create is the open of a file that was there
        is_open = pc.or_(pc.equal(rows.column("kind"), int(Kind.FILE_OPEN)), rows.column("is_repeat"))
        yield "file_open_event", labelled.filter(is_open)
        yield "file_mgmt_event", labelled.filter(pc.invert(is_open))
    else:
        yield TABLE_OF_FAMILY[family], labelled


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
            values = [[text_of(text) for text in value] for value in values]
        return pa.array([list(value) for value in values], pa.list_(_ARROW[item]))
    if kind == "String":
        is_text = hint is str or hint == str | None
        values = [
            value if value is None and nullable else text_of(value) if is_text else _json(value) for value in values
        ]
    return pa.array(values, _ARROW[kind])


def _json(value: Any) -> str:
    return json.dumps(finite(bounded(value)), separators=(",", ":"))
