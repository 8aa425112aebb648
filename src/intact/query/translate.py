"""What DeepFlow's users write and the engine does not know: `Enum(tag)`, dotted tags, `log_count`; translated in the tree."""

import sqlglot
from sqlglot import exp

from intact.model.errors import UsageError
from intact.query.catalogue import catalogue, in_language
from intact.query.enums import ENUMERATIONS, Enumeration
from intact.store.tables import BY_NAME, DATABASE

DIALECT = "clickhouse"
_PROCESS = "gprocess"
_BIZ_TYPES = {f"biz_type{side}": side for side in ("", "_0", "_1")}
_COUNTED = ("log_count", "row")
# what is known of processes, by id; a process of an agent in any run is one
_MAP = f"SELECT id FROM {DATABASE}.gprocess_map GROUP BY id HAVING max(biz_type)"
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_OPERATORS = {exp.EQ: "=", exp.NEQ: "!=", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<="}


class Untranslatable(UsageError):
    """The query uses a name that stands for nothing."""


def needs_translation(tree: exp.Expression) -> bool:
    """Whether the query holds anything the engine does not know."""
    for node in tree.walk():
        if _is_enum(node) or (isinstance(node, exp.Column) and (_is_dotted(node) or _is_counted(node))):
            return True
    return False


def translate(tree: exp.Expression, language: str) -> exp.Expression:
    """The query with our names replaced by what they stand for; names of columns in the answer stay as they were written."""
    translator = _Translator(tree, language)
    if isinstance(tree, exp.Query):
        for select in tree.find_all(exp.Select):
            for projection in list(select.expressions):
                if not isinstance(projection, exp.Alias) and needs_translation(projection):
                    written = projection.sql(DIALECT)
                    projection.replace(exp.alias_(projection.copy(), written, quoted=True))
    return tree.transform(translator.replace)


class _Translator:
    def __init__(self, tree: exp.Expression, language: str) -> None:
        self._language = language
        tables = [table for table in tree.find_all(exp.Table) if table.name in BY_NAME]
        self._tables = [table.name for table in tables]
        self._aliases = {table.alias_or_name: table.name for table in tables}
        self._taken = {str(e.alias_or_name) for e in tree.find_all(exp.Table, exp.CTE, exp.Subquery)}

    def replace(self, node: exp.Expression) -> exp.Expression:
        """The node, or what stands in its place."""
        if isinstance(node, _COMPARISONS):
            return self._comparison(node)
        if isinstance(node, exp.In) and _is_enum(node.this) and not node.args.get("query"):
            parts = [self._enum_filter(node.this, "=", self._text(value)) for value in node.expressions]
            if not parts:
                raise Untranslatable("Enum(…) IN takes a list of texts")
            return _parsed(f"({' OR '.join(f'({part})' for part in parts)})")
        if _is_enum(node):
            return _parsed(self._label(node))
        if isinstance(node, exp.Column) and self._is_ours(node):
            return _parsed(self._biz_type(node))
        if isinstance(node, exp.Column) and _is_counted(node) and not node.table:
            return exp.Literal.number(1)
        return node

    def _comparison(self, node: exp.Expression) -> exp.Expression:
        operator = _OPERATORS[type(node)]
        left, right = node.this, node.expression
        if _is_enum(left) and operator in ("=", "!=") and isinstance(right, exp.Literal):
            return _parsed(f"({self._enum_filter(left, operator, self._text(right))})")
        if (
            isinstance(left, exp.Column)
            and self._is_ours(left)
            and isinstance(right, exp.Literal)
            and not right.is_string
        ):
            process = _process_of(left)
            members = f"{_MAP} {operator} {right.sql(DIALECT)}"
            return _parsed(f"({process} IN ({members}) AND {process} != 0)")
        return node

    def _enum_filter(self, call: exp.Expression, operator: str, text: str) -> str:
        """A text is a label; a number in quotes may also be the value."""
        argument = _argument(call)
        label = f"{self._label(call)} {operator} {_quoted(text)}"
        values = self._values(argument)
        if not text.lstrip("-").isdigit() or not all(isinstance(value, int) for value in values):
            return label
        raw = self._raw(argument)
        guard = f"{_process_of(argument)} != 0 AND " if self._is_ours(argument) else ""
        if operator == "=":
            return f"({label}) OR ({guard}{raw} = {int(text)})"
        return f"({label}) AND {guard}{raw} != {int(text)}"

    def _label(self, call: exp.Expression) -> str:
        argument = _argument(call)
        values = self._values(argument)
        raw = self._raw(argument)
        known = ", ".join(str(value) if isinstance(value, int) else _quoted(value) for value in values)
        labels = ", ".join(_quoted(in_language(label, self._language)) for label in values.values())
        return f"transform({raw}, [{known}], [{labels}], toString({raw}))"

    def _values(self, argument: exp.Column) -> Enumeration:
        if self._is_ours(argument):
            return ENUMERATIONS["biz_type"]
        tables = [self._aliases[argument.table]] if argument.table in self._aliases else self._tables
        for table in tables:
            for tag in catalogue()[table].tags:
                if tag.name == argument.name and tag.values:
                    return tag.values
        raise Untranslatable(f"{argument.sql(DIALECT)[:80]} has no enumeration; see: intact catalog")

    def _raw(self, argument: exp.Column) -> str:
        return self._biz_type(argument) if self._is_ours(argument) else argument.sql(DIALECT)

    def _biz_type(self, column: exp.Column) -> str:
        process = _process_of(column)
        tag = f"{_PROCESS}.{column.name}"
        if not any(each.name == tag for table in self._tables for each in catalogue()[table].tags):
            raise Untranslatable(f"no table of the query has {tag}")
        cases = ", ".join(
            f"{process} IN ({_MAP} = {int(value)}), {int(value)}" for value in ENUMERATIONS["biz_type"] if value
        )
        return f"multiIf({cases}, 0)"

    def _is_ours(self, node: exp.Expression) -> bool:
        """Whether it is a dotted tag, and not a column of something the query itself calls gprocess."""
        return isinstance(node, exp.Column) and _is_dotted(node) and _PROCESS not in self._taken

    def _text(self, node: exp.Expression) -> str:
        if isinstance(node, exp.Literal):
            return str(node.this)
        raise Untranslatable("Enum(…) is compared with a text")


def _is_enum(node: exp.Expression) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "enum"


def _argument(call: exp.Expression) -> exp.Column:
    if len(call.expressions) != 1 or not isinstance(call.expressions[0], exp.Column):
        raise Untranslatable("Enum takes one tag, as in Enum(file_type)")
    argument: exp.Column = call.expressions[0]
    return argument


def _is_dotted(column: exp.Column) -> bool:
    return column.table == _PROCESS and column.name in _BIZ_TYPES


def _is_counted(column: exp.Column) -> bool:
    return column.name in _COUNTED and not column.table and isinstance(column.parent, exp.AggFunc | exp.Anonymous)


def _process_of(column: exp.Column) -> str:
    qualifier = f"{exp.to_identifier(column.db).sql(DIALECT)}." if column.db else ""
    return f"{qualifier}gprocess_id{_BIZ_TYPES[column.name]}"


def _quoted(text: str) -> str:
    return exp.Literal.string(text).sql(DIALECT)


def _parsed(text: str) -> exp.Expression:
    return sqlglot.parse_one(text, dialect=DIALECT)
