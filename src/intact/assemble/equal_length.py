"""Secrets replaced by filler of the same length, for capture files: every offset in them stays true."""

import re
from itertools import accumulate

from intact.assemble.coding import CodingError, decoder
from intact.assemble.http1 import Body
from intact.assemble.scanner import Scanner
from intact.assemble.secret_rules import SECRET_HEADER, SECRET_PARAMETER
from intact.assemble.split_secrets import SplitSecret, ranges_in, split_secrets

FILLER = b"x"
# What a body decodes to is looked at so far; one that is larger is replaced whole.
MAX_DECODED_BYTES = 64 * 1024 * 1024

Range = tuple[int, int]

# With the lines that a header is folded over (RFC 9112 section 5.2).
_HEADER_LINE = re.compile(rb"(?:^|\n)(?P<name>[A-Za-z0-9-]{1,64}):[ \t]*(?P<value>[^\r\n]+(?:\r?\n[ \t][^\r\n]*)*)")
_TARGET = re.compile(rb"\A[A-Z]{1,32} [^\s?]*\?\S+")
_PARAMETER = re.compile(rb"[?&](?P<name>[^=&\s]{1,64})=(?P<value>[^&\s]+)")
# Argument vectors lie in records with a zero byte after each argument.
_ARGUMENT = re.compile(
    rb"(?i)--?(?:[a-z0-9_-]{0,64}[-_])?(?:api[-_]?key|token|secret|passw(?:or)?d|passphrase|credentials?|private[-_]?key"
    rb"|access[-_]?key|auth)\x00(?P<value>[^-\x00][^\x00]*)"
    rb"|\x00(?:-u|--user)\x00[^:\x00]{1,64}:(?P<password>[^\x00]{3,})"
    rb"|\x00(?:-H|--header)\x00[a-z0-9-]*(?:authorization|cookie|key|token|secret|auth):\s*(?P<header>[^\x00]+)"
    rb"|--?[a-z0-9_-]{0,64}(?:api[-_]?key|token|secret|passw(?:or)?d|passphrase)=(?P<given>[^\x00]+)"
    rb"|(?:^|\x00)(?:[a-z0-9_]{0,64}_)?(?:token|secret|passwd|password|api_?key|access_key|secret_key|private_key|credentials?)"
    rb"=(?P<variable>[^\x00]+)"
)


def redact_bytes(data: bytes, *, scanner: Scanner | None = None) -> bytes:
    """A copy of equal length without secrets, of bytes that are no stream: paths, addresses, lines of text."""
    scanner = scanner or Scanner()
    return _filled(data, [(span.start, span.end) for span in scanner.spans(data)])


def redact_arguments(data: bytes, *, scanner: Scanner | None = None) -> bytes:
    """A copy of equal length without secrets, of an argument vector with a zero byte after each argument."""
    scanner = scanner or Scanner()
    ranges = [match.span(str(match.lastgroup)) for match in _ARGUMENT.finditer(data)]
    at = 0
    for argument in data.split(b"\0"):  # each on its own: no rule may reach over the end of one
        ranges += [(at + span.start, at + span.end) for span in scanner.spans(argument)]
        at += len(argument) + 1
    return _filled(data, ranges)


def _filled(data: bytes, ranges: list[Range]) -> bytes:
    filled = bytearray(data)
    for start, end in ranges:
        filled[start:end] = FILLER * (end - start)
    return bytes(filled)


def head_ranges(data: bytes, scanner: Scanner) -> list[Range]:
    """The ranges of a message's head, or of other lines of text, that hold secrets."""
    ranges = [(span.start, span.end) for span in scanner.spans(data)]
    for line in _HEADER_LINE.finditer(data):
        if SECRET_HEADER.match(line["name"].decode().lower()):
            ranges.append(line.span("value"))
    if target := _TARGET.match(data):
        for parameter in _PARAMETER.finditer(data, 0, target.end()):
            if SECRET_PARAMETER.match(parameter["name"].decode("latin-1")):
                ranges.append(parameter.span("value"))
    return ranges


def body_ranges(body: list[Body], coding: str, scanner: Scanner) -> list[Range]:
    """The ranges of the stream that hold secrets of one body; all of a compressed one that holds any."""
    whole = [(piece.offset, piece.offset + len(piece.data)) for piece in body]
    joined = b"".join(piece.data for piece in body)
    if coding:
        # Compressed bytes cannot be changed one by one.
        decoded = _decoded(joined, coding)
        is_clean = decoded is not None and not scanner.spans(decoded) and not _split(decoded, scanner)
        return [] if is_clean else whole
    edges = list(accumulate((end - start for start, end in whole), initial=0))
    found = [(span.start, span.end) for span in scanner.spans(joined)]
    found += [piece for secret in _split(joined, scanner) for piece in secret.ranges]
    return [piece for low, high in found for piece in ranges_in(whole, edges, low, high)]


def _split(body: bytes, scanner: Scanner) -> list[SplitSecret]:
    # What is one object is told in one piece: its texts do not go on in each other.
    is_one = body.lstrip()[:1] == b"{" and b"\n{" not in body
    return [] if is_one else split_secrets(body, scanner)


def _decoded(data: bytes, coding: str) -> bytes | None:
    decoded = bytearray()
    try:
        undo = decoder(coding)
        for piece in undo.feed(data) if undo else [data]:
            decoded += piece
            if len(decoded) > MAX_DECODED_BYTES:
                return None
    except CodingError:
        return None
    return bytes(decoded)
