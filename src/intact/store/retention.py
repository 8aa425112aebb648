"""How long each table is kept: hours in a ledger, applied as the engine's TTL; linked tables change all or not at all."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from intact.model.errors import IntactError, UsageError
from intact.store.database import Database, StoreError
from intact.store.sources import BY_TABLE, DEFAULT_SOURCES, EXCEPTION, LINKED, NORMAL, Source, insert_sources
from intact.store.tables import BY_NAME, DATABASE

MAX_HOURS = 24_000

_KNOWN = """
SELECT table_name, retention_hours, state FROM data_source ORDER BY id, revision DESC LIMIT 1 BY id
"""
_EFFECTIVE = "SELECT name, create_table_query AS sql FROM system.tables WHERE database = {database:String}"
_HOURS = re.compile(r"toIntervalHour\((\d+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How long a table is kept: as asked for, and as the engine does it. 0 hours: for ever."""

    source: Source
    hours: int
    effective_hours: int
    state: int
    linked: tuple[str, ...]


def retention(database: Database) -> list[Kept]:
    """All data sources in the order of their ids."""
    known = {row["table_name"]: row for row in database.rows(_KNOWN).to_pylist()}
    tables = {row["name"]: row["sql"] for row in database.rows(_EFFECTIVE, database=DATABASE).to_pylist()}
    answer = []
    for source in DEFAULT_SOURCES:
        row = known.get(source.table)
        found = _HOURS.search(tables.get(source.table, ""))
        answer.append(
            Kept(
                source=source,
                hours=row["retention_hours"] if row else source.hours,
                effective_hours=int(found[1]) if found else 0,
                state=row["state"] if row else NORMAL,
                linked=LINKED if source.table in LINKED else (),
            )
        )
    return answer


def set_retention(database: Database, table: str, hours: int, *, only: bool = False) -> list[Kept]:
    """Keep a table, and those linked with it, for so long.

    Args:
        database: the store.
        table: which table.
        hours: 1 to 24000; 0: for ever.
        only: this table alone, for those who keep an audit trail longer than reads and writes.

    Raises:
        UsageError: there is no such table, or the hours are out of range.
        IntactError: the engine refused; everything is as it was, and the tables are marked.
    """
    if table not in BY_TABLE:
        known = ", ".join(source.table for source in DEFAULT_SOURCES)
        raise UsageError(f"no retention can be set for {table[:60]!r}; tables: {known}")
    if not 0 <= hours <= MAX_HOURS:
        raise UsageError(f"retention is 1 to {MAX_HOURS} hours, or 0 for ever, not {hours}")
    now = {kept.source.table: kept for kept in retention(database)}
    targets = [now[name] for name in (LINKED if table in LINKED and not only else (table,))]
    done: list[Kept] = []
    try:
        for kept in targets:
            done.append(kept)
            _apply(database, kept.source.table, hours)
        _note(database, [replace(kept, hours=hours, state=NORMAL) for kept in targets])
    except StoreError as error:
        problems = _restore(database, done, targets)
        raise IntactError(
            f"retention of {done[-1].source.table} was not changed, nor of the tables linked with it: {error}{problems}"
        ) from error
    return [kept for kept in retention(database) if kept.source.table in {target.source.table for target in targets}]


def _restore(database: Database, done: Sequence[Kept], targets: Sequence[Kept]) -> str:
    """Put back what was changed; what cannot be put back is told."""
    problems = ""
    for kept in reversed(done):
        try:
            _apply(database, kept.source.table, kept.effective_hours)
        except StoreError as error:
            problems += f"; {kept.source.table} could not be put back: {error}"
    try:
        _note(database, [replace(kept, state=EXCEPTION) for kept in targets])
    except StoreError as error:
        problems += f"; the ledger could not be written: {error}"
    return problems


def _apply(database: Database, table: str, hours: int) -> None:
    if hours:
        database.execute(f"ALTER TABLE {DATABASE}.{table} MODIFY TTL {BY_NAME[table].ttl(hours)}")
        return
    found = database.rows(_EFFECTIVE + " AND name = {table:String}", database=DATABASE, table=table).to_pylist()
    if found and _HOURS.search(found[0]["sql"]):  # removing what is not there is an error
        database.execute(f"ALTER TABLE {DATABASE}.{table} REMOVE TTL")


def _note(database: Database, kept: Sequence[Kept]) -> None:
    """One block: all of them or none."""
    [row] = database.rows("SELECT max(revision) + 1 AS next FROM data_source").to_pylist()
    database.execute(insert_sources([(each.source, each.hours, each.state) for each in kept], str(row["next"])))
