"""How many claims are right, and what nearness in time alone would have claimed."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from intact.model.facts import ToolCall
from intact.model.slice import Slice


@dataclass(frozen=True, slots=True)
class Score:
    right: int
    claims: int
    caused: int
    found: int

    @property
    def precision(self) -> float:
        return self.right / self.claims if self.claims else 1.0

    @property
    def recall(self) -> float:
        return self.found / self.caused if self.caused else 1.0

    def __str__(self) -> str:
        return f"precision {self.precision:.4f} ({self.claims} claims)  recall {self.recall:.4f} ({self.caused} caused)"

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.right + other.right, self.claims + other.claims, self.caused + other.caused, self.found + other.found
        )


def last_links(slices: Iterable[Slice]) -> dict[int, tuple[int, int, int, float]]:
    """For each effect the cause, its kind, basis and confidence, of the highest revision."""
    found: dict[int, tuple[int, tuple[int, int, int, float]]] = {}
    for piece in slices:
        if piece.links is None:
            continue
        for row in piece.links.to_pylist():
            known = found.get(row["effect_id"])
            assert known is None or row["revision"] > known[0], "two links of one effect need two revisions"
            link = (row["cause_id"], row["cause_kind"], row["basis"], round(row["confidence"], 4))
            found[row["effect_id"]] = (row["revision"], link)
    return {effect: link for effect, (_, link) in found.items() if link[3] > 0}


def claims_of(links: dict[int, tuple[int, int, int, float]]) -> dict[int, int]:
    return {effect: link[0] for effect, link in links.items() if link[3] >= 0.5}


def score(claims: dict[int, int], truth: dict[int, int], tools: Iterable[int]) -> Score:
    """Claims against truth; recall is over effects a tool call caused."""
    causes = set(tools)
    caused = [effect for effect, cause in truth.items() if cause in causes]
    right = sum(truth[effect] == cause for effect, cause in claims.items())
    found = sum(claims.get(effect) == truth[effect] for effect in caused)
    return Score(right, len(claims), len(caused), found)


def time_only(slices: Iterable[Slice], window_ns: int = 500_000_000) -> dict[int, int]:
    """What a blind window claims: each effect is the tool call's that was issued last, at most so long before it."""
    issued: dict[int, int] = {}
    batches: list[pa.RecordBatch] = []
    for piece in slices:
        issued |= {fact.id: fact.issued_ns for fact in piece.facts if isinstance(fact, ToolCall)}
        batches += piece.effects.values()
    ordered = sorted((at, tool) for tool, at in issued.items())
    claims = {}
    for batch in batches:
        for effect, at in zip(batch.column("id").to_pylist(), batch.column("at_ns").to_pylist(), strict=True):
            near = [tool for issued_ns, tool in ordered if 0 <= at - issued_ns <= window_ns]
            if near:
                claims[effect] = near[-1]
    return claims
