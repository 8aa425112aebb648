"""Measurements of a host into the store, without a recording: one block at a time, which is there whole or not at all."""

from collections.abc import Sequence

import pyarrow as pa

from intact.model.facts import HostMetric
from intact.store.database import Database
from intact.store.rows import fact_rows
from intact.store.runs import DEFAULT_TENANT
from intact.store.tables import BY_NAME, FACT_TABLES

RUN_ID = "host"  # what has no recording belongs to this one, which is none


def insert_measurements(database: Database, metrics: Sequence[HostMetric], *, tenant_id: int = DEFAULT_TENANT) -> None:
    """Insert what was measured at one moment; the same again changes nothing.

    Raises:
        StoreError: the engine refused it.
    """
    if not metrics:
        return
    rows = fact_rows(HostMetric, [(0, metric) for metric in metrics])
    for name, values in (
        ("run_id", pa.array([RUN_ID] * len(metrics), pa.string())),
        ("tenant_id", pa.array([tenant_id] * len(metrics), pa.uint32())),
        ("is_recording", pa.array([False] * len(metrics), pa.bool_())),
    ):
        rows = rows.append_column(name, values)
    database.insert(BY_NAME[FACT_TABLES[HostMetric]], rows, f"host-{metrics[0].id}-{len(metrics)}")
