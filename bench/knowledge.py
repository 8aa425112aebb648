"""How often one of the first three hits answers a labelled question; run: python -m bench knowledge [-v]."""

import hashlib
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench.outcome import Outcome
from intact.assist.asking import Language
from intact.assist.experts.knowledge import ENOUGH, SEARCHED
from intact.assist.knowledge.chunks import Chunk
from intact.assist.knowledge.library import Library, own_documents

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


class _Told(NamedTuple):
    """How often an answer was found."""

    library: str
    corpus: str
    language: str
    half: str
    found: int
    questions: int


def measure(argv: Sequence[str]) -> Outcome:
    """Ask every question; with `-v` tell the ones that failed of the half that may be tuned on."""
    began = time.perf_counter()
    both = Library([DEBIAN] if DEBIAN.is_dir() else [])
    opened = time.perf_counter() - began
    questions = read_questions()
    intact = [each for each in questions if each.corpus == "intact"]
    asked = [each for each in questions if each.corpus != "none" and (each.corpus == "intact" or DEBIAN.is_dir())]
    times: list[float] = []
    rows = _tell(both, "both", asked, times=times, is_verbose="-v" in argv)
    rows += _tell(Library(), "intact", intact, times=[], is_verbose=False)
    with TemporaryDirectory() as english:
        rows += _tell(_english(Path(english)), "english", [q for q in intact if q.language is Language.ZH], times=[])
    refused = _refused(both, [each for each in questions if each.corpus == "none"])
    held_back = _refused(both, asked)
    print("library  corpus  language half   hit@3")
    for row in rows:
        share = row.found / row.questions
        print(
            f"{row.library:8} {row.corpus:7} {row.language:8} {row.half:6} {share:.3f}  {row.found} of {row.questions}"
        )
    print(f"without an answer and refused: {refused:.2f}; with one and refused all the same: {held_back:.2f}")
    print(f"read in {opened:.1f} s; a search takes {statistics.median(times):.1f} ms of CPU in the median")
    totals = [row for row in rows if row.library == "both" and row.corpus == "all" and row.half == "kept"]
    report = {
        "bars": {"hit_at_3": BAR, "refused": REFUSED_BAR},
        "rows": [row._asdict() for row in rows],
        "refused": round(refused, 3),
        "held_back": round(held_back, 3),
        "opened_s": round(opened, 2),
        "search_ms": round(statistics.median(times), 2),
    }
    reached = refused >= REFUSED_BAR and all(row.found >= BAR * row.questions for row in totals)
    return Outcome(report=report, reached=reached)


def _tell(
    library: Library, name: str, asked: Sequence[Labelled], *, times: list[float], is_verbose: bool = False
) -> list[_Told]:
    cells: dict[tuple[str, str, str], list[bool]] = {}
    for labelled in asked:
        before = time.process_time()
        hits = library.search(labelled.question, labelled.language, FIRST)
        times.append((time.process_time() - before) * 1000)
        right = any(labelled.is_answered_by(hit.chunk) for hit in hits)
        half = "kept" if labelled.kept else "tuned"
        cells.setdefault((labelled.corpus, labelled.language, half), []).append(right)
        for whole in (half, "both"):
            cells.setdefault(("all", labelled.language, whole), []).append(right)
        if is_verbose and not right and not labelled.kept:
            print(f"{labelled.corpus}: {labelled.question}", [p for _, p in labelled.places], file=sys.stderr)
            for hit in hits:
                print(f"    {hit.score} {hit.share} {hit.chunk.file} {hit.chunk.headings[-1:]}", file=sys.stderr)
    return [_Told(name, *key, sum(found), len(found)) for key, found in sorted(cells.items(), reverse=True)]


def _english(folder: Path) -> Library:
    """Intact's documents without those in Chinese: what a Chinese question finds by translation alone."""
    own = own_documents()
    place = folder / own.name
    for pattern in own.only or ("**/*.md",):
        for source in own.path.glob(pattern):
            if not source.name.endswith(".zh.md"):
                target = place / source.relative_to(own.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
    return Library([place], own=False)


def _refused(library: Library, asked: Sequence[Labelled]) -> float:
    """Share of the questions for which no hit holds enough of what was asked, so that the expert cannot tell."""
    found = (library.search(each.question, each.language, SEARCHED) for each in asked)
    return sum(max((hit.share for hit in hits), default=0.0) < ENOUGH for hits in found) / len(asked)
