"""Finds secrets in bytes by one pass over them."""

from functools import cache
from typing import NamedTuple

import hyperscan

from intact.assemble.secret_rules import RULES, Rule, looks_random

# `key=` in a URL and the shortest token: nothing below holds a secret we could know.
MIN_TEXT_BYTES = 8


class Span(NamedTuple):
    """A secret in a buffer."""

    start: int
    end: int
    rule: str


class Scanner:
    """Finds secrets in bytes by one pass over them."""

    def __init__(self, rules: tuple[Rule, ...] = RULES) -> None:
        self._rules = rules
        self._database = _compiled(rules)
        self._scratch = hyperscan.Scratch(self._database)
        self._candidates: set[tuple[int, int]] = set()
        self._ends: list[int] = []

    def places(self, data: memoryview) -> list[int]:
        """Where something begins or ends that may be a secret."""
        self._candidates.clear()
        self._ends.clear()
        self._scan(data)
        return [start for start, _ in self._candidates] + self._ends

    def spans(self, data: bytes) -> list[Span]:
        """The secrets of a buffer, in order, none over another."""
        if len(data) < MIN_TEXT_BYTES:
            return []
        self._candidates.clear()
        self._ends.clear()
        self._scan(data)
        if not self._candidates:
            return []
        spans: list[Span] = []
        for start, number in sorted(self._candidates):
            rule = self._rules[number]
            match = rule.exact.match(data, start)
            if match is None or (rule.random_only and not looks_random(match["secret"])):
                continue
            spans.append(Span(*match.span("secret"), rule.name))
        return _apart(spans)

    def _scan(self, data: bytes | memoryview) -> None:
        self._database.scan(data, match_event_handler=self._note, scratch=self._scratch)  # type: ignore[type-var]

    def _note(self, number: int, start: int, end: int, _flags: int, _context: object) -> None:
        self._candidates.add((start, number))
        self._ends.append(end - 1)


@cache
def _compiled(rules: tuple[Rule, ...]) -> hyperscan.Database:
    """Compiling takes 30 ms; what one scan works in is the scanner's own, so the result is shared."""
    database = hyperscan.Database()
    flags = [
        hyperscan.HS_FLAG_SOM_LEFTMOST | hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_CASELESS * rule.any_case
        for rule in rules
    ]
    database.compile(
        expressions=[rule.candidate for rule in rules],
        ids=list(range(len(rules))),
        elements=len(rules),
        flags=flags,
    )
    return database


def _apart(spans: list[Span]) -> list[Span]:
    """Spans that overlap are one, named by that which begins first."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start < joined[-1].end:
            last = joined[-1]
            joined[-1] = Span(last.start, max(last.end, span.end), last.rule)
        else:
            joined.append(span)
    return joined
