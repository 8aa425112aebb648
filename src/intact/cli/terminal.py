"""What commands print with: text made safe for a terminal, quantities in words, one console."""

import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from intact.model.characters import written_out

if TYPE_CHECKING:
    from rich.console import Console

# C0 and C1 controls, DEL, line and paragraph separators, the marks that reorder what a person reads (UAX #9), and what
# takes no room but is read by machines: zero-width space, word joiner, tags.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def safe(text: str) -> str:
    """Captured text with every character that could act on a terminal written out.

    >>> safe("a\\x1b[31mb\\n")
    'a\\\\x1b[31mb\\\\n'
    """
    return _UNSAFE.sub(lambda match: written_out(match[0]), text)


def clip(text: str, width: int) -> str:
    """`safe` text of at most `width` cells, cut in the middle of nothing: the end is marked."""
    text = safe(text)
    cells = 0
    for index, character in enumerate(text):
        cells += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if cells > width:
            return text[: max(index - 1, 0)] + "…"
    return text


def quote(argv: Iterable[str]) -> str:
    """A command line for the eye: arguments with spaces in quotes, single ones around double ones.

    >>> print(quote(["sh", "-c", 'echo "a b"']))
    sh -c 'echo "a b"'
    """
    return " ".join(_quoted(argument) for argument in argv)


def _quoted(argument: str) -> str:
    if argument and not re.search(r"\s", argument):
        return argument
    return f"'{argument}'" if '"' in argument and "'" not in argument else f'"{argument}"'


def duration(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return "…"
    seconds = nanoseconds / 1e9
    if seconds < 0.001:
        return f"{nanoseconds / 1e3:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def number(count: int) -> str:
    return f"{count:,}"


def plural(count: int, noun: str) -> str:
    """`3 calls`, `1 call`, `2 processes`."""
    suffix = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{suffix}"


def clock(nanoseconds: int, *, date: bool = False) -> str:
    moment = datetime.fromtimestamp(nanoseconds / 1e9)
    return moment.strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S.%f")[: None if date else -3]


def console() -> "Console":
    """The console on standard output; colour only on a terminal, NO_COLOR honoured, no markup in what is printed."""
    from rich.console import Console  # here, since the recorder needs the words of this module and none of this

    terminal = sys.stdout.isatty()
    width = None if terminal else int(os.environ.get("COLUMNS") or 160)
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=not terminal, width=width)


@contextmanager
def progress(doing: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error that is told how far we are; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(doing), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
