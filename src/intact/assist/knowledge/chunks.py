"""Chunks: pieces of a document that are found, read and cited, cut at its headings."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from intact.assist.asking import Language
from intact.assist.knowledge.blocks import Block, Kind

MIN_CHARACTERS = 200  # shorter ones only where a section is
GOOD_CHARACTERS = 700  # found best: shorter ones lose their subject, longer ones mix several
MAX_CHARACTERS = 1_200  # of code, which is not cut where it need not be
MAX_OF_A_FILE = 4_000
MAX_HEADINGS = 6

_SENTENCE = re.compile(r"[。！？；!?;.](?=\s|[^\x00-\x7f]|$)|\n")
_CJK = re.compile(r"[\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a file.

    Args:
        id: hash of file, headings and text, and of how often the same came before: stable as long as these are.
        headings: from the title of the document to the section.
        code: the part of the text that is code, where there is any.
    """

    id: str
    file: str
    headings: tuple[str, ...]
    first_line: int
    last_line: int
    text: str
    language: Language
    code: tuple[str, ...] = ()


def language_of(text: str) -> Language:
    """Chinese if an eighth of the letters is."""
    letters = len(_LETTER.findall(text))
    return Language.ZH if letters and len(_CJK.findall(text)) * 8 > letters else Language.EN


def cut_chunks(file: str, blocks: Iterable[Block]) -> Iterator[Chunk]:
    """The chunks of a file, in its order."""
    seen: dict[str, int] = {}
    for headings, section in _sections(blocks):
        for piece in _pieces(section):
            text = "\n\n".join(block.text for block in piece)
            key = "\x1f".join((file, *headings, text))
            seen[key] = seen.get(key, 0) + 1
            digest = hashlib.blake2b(f"{key}\x1f{seen[key]}".encode("utf-8", "replace"), digest_size=8).hexdigest()
            yield Chunk(
                id=digest,
                file=file,
                headings=headings,
                first_line=piece[0].first_line,
                last_line=piece[-1].last_line,
                text=text,
                language=language_of(text),
                code=tuple(block.text for block in piece if block.kind is Kind.CODE),
            )


def _sections(blocks: Iterable[Block]) -> Iterator[tuple[tuple[str, ...], list[Block]]]:
    path: list[tuple[int, str]] = []
    section: list[Block] = []
    for block in blocks:
        if block.kind is Kind.HEADING:
            if section:
                yield tuple(text for _, text in path), section
            section = []
            path = [*((level, text) for level, text in path if level < block.level), (block.level, block.text)]
            path = path[:MAX_HEADINGS]
        elif block.text.strip():
            section.append(block)
    if section:
        yield tuple(text for _, text in path), section


def _pieces(section: list[Block]) -> Iterator[list[Block]]:
    piece: list[Block] = []
    length = 0
    for block in section:
        for part in _parts(block):
            if piece and length + len(part.text) > GOOD_CHARACTERS:
                yield piece
                piece, length = [], 0
            piece.append(part)
            length += len(part.text) + 2
    if piece:
        yield piece


def _parts(block: Block) -> Iterator[Block]:
    """A block that is too long is cut at lines, else at sentences, else where the bound is."""
    text, line = block.text, block.first_line
    bound = MAX_CHARACTERS if block.kind is Kind.CODE else GOOD_CHARACTERS
    while len(text) > bound:
        end = text.rfind("\n", MIN_CHARACTERS, bound) + 1
        if not end and block.kind is Kind.TEXT:
            end = max((m.end() for m in _SENTENCE.finditer(text, MIN_CHARACTERS, bound)), default=0)
        end = end or bound
        lines = text.count("\n", 0, end)
        last = min(line + max(lines - text[:end].endswith("\n"), 0), block.last_line)
        yield Block(block.kind, text[:end].rstrip(), line, last)
        text, line = text[end:].lstrip("\n"), min(line + lines, block.last_line)
    if text.strip():
        yield Block(block.kind, text, line, block.last_line)
