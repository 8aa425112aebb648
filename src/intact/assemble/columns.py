"""Effect columns without secrets: the text heap of a column is scanned as one buffer, and only rows that hit are touched."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from intact.assemble.redact import Redactor
from intact.assemble.scanner import Scanner
from intact.assemble.secret_rules import RULES
from intact.model.effects import PathState

_TEXT_COLUMNS = {
    "process": ("exe", "cwd", "comm"),
    "file": ("path", "old_path"),
    "io": ("path",),
    "net": ("address", "local_address"),
    "block": ("exe", "path", "address"),
}
_PATH_RULES = tuple(rule for rule in RULES if rule.in_paths)


class ColumnRedactor:
    """Cleans the batches of effects."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._paths = Scanner(_PATH_RULES)

    def batch(self, family: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch without secrets; the same object where it holds none."""
        touched: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        for name in _TEXT_COLUMNS.get(family, ()):
            column, rows = self._texts(batch.column(name))
            if rows.size:
                batch = _with(batch, name, column)
                touched = np.union1d(touched, rows)
        if "argv" in batch.schema.names and batch.num_rows:
            batch = self._argv(batch)
        if touched.size and "path_state" in batch.schema.names:
            state = batch.column("path_state").to_numpy(zero_copy_only=False).copy()
            state[touched] |= np.uint8(PathState.REDACTED)
            batch = _with(batch, "path_state", pa.array(state))
        return batch

    def _texts(self, column: pa.StringArray) -> tuple[pa.StringArray, npt.NDArray[np.int64]]:
        """The column, and the rows that are changed in it."""
        changed: dict[int, str] = {}
        seen: dict[str, str] = {}
        for row in self._candidates(column).tolist():
            text = column[row].as_py()
            if text not in seen:
                seen[text] = self._redactor.text(text)
            if seen[text] is not text and seen[text] != text:
                changed[row] = seen[text]
        rows = np.fromiter(changed, np.int64, len(changed))
        return _replaced(column, changed), rows

    def _candidates(self, column: pa.StringArray) -> npt.NDArray[np.int64]:
        """Rows where a secret may begin or end."""
        _, offsets_buffer, heap = column.buffers()
        if heap is None or len(column) == 0:
            return np.zeros(0, np.int64)
        first = column.offset
        offsets = np.frombuffer(offsets_buffer, np.int32, len(column) + 1, first * 4)
        places = self._paths.places(memoryview(heap)[offsets[0] : offsets[-1]])
        if not places:
            return np.zeros(0, np.int64)
        at = np.fromiter(places, np.int64, len(places)) + int(offsets[0])
        return np.unique(np.searchsorted(offsets, at, side="right") - 1)

    def _argv(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        column = batch.column("argv")
        bounds = column.offsets.to_numpy()
        arguments = column.values
        changed: dict[int, str] = {}
        for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            if start == end:
                continue
            argv = arguments[start:end].to_pylist()
            for index, clean in enumerate(self._redactor.argv(argv)):
                if clean != argv[index]:
                    changed[start + index] = clean
        if not changed:
            return batch
        # Offsets of a slice stay true: they point into the whole heap of values.
        lists = pa.ListArray.from_arrays(column.offsets, _replaced(arguments, changed))
        return _with(batch, "argv", lists)


def _replaced(column: pa.StringArray, changed: dict[int, str]) -> pa.StringArray:
    if not changed:
        return column
    mask = np.zeros(len(column), bool)
    rows = sorted(changed)
    mask[rows] = True
    return pc.replace_with_mask(column, pa.array(mask), pa.array([changed[row] for row in rows], column.type))


def _with(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    index = batch.schema.get_field_index(name)
    return batch.set_column(index, batch.schema.field(index), column)
