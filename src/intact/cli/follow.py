"""`intact show --follow`: what happens, as it happens, each effect with its cause; the back half on a growing run."""

import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.text import Text

from intact.cli.terminal import clip, clock, console, duration, quote
from intact.cli.tree import (
    CALL,
    DIM,
    LIFE,
    LOOKING,
    PROCESS,
    TOOL,
    argument_words,
    error_name,
    outcome,
    target,
    tokens,
    verb,
)
from intact.model.effects import CauseKind, Kind, basis_names
from intact.model.facts import LlmCall, Loss, ToolCall
from intact.model.slice import Slice

Row = dict[str, Any]

# An effect whose cause is not known after this much of the run's own time is printed as unexplained.
PATIENCE_NS = 1_500_000_000
# Before the first call to a model nobody is known as an agent; what it did till then gets its cause with that call.
FIRST_PATIENCE_NS = 10_000_000_000
# Effects waiting for their cause; beyond it the oldest are printed as they are.
MAX_WAITING = 20_000
CLAIM = 0.5


class Follower:
    """Takes the slices of `pipeline.back` and prints what they bring, each thing once."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out: Console = console()
        self.tools: dict[int, ToolCall] = {}
        self.calls: set[int] = set()
        self.waiting: OrderedDict[int, Row] = OrderedDict()
        self.causes: OrderedDict[int, Row] = OrderedDict()  # a link may come in the slice before or after its effect

    def follow(self, slices: Iterator[Slice]) -> None:
        """Print until the slices end."""
        for part in slices:
            self.take(part)
        for row in self.waiting.values():
            self._print_effect(row, None)
        self.waiting.clear()

    def take(self, part: Slice) -> None:
        """Print what one slice brings."""
        for fact in part.facts:
            if isinstance(fact, ToolCall):
                if fact.id not in self.tools:
                    self._print_tool(fact)
                self.tools[fact.id] = fact
            elif isinstance(fact, LlmCall) and fact.ended_ns is not None and fact.id not in self.calls:
                self.calls.add(fact.id)
                self._print_call(fact)
            elif isinstance(fact, Loss) and fact.count:
                self._print_loss(fact)
        for batch in part.effects.values():
            self._await(batch)
        if part.links is not None:
            self._match(part.links)
        while self.waiting:
            effect_id, row = next(iter(self.waiting.items()))
            patience = PATIENCE_NS if self.calls else FIRST_PATIENCE_NS
            patient = row["end_ns"] + patience > part.until_ns
            if patient and len(self.waiting) <= MAX_WAITING:
                break
            del self.waiting[effect_id]
            self._print_effect(row, None)

    def _await(self, batch: pa.RecordBatch) -> None:
        kinds = np.asarray(batch.column("kind"))
        if not self.as_json:
            skip = [Kind[k.upper()] for k in LOOKING | (LIFE - {"exec"})]
            batch = batch.filter(pa.array(~np.isin(kinds, skip)))
        for row in batch.to_pylist():
            row["kind"] = Kind(row["kind"]).label
            cause = self.causes.pop(row["id"], None)
            if cause is None:
                self.waiting[row["id"]] = row
            else:
                self._print_effect(row, cause)

    def _match(self, links: pa.RecordBatch) -> None:
        claims = links.filter(pa.array(np.asarray(links.column("confidence")) >= CLAIM))
        for cause in claims.to_pylist():
            row = self.waiting.pop(cause["effect_id"], None)
            if row is not None:
                self._print_effect(row, cause)
            else:
                self.causes[cause["effect_id"]] = cause
        while len(self.causes) > MAX_WAITING:
            self.causes.popitem(last=False)

    def _print_call(self, call: LlmCall) -> None:
        row = asdict(call)
        if self.as_json:
            self._json("call", row)
            return
        text = self._line(call.ended_ns or 0, "call").append(
            call.response_model or call.request_model or "?", style=CALL
        )
        text.append(tokens([row]), style=DIM).append(f"  {duration((call.ended_ns or 0) - call.started_ns)}", style=DIM)
        self.out.print(text)

    def _print_tool(self, tool: ToolCall) -> None:
        if self.as_json:
            self._json("tool_call", asdict(tool))
            return
        text = self._line(tool.issued_ns, "tool").append(clip(tool.name, 40), style=TOOL)
        self.out.print(text.append(f"  {clip(argument_words(tool.arguments), 100)}"))

    def _print_loss(self, loss: Loss) -> None:
        if self.as_json:
            self._json("loss", asdict(loss))
            return
        words = loss.note or f"{loss.count} {loss.cause} at {loss.stage}"
        self.out.print(self._line(loss.at_ns, "loss").append(clip(words, 120), style="yellow"))

    def _print_effect(self, row: Row, cause: Row | None) -> None:
        if self.as_json:
            link = None
            if cause is not None:
                kind = CauseKind(cause["cause_kind"]).name.lower()
                link = {
                    "cause_id": str(cause["cause_id"]),
                    "cause_kind": kind,
                    "basis": basis_names(cause["basis"]),
                    "confidence": cause["confidence"],
                }
            self._json("effect", {**row, "link": link})
            return
        if cause is not None and cause["cause_kind"] == CauseKind.HOUSEKEEPING:
            return
        text = self._line(row["at_ns"], row["kind"])
        if row["kind"] == "exec":
            text.append(clip(quote(row["argv"] or [row["exe"]]), 90), style=PROCESS).append(
                f" [{row['pid']}]", style=DIM
            )
        else:
            shown = {"old_path": None, "mode": None, "path": None, "address": None, "port": None, "argv": None, **row}
            text.append(f"{verb(row)} {clip(target(shown), 90)}")
        if outcome(row) < 0:
            text.append(f"  failed: {error_name(row['result'])}", style="red")
        text.append(f"  ← {self._cause_words(cause)}", style="bold red" if cause is None else DIM)
        self.out.print(text)

    def _cause_words(self, cause: Row | None) -> str:
        if cause is None:
            return "unexplained"
        tool = self.tools.get(cause["cause_id"])
        return (
            f"{tool.name} {clip(argument_words(tool.arguments), 50)}"
            if tool
            else CauseKind(cause["cause_kind"]).name.lower()
        )

    def _line(self, at_ns: int, kind: str) -> Text:
        return Text(f"{clock(at_ns)}  ", style=DIM).append(f"{kind:<13} ", style="default")

    def _json(self, kind: str, body: Row) -> None:
        # Ids are strings: a number of 64 bits is not safe in the JSON of every reader.
        told = {k: str(v) if isinstance(v, int) and (k == "id" or k.endswith("_id")) else v for k, v in body.items()}
        print(json.dumps({"type": kind, **told}, default=str), flush=True)
