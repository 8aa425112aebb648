"""Of a query, the columns that its writer filled in: they read nothing, so they back nothing."""

from dataclasses import replace

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from intact.assist.answers import Evidence

_SQL = "query.sql"


def read_part(evidence: Evidence) -> Evidence | None:
    """The evidence without columns that were written into the query; None: it reads no table at all."""
    if evidence.tool != _SQL:
        return evidence
    sql = evidence.answer.arguments.get("sql") or evidence.answer.query
    try:
        tree = sqlglot.parse_one(str(sql), dialect="clickhouse")
    except (SqlglotError, RecursionError):
        return None
    named = {each.alias for each in tree.find_all(exp.CTE)}
    if not any(
        isinstance(table.this, exp.Identifier) and table.name not in named for table in tree.find_all(exp.Table)
    ):
        return None
    hollow = {
        part.alias_or_name for select in tree.find_all(exp.Select) for part in select.expressions if _is_hollow(part)
    }
    answer = evidence.answer
    kept = [index for index, name in enumerate(answer.columns) if name not in hollow and not _is_figure(name)]
    rows = tuple(tuple(row[index] for index in kept) for row in answer.rows)
    columns = tuple(answer.columns[index] for index in kept)
    # the text of the query is its writer's too: it names nothing
    return replace(evidence, answer=replace(answer, columns=columns, rows=rows, arguments={}))


def _is_hollow(part: exp.Expression) -> bool:
    """Whether a column of a query is made of nothing that was read."""
    return not any(part.find_all(exp.Column, exp.Star, exp.Count))


def _is_figure(name: str) -> bool:
    """A column without a name of its own is called by the literal that it is."""
    return name[:1].isdigit() or name[:1] in "'\"-"
