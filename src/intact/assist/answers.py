"""What a tool answers: a small table with the query, range and hash by which every number in it can be checked again."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

Cell = str | int | float | bool | None
MAX_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer:
    """A table of at most MAX_ROWS rows.

    Args:
        query: what gave the rows, for a person: the SQL with its values, or a line such as `host.space hosts=web-1`.
        arguments: the arguments of the call with every default resolved (absolute times, chosen run, id of a stored
            reading): the same tool called with these gives the same rows.
        from_ns, to_ns: the range of time that was looked at; None where there is none.
        units: unit by column: `bytes ns % count usd s ms tokens …`; a time in epoch nanoseconds is `epoch_ns`.
        untrusted: the columns that hold text written by whoever the machine or the agent met.
        total: how many rows there were before the bound; None: not known.
        notes: what may not be read, what was left out: texts of ours, never of others.
    """

    query: str
    arguments: dict[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    units: dict[str, str] = field(default_factory=dict)
    untrusted: tuple[str, ...] = ()
    from_ns: int | None = None
    to_ns: int | None = None
    truncated: bool = False
    total: int | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.rows) > MAX_ROWS or any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("an answer is a table, of a bounded number of rows")

    @property
    def rows_hash(self) -> str:
        """Hash of columns and rows; 128 bits, hex."""
        text = json.dumps([self.columns, self.rows], ensure_ascii=True, separators=(",", ":"), allow_nan=False)
        return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()

    def cell(self, row: int, column: str) -> Cell:
        return self.rows[row][self.columns.index(column)]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "rows_hash": self.rows_hash}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        """Read what `as_json` wrote.

        Raises:
            ValueError: it is no answer, or its hash is not that of its rows.
        """
        try:
            values = {name: body[name] for name in cls.__slots__}
            values["rows"] = tuple(tuple(row) for row in values["rows"])
            values |= {name: tuple(values[name]) for name in ("columns", "untrusted", "notes")}
            answer = cls(**values)
        except (KeyError, TypeError) as error:
            raise ValueError("this is no answer of a tool of ours") from error
        if body.get("rows_hash") != answer.rows_hash:
            raise ValueError("the rows are not those the hash is of")
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one tool call gave, to be cited."""

    id: str  # `e1`, `e2`, … within a response
    tool: str  # `server.tool`
    answer: ToolAnswer
