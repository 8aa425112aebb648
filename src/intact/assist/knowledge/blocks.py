"""Documents as a flat list of blocks: headings, text and code with their lines; nothing of a document is run or nested.

Documents are hostile. Each reader goes over the text once and never backwards, so that its time is bounded by the size of the
document whatever it is made of; depth costs nothing, because none is kept.
"""

import html
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    HEADING = "heading"
    TEXT = "text"
    CODE = "code"


class Block(NamedTuple):
    """A piece of a document.

    Args:
        level: of a heading, 1 to 6; else 0.
        first_line, last_line: in the file, from 1.
    """

    kind: Kind
    text: str
    first_line: int
    last_line: int
    level: int = 0


MAX_HEADING = 200

_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_UNDERLINE = re.compile(r"(=|-|~|\^){3,}[ \t]*$")
_LEVELS = {"=": 1, "-": 2, "~": 3, "^": 4}


def read_markdown(text: str) -> Iterator[Block]:
    """The blocks of Markdown or plain text; headings by `#` or underlined, code by fences or by an indent of four."""
    lines = text.split("\n")
    start, paragraph = 0, list[str]()
    at = 0
    while at < len(lines):
        line = lines[at]
        fence, heading = _FENCE.match(line[:100]), _ATX.match(line[:1_000])
        underline = _UNDERLINE.fullmatch(line) if len(paragraph) == 1 and "|" not in paragraph[0] else None
        if underline and len(paragraph[0]) <= MAX_HEADING:
            yield Block(Kind.HEADING, paragraph[0].strip(), start + 1, at + 1, _LEVELS[underline[1]])
            paragraph = []
        elif fence or heading or not line.strip():
            yield from _paragraph(paragraph, start)
            paragraph = []
            if fence:
                end = _end_of_fence(lines, at, fence[1])
                yield Block(Kind.CODE, "\n".join(lines[at + 1 : end]), at + 1, min(end + 1, len(lines)))
                at = end
            elif heading:
                yield Block(Kind.HEADING, heading[2][:MAX_HEADING], at + 1, at + 1, len(heading[1]))
        else:
            start = start if paragraph else at
            paragraph.append(line)
        at += 1
    yield from _paragraph(paragraph, start)


def _end_of_fence(lines: list[str], at: int, fence: str) -> int:
    for end in range(at + 1, len(lines)):
        if lines[end].strip().startswith(fence) and not lines[end].strip().strip(fence[0]):
            return end
    return len(lines)


def _paragraph(lines: list[str], start: int) -> Iterator[Block]:
    if lines:
        indented = all(line.startswith(("    ", "\t")) for line in lines)
        yield Block(Kind.CODE if indented else Kind.TEXT, "\n".join(lines), start + 1, start + len(lines))


# a tag as browsers see it; possessive, so that no text makes it go back
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,40})((?:[^<>\"']++|\"[^\"]{0,4000}\"|'[^']{0,4000}')*+)>")
_CLASS = re.compile(r"\b(?:class|id|role)\s{0,4}=\s{0,4}[\"']([^\"']{0,200})[\"']", re.IGNORECASE)
_RAW = frozenset({"script", "style", "template", "noscript", "svg", "iframe", "object", "textarea", "xmp", "noembed"})
_VOID = frozenset(
    {
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"
    }
)  # fmt: skip
_APART = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "div", "dl",
        "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "li", "main", "nav", "ol", "p",
        "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul"
    }
)  # fmt: skip
_HEADINGS = {"title": 1} | {f"h{level}": level for level in range(1, 7)}
_CELLS = frozenset({"td", "th"})
_FURNITURE = frozenset(
    {
        "toc", "list-of-tables", "list-of-figures", "navheader", "navfooter", "navbar", "navigation", "sidebar",
        "breadcrumb", "breadcrumbs", "sphinxsidebar", "related", "footer", "menu"
    }
)  # fmt: skip
_SPACE = re.compile(r"\s+")


class _Page:
    """What was read of an HTML page so far."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.pieces: list[str] = []
        self.first = 1
        self.heading = 0
        self.code = 0
        self.skipped = ""  # the tag whose contents are furniture
        self.depth = 0

    def add(self, text: str, line: int) -> None:
        if self.skipped or not (self.pieces or text.strip()):
            return
        if not self.pieces:
            blank = text[: len(text) - len(text.lstrip())]
            self.first = line + blank.count("\n")
            text = text if self.code else text.lstrip()
        self.pieces.append(text)

    def end(self, line: int) -> None:
        """End the block that is being read."""
        text = html.unescape("".join(self.pieces))
        self.pieces = []
        text = text.strip("\n").rstrip() if self.code else _SPACE.sub(" ", text).strip().removesuffix("|").rstrip()
        if not text:
            return
        if self.heading:
            self.blocks.append(Block(Kind.HEADING, text[:MAX_HEADING], self.first, line, self.heading))
        else:
            self.blocks.append(Block(Kind.CODE if self.code else Kind.TEXT, text, self.first, line))

    def open(self, name: str, attributes: str, line: int) -> None:
        if self.skipped:
            self.depth += name == self.skipped
            return
        if name == "nav" or (attributes and name in _APART and _is_furniture(attributes)):
            self.end(line)
            self.skipped, self.depth = name, 1
        elif name == "pre":
            self.end(line)
            self.code = 1
        elif level := _HEADINGS.get(name):
            self.end(line)
            self.heading = level
        elif name in _APART and not self.heading and not self.code:
            self.end(line)
        elif name == "br" and self.code:
            self.pieces.append("\n")

    def close(self, name: str, line: int) -> None:
        if self.skipped:
            self.depth -= name == self.skipped
            self.skipped = self.skipped if self.depth > 0 else ""
        elif name == "pre":
            self.end(line)
            self.code = 0
        elif name in _HEADINGS:
            self.end(line)
            self.heading = 0
        elif name in _CELLS and self.pieces:
            self.pieces.append(" | ")
        elif name in _APART and not self.heading and not self.code:
            self.end(line)


def _is_furniture(attributes: str) -> bool:
    return any(not _FURNITURE.isdisjoint(words.lower().split()) for words in _CLASS.findall(attributes))


def read_html(text: str) -> Iterator[Block]:
    """The blocks of a page, without scripts, styles, comments and navigation."""
    page = _Page()
    lower = text.lower() if len(text.lower()) == len(text) else text  # places must stay the same
    at, line = 0, 1
    while at < len(text):
        mark = text.find("<", at)
        mark = len(text) if mark < 0 else mark
        if mark > at:
            page.add(text[at:mark], line)
            line += text.count("\n", at, mark)
        if mark == len(text):
            break
        end = _after_markup(text, lower, mark, page, line)
        line += text.count("\n", mark, end)
        at = end
    page.end(line)
    yield from page.blocks


def _after_markup(text: str, lower: str, mark: int, page: _Page, line: int) -> int:
    """Read what begins with `<` at `mark`; the place after it."""
    if text.startswith(("<!--", "<!", "<?"), mark):
        ending = "-->" if text.startswith("<!--", mark) else ">"
        end = text.find(ending, mark + 2)
        return len(text) if end < 0 else end + len(ending)
    tag = _TAG.match(text, mark)
    if tag is None:
        page.add("<", line)
        return mark + 1
    name, alone = tag[2].lower(), tag[3].endswith("/") or tag[2].lower() in _VOID
    if tag[1]:
        page.close(name, line)
    elif name in _RAW and not alone:
        end = lower.find(f"</{name}", tag.end())
        return len(text) if end < 0 else end
    elif not alone:
        page.open(name, tag[3], line)
    elif name in _APART and not page.heading:
        page.open(name, "", line)
    return tag.end()
