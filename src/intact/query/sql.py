"""Other people's SQL, checked and bounded: one SELECT over our tables, functions from a list, and no way to anything else.

Four fences, each meant to hold alone: sqlglot must see one query; what the engine itself makes of the text (its normalised
form and its syntax tree) may hold only listed kinds of nodes, tables and functions; it runs as a subquery, where INTO OUTFILE,
FORMAT and KILL cannot stand; and on a connection that is read-only and has limits that cannot be raised. Which rows a reader
may see is put into the tree of the query, and told to the engine once more.
"""

import csv
import io
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import TokenType

from intact.model.errors import UsageError
from intact.query.functions import is_allowed
from intact.query.parameters import Parameter, Question
from intact.query.row_limits import Reader, limit_rows
from intact.query.show import show
from intact.query.translate import needs_translation, translate
from intact.store.database import Database, StoreError, escape
from intact.store.tables import BY_NAME, DATABASE

MAX_SQL_CHARACTERS = 20_000
MAX_ROWS = 10_000
MAX_KNOWN = 300
OWNER = Reader()
LIMITS = {
    "max_execution_time": 30,
    "max_memory_usage": 1 << 30,
    "max_result_bytes": 256 << 20,
    "max_rows_in_set": 10_000_000,
    "max_threads": 2,
    "max_ast_depth": 200,
    "max_ast_elements": 5_000,
    "max_expanded_ast_elements": 20_000,
    "max_subquery_depth": 20,
    "max_recursive_cte_evaluation_depth": 100,
    # the order asked for inside has to hold outside
    "query_plan_remove_redundant_sorting": 0,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 0,
    "output_format_json_validate_utf8": 1,
}
NODES = frozenset(
    {
        *(
            "SelectWithUnionQuery",
            "SelectIntersectExceptQuery",
            "SelectQuery",
            "WithElement",
            "Subquery",
            "ExpressionList",
        ),
        *(
            "Identifier",
            "TableIdentifier",
            "Function",
            "Literal",
            "Asterisk",
            "QualifiedAsterisk",
            "ColumnsRegexpMatcher",
        ),
        *(
            "TablesInSelectQuery",
            "TablesInSelectQueryElement",
            "TableExpression",
            "TableJoin",
            "ArrayJoin",
            "SampleRatio",
        ),
        *("OrderByElement", "WindowDefinition", "WindowListElement", "ColumnsListMatcher", "ColumnsTransformerList"),
        *("ColumnsExceptTransformer", "ColumnsReplaceTransformer", "ColumnsReplaceTransformer::Replacement"),
    }
)
# what may stand before an opening parenthesis and is no function
KEYWORDS = frozenset(
    {
        *(
            "select",
            "distinct",
            "from",
            "prewhere",
            "where",
            "by",
            "having",
            "qualify",
            "limit",
            "offset",
            "with",
            "as",
        ),
        *("union", "all", "intersect", "except", "join", "on", "using", "over", "and", "or", "not", "in", "is", "like"),
        *(
            "ilike",
            "between",
            "case",
            "when",
            "then",
            "else",
            "any",
            "exists",
            "replace",
            "columns",
            "sets",
            "array",
            "div",
        ),
    }
)
_MEMBERSHIP = {"in", "notin", "nullin", "notnullin"}
_TABLE_NAME = re.compile(rf"(?:{DATABASE}\.)?\w+", re.ASCII)
_SHOW_TABLES = re.compile(r"\s*show\s+tables\s*;?\s*", re.IGNORECASE)
_DESCRIBE = re.compile(rf"\s*(?:describe|desc)\s+(?:table\s+)?(?:{DATABASE}\.)?(\w+)\s*;?\s*", re.IGNORECASE | re.ASCII)


class Refused(UsageError):
    """The query is not one that may be run; the message says what it may not do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query gave: column names and types, rows, and whether there were more."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[list[Any]]
    truncated: bool


def run_sql(
    database: Database,
    sql: str,
    *,
    limit: int = MAX_ROWS,
    reader: Reader = OWNER,
    parameters: Mapping[str, Parameter] | None = None,
) -> Answer:
    """The answer to one read-only query.

    Args:
        database: the store.
        sql: one SELECT, or SHOW TABLES, TAGS, METRICS or TAG … VALUES, or DESCRIBE.
        limit: at most so many rows.
        reader: who asks; decides on the rows and on the language of labels.
        parameters: what `{name:Type}` in the query stands for; bound, never put into the text.

    Raises:
        Refused: it is not one SELECT over our tables with listed functions.
        StoreError: the engine refused it, or it hit a limit.
    """
    told = _about_tables(sql, reader.language)
    if told is not None:
        return told
    question = Question(sql=sql, reader=reader, parameters=dict(parameters or {}))
    body = _guarded(database, question, limit, "JSONCompactEachRowWithNamesAndTypes")
    lines = [json.loads(line) for line in body.decode("utf-8", "replace").splitlines() if line]
    rows = lines[2:]
    return Answer(names=tuple(lines[0]), types=tuple(lines[1]), rows=rows[:limit], truncated=len(rows) > limit)


def run_sql_arrow(
    database: Database,
    sql: str,
    *,
    limit: int = MAX_ROWS,
    reader: Reader = OWNER,
    parameters: Mapping[str, Parameter] | None = None,
) -> pa.Table:
    """As `run_sql`, as columns; at most `limit` rows."""
    told = _about_tables(sql, reader.language)
    if told is not None:
        return pa.table({name: [row[place] for row in told.rows] for place, name in enumerate(told.names)})
    question = Question(sql=sql, reader=reader, parameters=dict(parameters or {}))
    body = _guarded(database, question, limit - 1, "ArrowStream")
    return pa.ipc.open_stream(body).read_all()


def as_json(answer: Answer) -> str:
    """An array of objects; ids as text, for they are longer than a JSON number may be."""
    ids = [name == "id" or name.endswith("_id") for name in answer.names]
    rows = (
        {
            name: str(value) if is_id and value is not None else value
            for name, value, is_id in zip(answer.names, row, ids, strict=True)
        }
        for row in answer.rows
    )
    return json.dumps(list(rows), indent=1, ensure_ascii=True)


def as_csv(answer: Answer) -> str:
    """Comma-separated values with a line of names; what is nested is JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.names)
    for row in answer.rows:
        writer.writerow([json.dumps(value) if isinstance(value, list | dict) else value for value in row])
    return text.getvalue()


def check(database: Database, sql: str, reader: Reader = OWNER) -> str:
    """The query as the engine writes it, if it may be run; else raises Refused."""
    with database.lend(reader, lambda: _connection(database, reader)) as connection:
        return _checked(connection, Question(sql=sql, reader=reader))


def _about_tables(sql: str, language: str) -> Answer | None:
    """SHOW and DESCRIBE are answered without the engine, which would tell more."""
    shown = show(sql, language)
    if shown is not None:
        return Answer(names=shown[0], types=("String",) * len(shown[0]), rows=shown[1], truncated=False)
    if _SHOW_TABLES.fullmatch(sql):
        return Answer(names=("name",), types=("String",), rows=[[name] for name in sorted(BY_NAME)], truncated=False)
    described = _DESCRIBE.fullmatch(sql)
    if described is None:
        return None
    table = BY_NAME.get(described[1])
    if table is None:
        raise Refused(f"there is no table {described[1]}; SHOW TABLES lists them")
    rows = [[column.name, column.type] for column in table.columns if column.default != "EPHEMERAL"]
    return Answer(names=("name", "type"), types=("String", "String"), rows=rows, truncated=False)


def _guarded(database: Database, question: Question, limit: int, output: str) -> bytes:
    bound = question.bound
    with database.lend(question.reader, lambda: _connection(database, question.reader)) as connection:
        normal = _checked_once(connection, question)
        # one more than asked for tells whether there were more
        sql = f"SELECT * FROM ({normal}) LIMIT {int(limit) + 1}"
        return _engine(connection, sql, output, **bound)


class _Known:
    """Texts that passed all checks, in the form that may be run; those used last are kept.

    What the checks say depends on the text, the reader and the names of the parameters, for values are never part of it.
    """

    def __init__(self) -> None:
        self._forms: OrderedDict[tuple[str, Reader, frozenset[str]], str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, question: Question) -> str | None:
        key = _key(question)
        with self._lock:
            if key in self._forms:
                self._forms.move_to_end(key)
            return self._forms.get(key)

    def put(self, question: Question, form: str) -> None:
        with self._lock:
            self._forms[_key(question)] = form
            while len(self._forms) > MAX_KNOWN:
                self._forms.popitem(last=False)


_KNOWN = _Known()


def _key(question: Question) -> tuple[str, Reader, frozenset[str]]:
    return question.sql, question.reader, frozenset(question.parameters)


def _checked_once(connection: Any, question: Question) -> str:
    """As `_checked`; of the same text, asker and names of parameters the checks are made once."""
    known = _KNOWN.get(question)
    if known is None:
        known = _checked(connection, question)
        _KNOWN.put(question, known)
    return known


def _connection(database: Database, reader: Reader) -> Any:
    """A connection that may only read, with the limits and the rows of a reader; nothing can raise them afterwards."""
    connection = database.connect()
    limits = ", ".join(f"{name} = {value}" for name, value in LIMITS.items())
    _engine(connection, f"SET {limits}", "TSV")
    rows = ", ".join(f"'{table}': '{_in_quotes(shown)}'" for table, shown in reader.conditions().items())
    if rows:
        _engine(connection, f"SET additional_table_filters = {{{rows}}}", "TSV")
    _engine(connection, "SET readonly = 1", "TSV")
    return connection


def _in_quotes(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _checked(connection: Any, question: Question) -> str:
    text = question.sql.strip().removesuffix(";").strip()
    if len(text) > MAX_SQL_CHARACTERS:
        raise Refused(f"the query is longer than {MAX_SQL_CHARACTERS} characters")
    if not text or "\0" in text:
        raise Refused("there is no query")
    tree = _one_select(text)
    bound = question.bound
    question.check_placeholders(text)
    text = _in_our_words(tree, text, question.reader)
    try:
        normal = (
            _engine(connection, "SELECT formatQuerySingleLine({q:String})", "TSVRaw", q=escape(text)).decode().strip()
        )
    except StoreError as error:
        raise Refused(f"the query cannot be read: {error}") from error
    _one_select(normal)
    _check_calls(normal)
    try:
        engine_tree = _engine(connection, f"EXPLAIN AST SELECT * FROM ({normal})", "TSVRaw", **bound).decode()
    except StoreError as error:
        raise Refused("only a plain SELECT may be run, without FORMAT, SETTINGS or INTO OUTFILE") from error
    check_tree(engine_tree)
    return normal


def _in_our_words(tree: exp.Expression, text: str, reader: Reader) -> str:
    """The query with tags translated and rows limited; a query that needs neither stays the text it was."""
    if not reader.is_limited and not needs_translation(tree):
        return text
    try:
        if needs_translation(tree):
            tree = translate(tree, reader.language)
        return limit_rows(tree, reader).sql("clickhouse")
    except (SqlglotError, RecursionError, ValueError) as error:
        raise Refused("the query cannot be read; write it more plainly") from error


def _one_select(text: str) -> exp.Expression:
    try:
        statements = sqlglot.parse(text, dialect="clickhouse")
    except (SqlglotError, RecursionError, ValueError) as error:
        raise Refused("the query cannot be read: only one SELECT over the tables of SHOW TABLES may be run") from error
    statements = [statement for statement in statements if statement is not None]
    if len(statements) != 1:
        raise Refused("only one statement may be run")
    if not isinstance(statements[0], exp.Query):
        raise Refused(f"only SELECT may be run, not {type(statements[0]).__name__.upper()}")
    for refused in (exp.Into, exp.Command):
        if statements[0].find(refused):
            raise Refused(f"only SELECT may be run, without {refused.__name__.upper()}")
    return statements[0]


def _check_calls(normal: str) -> None:
    """Whatever is called anywhere in the text, also where the engine's syntax tree does not print it."""
    try:
        tokens = sqlglot.tokenize(normal, read="clickhouse")
    except SqlglotError as error:
        raise Refused("the query cannot be read") from error
    for token in tokens:
        if token.token_type is TokenType.IDENTIFIER and (not token.text.isprintable() or "\\" in token.text):
            raise Refused("the query holds a name with a line break or a backslash")
    for token, following in pairwise(tokens):
        name = token.text.split()[-1].lower() if token.text.split() else ""
        is_call = following.token_type is TokenType.L_PAREN and re.fullmatch(r"\w+", name)
        if is_call and token.token_type is not TokenType.STRING and name not in KEYWORDS and not is_allowed(name):
            raise Refused(f"the function {name} is not allowed")


def check_tree(tree: str) -> None:
    """Refuse a syntax tree, as the engine's EXPLAIN AST prints it, that holds anything not listed."""
    above: list[tuple[str, int]] = []  # the nodes we are in: word, and children seen so far
    for line in tree.splitlines():
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip(" "))
        kind, _, rest = line.strip().partition(" ")
        del above[depth:]
        if len(above) < depth:
            raise Refused("the query holds a name with a line break")
        parent = above[-1][0] if above else ""
        place = above[-1][1] if above else 0
        if above:
            above[-1] = (parent, place + 1)
        _check_node(kind, rest, [word for word, _ in above], place)
        above.append((f"{kind} {rest}", 0))


def _check_node(kind: str, rest: str, above: list[str], place: int) -> None:
    if kind not in NODES:
        raise Refused("the query uses SETTINGS" if kind == "Set" else f"the query uses {kind}, which is not allowed")
    name = rest.split(" (", 1)[0]
    parent = above[-1] if above else ""
    if kind == "Function":
        if parent.startswith("TableExpression"):
            raise Refused(f"the table function {name} is not allowed: only our tables can be read")
        if not is_allowed(name):
            raise Refused(f"the function {name} is not allowed")
    if kind == "TableIdentifier" and not _TABLE_NAME.fullmatch(name):
        raise Refused(f"the table {name} is not ours; SHOW TABLES lists what can be read")
    grandparent = above[-2] if len(above) > 1 else ""
    is_member_of = grandparent.startswith("Function ") and grandparent.split(" ")[1].lower() in _MEMBERSHIP
    # on the right of IN, a name is a table
    if kind == "Identifier" and is_member_of and place == 1 and not _TABLE_NAME.fullmatch(name):
        raise Refused(f"the table {name} is not ours; SHOW TABLES lists what can be read")


def _engine(connection: Any, sql: str, output: str, **parameters: Any) -> bytes:
    try:
        return bytes(connection.query(sql, output, params=parameters).bytes())
    except RuntimeError as error:
        text = "".join(c if c.isprintable() else " " for c in " ".join(str(error).split()))
        text = re.sub(r"DB::Exception: |: In scope .*$|: While executing .*$", "", text)
        raise StoreError(text[:300]) from error
