"""Brings the tables of a store to this version: all of them where there are none, else numbered steps, each noted in a ledger.

A step may be killed anywhere and is run again from its start; its statements say IF NOT EXISTS. `migrations/NNN_name.sql` are
frozen: they say what a version changed, whatever the tables become later. A test holds that both ways give the same tables.
"""

import re
from collections.abc import Callable
from importlib import resources
from typing import NamedTuple

from intact.store.tables import DATABASE, TABLES

# Version 1 had no file: it is the tables of the first release.
LEDGER = "schema_version"
_FILE_NAME = re.compile(r"(\d{3})_(\w+)\.sql", re.ASCII)


class Migration(NamedTuple):
    number: int
    name: str
    statements: tuple[str, ...]


def migrations() -> list[Migration]:
    """All steps in their order."""
    found = []
    for file in resources.files("intact.store").joinpath("migrations").iterdir():
        named = _FILE_NAME.fullmatch(file.name)
        if named is not None:
            found.append(Migration(int(named[1]), named[2], statements_of(file.read_text("utf-8"))))
    return sorted(found)


def version() -> int:
    """The version of the tables as this program has them."""
    return max((step.number for step in migrations()), default=1)


def statements_of(text: str) -> tuple[str, ...]:
    """The statements of a file: each ends with a semicolon at the end of a line; lines that begin with -- are for people."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return tuple(part.strip() for part in re.split(r";\s*$", "\n".join(lines), flags=re.MULTILINE) if part.strip())


def prepare(execute: Callable[[str], None], found: int) -> None:
    """Bring a store of version `found` (0: new) to this version; each step is in the ledger before the next begins."""
    steps = migrations()
    if found == 0:
        for table in TABLES:
            execute(table.create)
        for step in (Migration(1, "first", ()), *steps):
            _note(execute, step)
        return
    for step in steps:
        if step.number > found:
            for statement in step.statements:
                execute(statement)
            _note(execute, step)


def prepare_ledger(execute: Callable[[str], None]) -> None:
    """Make the ledger; that of the first version held numbers alone."""
    execute(
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.{LEDGER} (version UInt32, name String, applied_at DateTime) "
        "ENGINE = MergeTree ORDER BY version"
    )


def widen_ledger(execute: Callable[[str], None]) -> None:
    """Give the ledger of the first version its other columns."""
    execute(
        f"ALTER TABLE {DATABASE}.{LEDGER} ADD COLUMN IF NOT EXISTS name String, "
        "ADD COLUMN IF NOT EXISTS applied_at DateTime"
    )


def _note(execute: Callable[[str], None], step: Migration) -> None:
    execute(f"INSERT INTO {DATABASE}.{LEDGER} (version, name, applied_at) VALUES ({step.number}, '{step.name}', now())")
