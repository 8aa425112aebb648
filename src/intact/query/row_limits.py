"""Who asks, and which rows that person may see: conditions put on every table in the tree of a query, not into its text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlglot import exp

from intact.model.errors import UsageError
from intact.store.tables import BY_NAME, DATABASE

# the right side of these is a table where it is a name
_MEMBERSHIP = frozenset({"in", "notin", "nullin", "notnullin", "globalin", "globalnotin"})
_DIALOGUE = ("llm_content", "answer")
_MEASUREMENTS = "host_metric"
# columns that tell what was said, which an auditor finds empty
_SAID = {"tool_call": ("arguments", "arguments_text", "result"), "mcp_call": ("arguments", "result", "error")}
RUN_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
MAX_RUNS = 1_000
MAX_HOSTS = 1_000


class Role(StrEnum):
    OWNER = "owner"  # of the data directory: sees all
    ADMIN = "admin"  # all of a tenant
    MEMBER = "member"  # of a tenant, the runs that are told
    AUDITOR = "auditor"  # what was done in a tenant, not what was said


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who asks."""

    role: Role = Role.OWNER
    tenant_id: int = 1
    run_ids: tuple[str, ...] = ()  # of a member
    hosts: tuple[str, ...] | None = None  # whose measurements are shown; None: every host's
    language: str = "en"

    def __post_init__(self) -> None:
        if not 0 <= self.tenant_id < 1 << 32:
            raise UsageError(f"there is no tenant {self.tenant_id}")
        if len(self.run_ids) > MAX_RUNS or not all(RUN_ID.fullmatch(run) for run in self.run_ids):
            raise UsageError("these are not ids of runs, or too many")
        if len(self.hosts or ()) > MAX_HOSTS:
            raise UsageError("these are too many hosts")

    @property
    def is_limited(self) -> bool:
        return self.role is not Role.OWNER

    def condition(self, table: str) -> exp.Expression | None:
        """What a row of a table has to fulfil to be seen; None: nothing. Refused rows are told as none."""
        if not self.is_limited:
            return None
        shown: exp.Expression = exp.EQ(this=exp.column("tenant_id"), expression=exp.Literal.number(self.tenant_id))
        if self.role is Role.AUDITOR and table in _DIALOGUE:
            shown = exp.and_(shown, exp.false())
        if self.role is Role.MEMBER and any(column.name == "run_id" for column in BY_NAME[table].columns):
            runs = [exp.Literal.string(run) for run in self.run_ids]
            member = exp.In(this=exp.column("run_id"), expressions=runs) if runs else exp.false()
            shown = exp.and_(shown, member)
        if self.hosts is not None and table == _MEASUREMENTS:
            labels = [exp.column("labels"), exp.Literal.string("host")]
            host = exp.Anonymous(this="JSONExtractString", expressions=labels)
            named = [exp.Literal.string(name) for name in self.hosts]
            shown = exp.and_(shown, exp.In(this=host, expressions=named) if named else exp.false())
        return shown

    def conditions(self) -> Mapping[str, str]:
        """The same by table as text, for the engine to apply once more by itself."""
        found = {name: self.condition(name) for name in BY_NAME}
        return {f"{DATABASE}.{name}": shown.sql("clickhouse") for name, shown in found.items() if shown is not None}


class Unreadable(UsageError):
    """The query names its tables in a way on which no limits can be put."""


def limit_rows(tree: exp.Expression, reader: Reader) -> exp.Expression:
    """The query with every table replaced by the rows of it that the reader may see.

    Raises:
        Unreadable: a table is named where it cannot be replaced.
    """
    if not reader.is_limited:
        return tree
    _refuse_hidden_tables(tree)
    shadowed = {str(expression.alias) for expression in tree.find_all(exp.CTE)} & set(BY_NAME)
    if shadowed:
        raise Unreadable(f"{shadowed.pop()} is a table; give the WITH another name")
    named = {str(expression.alias) for expression in tree.find_all(exp.CTE)}
    mentioned = {identifier.name for identifier in tree.find_all(exp.Identifier)}
    for column in tree.find_all(exp.Column):
        if column.args.get("db") is not None and column.text("db") == DATABASE:
            column.set("db", None)
    for table in list(tree.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier) or table.args.get("catalog"):
            raise Unreadable("only plain tables can be read")
        if table.name in named and not table.db:
            continue
        if table.name not in BY_NAME or table.db not in ("", DATABASE):
            raise Unreadable(f"the table {ascii(table.name)[:60]} is not ours; SHOW TABLES lists what can be read")
        table.replace(_limited(table, reader, mentioned))
    return tree


def _limited(table: exp.Table, reader: Reader, mentioned: set[str]) -> exp.Expression:
    """A subquery with the allowed rows; columns that are computed are in it where the query mentions them."""
    computed = [column.name for column in BY_NAME[table.name].columns if column.default.startswith("ALIAS")]
    said = _SAID.get(table.name, ()) if reader.role is Role.AUDITOR else ()
    empty = [exp.alias_(exp.Literal.string(""), name) for name in said]
    columns: list[exp.Expression] = [exp.Star(replace=empty) if empty else exp.Star()]
    columns += [exp.column(exp.to_identifier(name, quoted=True)) for name in computed if name in mentioned]
    inner = exp.select(*columns).from_(exp.table_(table.name, db=DATABASE))
    condition = reader.condition(table.name)
    if condition is not None:
        inner = inner.where(condition)
    return inner.subquery(table.alias or table.name)


def _refuse_hidden_tables(tree: exp.Expression) -> None:
    for node in tree.walk():
        if isinstance(node, exp.Final):
            raise Unreadable("FINAL cannot be used")
        if isinstance(node, exp.Anonymous) and node.name.lower() in _MEMBERSHIP:
            raise Unreadable(f"the function {node.name} cannot be used; write IN (SELECT …)")
        if isinstance(node, exp.In):
            field = node.args.get("field")
            for member in [*node.expressions, *([field] if field is not None else [])]:
                inner = member.this if isinstance(member, exp.Paren) else member
                if isinstance(inner, exp.Column | exp.Identifier | exp.Table) and inner.name in BY_NAME:
                    raise Unreadable(f"IN {inner.name} cannot be used; write IN (SELECT … FROM {inner.name})")
