"""What happens as it happens: the newest facts of all runs under a cursor, kept in a bounded ring."""

import json
import secrets
import threading
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from intact.model.codec import bounded, finite
from intact.model.effects import Kind
from intact.model.facts import Agent, AgentTurn, Fact, Finding, LlmCall, Loss, McpCall, Process, ToolCall
from intact.model.slice import Slice

MOST_ITEMS = 20_000
MOST_BYTES = 64 << 20
MOST_TEXT = 4_000  # of one value; the whole of it is in the run's parts

TOLD: dict[type[Any], str] = {
    LlmCall: "call",
    ToolCall: "tool_call",
    McpCall: "mcp_call",
    Agent: "agent",
    AgentTurn: "turn",
    Finding: "finding",
    Process: "process",
    Loss: "loss",
}
# long, and in the run's parts
_LEFT_OUT = {
    *("input_messages", "output_messages", "system_instructions", "tool_definitions", "arguments_text"),
    *("exchange_id", "result_exchange_id"),
}
_KINDS = {int(kind): kind.label for kind in Kind}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that happened, as JSON text."""

    number: int
    tenant_id: int
    run_id: str
    text: str


class LiveFeed:
    """Takes slices from any thread; gives items after a cursor."""

    def __init__(self, *, most: int = MOST_ITEMS) -> None:
        self.last = 0
        self.dropped = 0
        self._epoch = secrets.token_hex(4)  # a cursor of an earlier process is known as such
        self._most = most
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def publish(self, run_id: str, tenant_id: int, piece: Slice) -> None:
        """Take what is to be told of a slice."""
        rows = [row for fact in piece.facts if (row := told(fact)) is not None]
        counts = effect_counts(piece)
        if counts:
            rows.append({"type": "effects", "until_ns": piece.until_ns, "counts": counts})
        texts = [json.dumps({"run_id": run_id, **row}, ensure_ascii=True) for row in rows]
        with self._lock:
            for text in texts:
                self.last += 1
                self._items.append(Item(number=self.last, tenant_id=tenant_id, run_id=run_id, text=text))
                self._bytes += len(text)
            while len(self._items) > self._most or self._bytes > MOST_BYTES:
                self._bytes -= len(self._items.popleft().text)
                self.dropped += 1

    def cursor(self, number: int) -> str:
        return f"{self._epoch}-{number}"

    def position(self, cursor: str | None) -> int | None:
        """The number a cursor stands for; None if it is of another process or no cursor."""
        epoch, _, number = (cursor or "").partition("-")
        return (
            int(number) if epoch == self._epoch and number.isascii() and number.isdigit() and len(number) < 19 else None
        )

    def after(
        self, number: int, *, tenant_id: int, run_ids: Collection[str] | None, limit: int
    ) -> tuple[list[Item], int, bool]:
        """Items after a number, the number to go on from, and whether some before them were dropped.

        Args:
            run_ids: of these runs only; None: of all.
            limit: at most so many.
        """
        with self._lock:
            oldest = self._items[0].number if self._items else self.last + 1
            start = max(number + 1, oldest)
            found: list[Item] = []
            for place in range(start - oldest, len(self._items)):
                item = self._items[place]
                if item.tenant_id == tenant_id and (run_ids is None or item.run_id in run_ids):
                    found.append(item)
                    if len(found) == limit:
                        return found, item.number, number + 1 < oldest
            return found, self.last, number + 1 < oldest


def told(fact: Fact) -> dict[str, Any] | None:
    """A fact in the words of `show --json`, without what is long; None if it is not for telling."""
    name = TOLD.get(type(fact))
    if name is None:
        return None
    row: dict[str, Any] = {"type": name}
    for field in fields(fact):
        if field.name not in _LEFT_OUT:
            row[field.name] = _plain(field.name, getattr(fact, field.name))
    return row


def effect_counts(piece: Slice) -> dict[str, int]:
    """How many effects of which kind a slice holds."""
    counts: dict[str, int] = {}
    for batch in piece.effects.values():
        if batch.num_rows:
            codes, numbers = np.unique(np.asarray(batch.column("kind")), return_counts=True)
            for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
                label = _KINDS.get(code, "unknown")
                counts[label] = counts.get(label, 0) + number
    return counts


def _plain(name: str, value: Any) -> Any:
    if name == "id" or name.endswith(("_id", "_ids")):
        if isinstance(value, tuple):
            return [str(each) for each in value]
        return None if value is None else str(value)
    value = finite(bounded(value))
    if isinstance(value, str):
        return value if len(value) <= MOST_TEXT else value[:MOST_TEXT] + "…"
    if isinstance(value, dict | list) and len(json.dumps(value)) > MOST_TEXT:
        return None
    return value
