"""Secrets that a stream of events tells piece by piece: the pieces of each text are joined before they are scanned.

Works on the raw text of events, so that what is replaced can be of the same length: a piece is the still escaped content of a
JSON string, and pieces belong together when they are the value of the same member and their events carry the same indexes.
"""

import re
from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

from intact.assemble.scanner import Scanner

_STRING = rb'"((?:[^"\\]|\\.)*+)"'
_MEMBER = re.compile(_STRING + rb"\s{0,8}:\s{0,8}" + _STRING, re.DOTALL)
_INDEX = re.compile(
    rb'"(?:index|output_index|content_index|summary_index|item_id)"\s{0,8}:\s{0,8}("[^"]{0,128}"|[0-9]{1,9})'
)
# Members that never hold words: leaving them out is half of the work.
_NO_WORDS = {
    b"type",
    b"id",
    b"object",
    b"model",
    b"role",
    b"item_id",
    b"obfuscation",
    b"system_fingerprint",
    b"service_tier",
}


class SplitSecret(NamedTuple):
    """The ranges of a body that together are one secret, in order."""

    ranges: list[tuple[int, int]]
    rule: str
    secret: bytes


def split_secrets(body: bytes, scanner: Scanner) -> list[SplitSecret]:
    """The secrets that lie in more than one piece."""
    groups: dict[tuple[bytes, ...], list[tuple[int, int]]] = {}
    for start, end in _events(body):
        index = tuple(match[1] for match in _INDEX.finditer(body, start, end))
        for member in _MEMBER.finditer(body, start, end):
            if member[1] not in _NO_WORDS and member.start(2) < member.end(2):
                groups.setdefault((member[1], *index), []).append(member.span(2))
    secrets: list[SplitSecret] = []
    for pieces in groups.values():
        if len(pieces) < 2:
            continue
        joined = b"".join(body[start:end] for start, end in pieces)
        edges = list(accumulate((end - start for start, end in pieces), initial=0))
        for span in scanner.spans(joined):
            ranges = ranges_in(pieces, edges, span.start, span.end)
            if len(ranges) > 1:
                secrets.append(SplitSecret(ranges, span.rule, joined[span.start : span.end]))
    return secrets


def _events(body: bytes) -> list[tuple[int, int]]:
    """The lines of an event stream; a body that is none is one line."""
    if body.lstrip()[:1] in (b"[", b"{"):
        return [(0, len(body))]
    edges = [match.end() for match in re.finditer(rb"[\r\n]+", body)]
    return list(zip([0, *edges], [*edges, len(body)], strict=True))


def ranges_in(pieces: list[tuple[int, int]], edges: list[int], start: int, end: int) -> list[tuple[int, int]]:
    """The parts of `pieces` that are bytes `start` to `end` of them joined; `edges` are where each begins then."""
    ranges = []
    at = bisect_right(edges, start) - 1
    while at < len(pieces) and edges[at] < end:
        base = pieces[at][0] - edges[at]
        ranges.append((base + max(start, edges[at]), base + min(end, edges[at + 1])))
        at += 1
    return ranges
