"""How often one of the first three hits answers a labelled question; run: python -m bench knowledge [-v]."""

import hashlib
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.outcome import Outcome
from intact.assist.asking import Language
from intact.assist.knowledge.chunks import Chunk
from intact.assist.knowledge.library import Library

QUESTIONS = Path(__file__).parents[1] / "tests" / "assist" / "knowledge" / "questions.jsonl"
DEBIAN = Path("/usr/share/debian-reference")  # packages debian-reference-en and debian-reference-zh-cn
FIRST = 3
BAR = 0.9
REFUSED_BAR = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A question, and where its answer stands."""

    question: str
    language: Language
    corpus: str  # `intact`, `debian`; `none`: there is no answer
    places: tuple[tuple[str, str], ...]  # file and heading
    has: tuple[str, ...]  # any of these is in the text, where a heading alone says too little

    @property
    def kept(self) -> bool:
        """Whether nothing was tuned on it."""
        return hashlib.blake2b(self.question.encode(), digest_size=1).digest()[0] % 2 == 1

    def is_answered_by(self, chunk: Chunk) -> bool:
        """Whether a chunk stands at one of the places; a title alone stands for what is right below it."""
        for file, heading in self.places:
            below = chunk.headings[1:] if len(chunk.headings) > 1 else chunk.headings
            if chunk.file.endswith("/" + file) and any(_same(heading, one) for one in below):
                return not self.has or any(text in chunk.text for text in self.has)
        return False


def _same(wanted: str, heading: str) -> bool:
    return heading.startswith(f"{wanted} ") if wanted[0].isdigit() else heading == wanted


def read_questions() -> list[Labelled]:
    """All of them, in the order of the file."""
    rows: Iterator[dict[str, Any]] = (json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines())
    return [
        Labelled(
            question=row["question"],
            language=Language(row["lang"]),
            corpus=row["corpus"],
            places=tuple((place["file"], place["heading"]) for place in row["places"]),
            has=tuple(row["has"]),
        )
        for row in rows
    ]


def measure(argv: Sequence[str]) -> Outcome:
    """Ask every question; with `-v` tell the ones that failed of the half that may be tuned on, with `-a` of all."""
    began = time.perf_counter()
    library = Library([DEBIAN] if DEBIAN.is_dir() else [])
    opened = time.perf_counter() - began
    cells: dict[tuple[str, str, str], list[bool]] = {}
    times: list[float] = []
    for labelled in read_questions():
        if labelled.corpus == "none":
            continue
        before = time.perf_counter()
        hits = library.search(labelled.question, labelled.language, FIRST)
        times.append((time.perf_counter() - before) * 1000)
        right = any(labelled.is_answered_by(hit.chunk) for hit in hits)
        half = "kept" if labelled.kept else "tuned"
        cells.setdefault((labelled.corpus, labelled.language, half), []).append(right)
        if not right and ("-a" in argv or ("-v" in argv and not labelled.kept)):
            print(f"{half} {labelled.corpus}: {labelled.question}", [p for _, p in labelled.places], file=sys.stderr)
            for hit in hits:
                print(f"    {hit.score} {hit.share} {hit.chunk.file} {hit.chunk.headings[-1:]}", file=sys.stderr)
    rows = [(*key, sum(found), len(found)) for key, found in sorted(cells.items())]
    print("corpus   language half   hit@3")
    for corpus, language, half, found, count in rows:
        print(f"{corpus:8} {language:8} {half:6} {found / count:.3f}  {found} of {count}")
    print(f"read in {opened:.1f} s; a search takes {statistics.median(times):.1f} ms in the median")
    reached = all(found >= BAR * count for *_, half, found, count in rows if half == "kept")
    names = ("corpus", "language", "half", "found", "questions")
    report = {
        "bar": BAR,
        "rows": [dict(zip(names, row, strict=True)) for row in rows],
        "opened_s": round(opened, 2),
        "search_ms": round(statistics.median(times), 2),
    }
    return Outcome(report=report, reached=reached)
