"""Slices made up for tests: any columns by name, the rest zero."""

from typing import Any

import numpy as np
import pyarrow as pa

from intact.model.effects import FAMILIES, LINKS, Kind
from intact.model.slice import Host, Slice

HOST = Host(name="web-1", boot_id="b0075", kernel="6.18.0", boot_offset_ns=0, root_tgid=100, root_start_ns=5)
T0 = 1_763_000_000_000_000_000


def batch(schema: pa.Schema, rows: int, **given: Any) -> pa.RecordBatch:
    """A batch of `rows` rows; a scalar is repeated, a missing column is zero or empty."""
    columns = []
    for field in schema:
        value = given.pop(field.name, None)
        if value is None:
            if field.name == "id":
                value = (np.arange(rows, dtype=np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)
            elif pa.types.is_string(field.type):
                value = ""
            elif pa.types.is_list(field.type):
                value = [[]] * rows
            else:
                value = False if pa.types.is_boolean(field.type) else 0
        if isinstance(value, str | int | float | bool):
            value = [value] * rows
        columns.append(pa.array(value, field.type))
    assert not given, given
    return pa.record_batch(columns, schema=schema)


def effects(family: str, rows: int, /, **given: Any) -> dict[str, pa.RecordBatch]:
    return {family: batch(FAMILIES[family], rows, **given)}


def files(rows: int, at_ns: int = T0, kind: Kind = Kind.FILE_OPEN) -> dict[str, pa.RecordBatch]:
    times = at_ns + np.arange(rows, dtype=np.int64) * 1000
    ids = times.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    paths = [f"/srv/project/module_{i % 97}/file_{i}.py" for i in range(rows)]
    return effects("file", rows, id=ids, kind=int(kind), process_id=7, pid=100, at_ns=times, end_ns=times, path=paths)


def links(rows: int, **given: Any) -> pa.RecordBatch:
    return batch(LINKS, rows, **given)


def same(one: Slice, other: Slice) -> bool:
    if (one.links is None) != (other.links is None) or set(one.effects) != set(other.effects):
        return False
    batches = all(one.effects[name].equals(other.effects[name]) for name in one.effects)
    return (
        batches
        and one.until_ns == other.until_ns
        and one.facts == other.facts
        and (one.links is None or other.links is None or one.links.equals(other.links))
    )
