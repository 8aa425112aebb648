"""Tools over the tables themselves: guarded SQL, which tables there are, what is in one, and what its codes mean."""

import re
from collections.abc import Sequence

from pydantic import Field

from intact.assist.answers import MAX_ROWS, ToolAnswer
from intact.assist.asking import Asker, Language
from intact.assist.tool import Arguments, Parts, Tool, ToolRefused, texts
from intact.model.errors import IntactError
from intact.query.catalogue import Entry, catalogue, entry, in_language
from intact.query.scope import cell_of
from intact.query.sql import MAX_SQL_CHARACTERS, run_sql

_MAX_NAME = 100
_ENGINE = re.compile(r"Code: (\d{1,4})\. ")
_KIND = re.compile(r"\(([A-Z][A-Z_]{2,60})\)\s*$")
_DOING = re.compile(r": while executing .*$", re.IGNORECASE)
_HINT = "the functions …OrNull give NULL for what cannot be read"
# of https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp: functions, types, names, syntax
_OF_QUERY = frozenset({36, 42, 43, 44, 46, 47, 53, 60, 62, 179, 182, 184, 207, 215, 352, 386})


class Sql(Arguments):
    sql: str = Field(min_length=1, max_length=MAX_SQL_CHARACTERS, description="One SELECT over the tables of `tables`.")
    limit: int = Field(100, ge=1, le=MAX_ROWS, description="At most so many rows.")


class Catalogue(Arguments):
    language: Language = Field(Language.EN, description="Of titles and descriptions: en or zh.")


class Describe(Catalogue):
    table: str = Field(min_length=1, max_length=_MAX_NAME, description="A table of `tables`.")


class Enum(Describe):
    tag: str = Field(min_length=1, max_length=_MAX_NAME, description="A column of the table that has an enumeration.")


def _sql(parts: Parts, asker: Asker, given: Sql) -> ToolAnswer:
    try:
        found = parts.readers.ask(run_sql, given.sql, limit=given.limit, reader=asker.reader())
        rows = tuple(tuple(cell_of(value) for value in row) for row in found.rows)
        # an expression may give any column any name: all are of others
        return ToolAnswer(
            query=given.sql,
            arguments=given.model_dump(),
            columns=found.names,
            rows=rows,
            untrusted=found.names,
            truncated=found.truncated,
            total=None if found.truncated else len(rows),
        )
    except (IntactError, ValueError) as error:
        raise ToolRefused(_without_data(str(error))) from error


def _without_data(text: str) -> str:
    """What the engine says, where it says nothing but words of the query; else only which kind of fault it is.

    A value that cannot be read as a number stands in its message, and that is text of others: nobody marked it.
    """
    found = _ENGINE.match(text)
    if found is None:
        return text
    if int(found[1]) in _OF_QUERY:
        return _DOING.sub("", text)
    kind = _KIND.search(text)
    return f"Code: {found[1]}. the engine cannot work it out on the data{f' ({kind[1]})' if kind else ''}; {_HINT}"


def _tables(_: Parts, __: Asker, given: Catalogue) -> ToolAnswer:
    rows = [(name, in_language(each.title, given.language)) for name, each in sorted(catalogue().items())]
    return _told("SHOW TABLES", ("table", "title"), rows, given)


def _describe(_: Parts, __: Asker, given: Describe) -> ToolAnswer:
    found = _entry(given.table)
    language = given.language
    rows = [
        (tag.name, tag.type, in_language(tag.title, language), in_language(tag.description, language), tag.unit)
        for tag in found.tags
    ]
    return _told(f"SHOW TAGS FROM {found.name}", ("column", "type", "title", "description", "unit"), rows, given)


def _enum(_: Parts, __: Asker, given: Enum) -> ToolAnswer:
    found = _entry(given.table)
    tag = next((each for each in found.tags if each.name == given.tag), None)
    if tag is None or not tag.values:
        known = ", ".join(each.name for each in found.tags if each.values) or "none"
        raise ToolRefused(f"that is no column of {found.name} with an enumeration; those are: {known}")
    rows = [(str(value), in_language(label, given.language)) for value, label in tag.values.items()]
    return _told(f"SHOW TAG {tag.name} VALUES FROM {found.name}", ("code", "title"), rows, given)


def _entry(name: str) -> Entry:
    try:
        return entry(name)
    except IntactError as error:
        raise ToolRefused(f"there is no such table; tables: {', '.join(sorted(catalogue()))}") from error


def _told(query: str, names: tuple[str, ...], rows: Sequence[tuple[str, ...]], given: Catalogue) -> ToolAnswer:
    """Of the catalogue, which is ours: nothing in it is anybody else's."""
    return ToolAnswer(
        query=query,
        arguments=given.model_dump(mode="json"),
        columns=names,
        rows=tuple(rows[:MAX_ROWS]),
        truncated=len(rows) > MAX_ROWS,
        total=len(rows),
    )


TOOLS: tuple[Tool, ...] = (
    Tool(
        name="sql",
        about=texts(
            "Run one read-only SELECT over the recorded tables; rows that the asker may not see are left out.",
            "对已记录的数据表执行一条只读 SELECT；无权查看的行会被过滤。",
        ),
        says=texts("Run SQL", "执行 SQL 查询"),
        arguments=Sql,
        run=_sql,
        words=("select", "clickhouse", "query", "custom", "查询", "统计", "自定义"),
    ),
    Tool(
        name="tables",
        about=texts("Which tables SQL can be asked over.", "有哪些可以查询的数据表。"),
        says=texts("List tables", "列出数据表"),
        arguments=Catalogue,
        run=_tables,
        words=("schema", "catalog", "catalogue", "表", "目录"),
    ),
    Tool(
        name="describe",
        about=texts("The columns of a table with types, units and meaning.", "数据表的列、类型、单位与含义。"),
        says=texts("Describe a table", "查看表结构"),
        arguments=Describe,
        run=_describe,
        words=("columns", "schema", "fields", "tags", "列", "字段", "表结构"),
    ),
    Tool(
        name="enum",
        about=texts("What the codes of a column mean.", "某一列编码的含义。"),
        says=texts("Explain codes", "查看枚举含义"),
        arguments=Enum,
        run=_enum,
        words=("codes", "labels", "values", "meaning", "枚举", "取值", "含义"),
    ),
)
