"""A library: folders of documents, read as they change, searched by words, every hit a chunk that can be cited."""

import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intact.assist.asking import Language
from intact.assist.knowledge.blocks import read_html, read_markdown
from intact.assist.knowledge.chunks import MAX_OF_A_FILE, Chunk, cut_chunks
from intact.assist.knowledge.folders import READ_AS, Folder, FoundFile, Skipped, find_files, read_text
from intact.assist.knowledge.passages import Passage, closeness, passages_of
from intact.assist.knowledge.ranking import Ranking, weigh_words

MAX_CHUNKS = 20_000
MAX_LIMIT = 20
LOOKED_AT = 30  # chunks, by words; closeness decides among them
CLOSENESS = 1.0
OWN = 1.15  # whoever asks here means Intact more often than not
LOOK_AGAIN_S = 5.0
CACHE_FORMAT = 1
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A chunk that was found: how well it fits, and which share of what was asked it holds (0 to 1)."""

    chunk: Chunk
    score: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of the library, or one that was left out and why."""

    folder: str
    file: str
    chunks: int = 0
    size: int = 0
    read_ns: int | None = None
    skipped: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A file as it was read: its chunks and their words."""

    modified_ns: int
    size: int
    read_ns: int
    chunks: tuple[Chunk, ...]
    weights: tuple[dict[str, float], ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shelf:
    """All that was read at one moment; searches work on one shelf from beginning to end."""

    files: dict[str, _Read]
    sources: tuple[Source, ...]
    chunks: tuple[Chunk, ...]
    places: dict[str, int]
    ranking: Ranking
    own: NDArray[np.bool_]  # chunks of the folder called `intact`
    revision: str
    clipped: int = 0
    seen: tuple[tuple[str, int, int], ...] = field(default=())


def own_documents() -> Folder:
    """The documents of Intact: of the checkout where there is one, else those in the wheel."""
    checkout = _HERE.parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "docs").is_dir():
        return Folder(name="intact", path=checkout, only=("README*.md", "docs/**/*.md"))
    return Folder(name="intact", path=_HERE / "pages")


class Library:
    """The documents of Intact and of the folders an operator names; may be used by threads at once.

    Args:
        folders: of the operator.
        cache: a directory in which what was read is kept between starts; None: nowhere.
        own: whether Intact's own documents are in it.
    """

    def __init__(self, folders: Sequence[Path] = (), cache: Path | None = None, *, own: bool = True) -> None:
        self._folders = _named(folders, own=own)
        self._own = own
        self._cache = None if cache is None else cache / "knowledge.json"
        self._lock = threading.Lock()  # held by the one thread that looks whether files changed
        self._looked = time.monotonic()
        self._shelf = self._read(self._cached())

    @property
    def revision(self) -> str:
        """Hash of all chunks; the same contents give the same answers."""
        return self._shelf.revision

    @property
    def clipped(self) -> int:
        """Chunks that are beyond the bound of the library."""
        return self._shelf.clipped

    def refresh(self) -> bool:
        """Read what changed; whether anything did."""
        with self._lock:
            before = self._shelf.revision
            self._shelf = self._read(self._shelf.files)
            self._looked = time.monotonic()
            return self._shelf.revision != before

    def search(self, text: str, language: Language, limit: int = 5) -> list[Hit]:
        """The chunks that fit best, best first."""
        self._look_again()
        shelf = self._shelf
        if not shelf.chunks:
            return []
        scores, shares = shelf.ranking.score(text, language)
        if self._own:
            scores[shelf.own] *= OWN
        asked = shelf.ranking.asked(text)
        found: dict[tuple[str, tuple[str, ...]], Hit] = {}  # one of a section: a long one must not hide the others
        for place in np.argsort(-scores, kind="stable")[:LOOKED_AT].tolist():
            chunk = shelf.chunks[place]
            if scores[place] <= 0:
                break
            score = float(scores[place]) + CLOSENESS * closeness(chunk, asked)
            hit = Hit(chunk=chunk, score=round(score, 3), share=round(float(shares[place]), 3))
            before = found.get((chunk.file, chunk.headings))
            if before is None or before.score < hit.score:
                found[chunk.file, chunk.headings] = hit
        # equal scores in the order of files, so that the same question gives the same answer
        best = sorted(found.values(), key=lambda hit: (-hit.score, hit.chunk.file, hit.chunk.first_line))
        return best[: min(limit, MAX_LIMIT)]

    def passages(self, text: str, chunk_ids: Sequence[str], limit: int = 3) -> list[Passage]:
        """The passages of these chunks that answer a question best, at most `limit` a chunk."""
        shelf = self._shelf
        asked = shelf.ranking.asked(text)
        places = [shelf.places[each] for each in chunk_ids if each in shelf.places]
        return [passage for place in places for passage in passages_of(shelf.chunks[place], asked, limit)]

    def chunk(self, chunk_id: str) -> Chunk | None:
        """The chunk of this id; None: it is there no more, or never was."""
        shelf = self._shelf
        place = shelf.places.get(chunk_id)
        return None if place is None else shelf.chunks[place]

    def around(self, chunk_id: str, count: int) -> list[Chunk]:
        """The chunk and its neighbours in the file, in the order of the file."""
        self._look_again()
        shelf = self._shelf
        place = shelf.places.get(chunk_id)
        if place is None:
            return []
        near = shelf.chunks[max(place - count, 0) : place + count + 1]
        return [chunk for chunk in near if chunk.file == shelf.chunks[place].file]

    def sources(self) -> tuple[Source, ...]:
        """Every file, by name."""
        self._look_again()
        return self._shelf.sources

    def _look_again(self) -> None:
        if time.monotonic() - self._looked < LOOK_AGAIN_S or not self._lock.acquire(blocking=False):
            return
        try:
            found, _ = find_files(self._folders)
            if _stamps(found) != self._shelf.seen:
                self._shelf = self._read(self._shelf.files)
            self._looked = time.monotonic()
        finally:
            self._lock.release()

    def _read(self, before: dict[str, _Read]) -> _Shelf:
        found, skipped = find_files(self._folders)
        files: dict[str, _Read] = {}
        for file in found:
            known = before.get(file.name)
            same = known is not None and (known.modified_ns, known.size) == (file.modified_ns, file.size)
            files[file.name] = known if known is not None and same else _read_file(file)
        shelf = _shelve(files, skipped, _stamps(found))
        if any(files[name] is not before.get(name) for name in files) or len(files) != len(before):
            self._keep(files)
        return shelf

    def _cached(self) -> dict[str, _Read]:
        if self._cache is None:
            return {}
        try:
            body = json.loads(self._cache.read_bytes())
            if body["format"] != _format():
                return {}
            return {name: _thawed(entry) for name, entry in body["files"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {}  # nothing is lost: the files are read again

    def _keep(self, files: dict[str, _Read]) -> None:
        if self._cache is None:
            return
        body = {"format": _format(), "files": {name: asdict(entry) for name, entry in files.items()}}
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._cache.parent, prefix=f".{self._cache.name}.")  # 0600
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(body, file, ensure_ascii=False, separators=(",", ":"))
            Path(name).replace(self._cache)
        except OSError:
            return  # a directory that cannot be written: the next start reads the files again


def _named(folders: Sequence[Path], *, own: bool) -> tuple[Folder, ...]:
    named = [own_documents()] if own else []
    taken = {folder.name for folder in named}
    for path in folders:
        plain = path.resolve().name or "root"
        name = next(n for n in (plain, *(f"{plain}-{i}" for i in range(2, 100))) if n not in taken)
        taken.add(name)
        named.append(Folder(name=name, path=path))
    return tuple(named)


def _stamps(found: Sequence[FoundFile]) -> tuple[tuple[str, int, int], ...]:
    return tuple((file.name, file.modified_ns, file.size) for file in found)


def _read_file(file: FoundFile) -> _Read:
    text = read_text(file)
    chunks: list[Chunk] = []
    problem: str | None = None
    if isinstance(text, Skipped):
        problem = text.why
    else:
        read = read_html if READ_AS[file.path.suffix.lower()] == "html" else read_markdown
        for chunk in cut_chunks(file.name, read(text)):
            if len(chunks) >= MAX_OF_A_FILE:
                problem = f"cut after {MAX_OF_A_FILE} pieces"
                break
            chunks.append(chunk)
    return _Read(
        modified_ns=file.modified_ns,
        size=file.size,
        read_ns=time.time_ns(),
        chunks=tuple(chunks),
        weights=tuple(weigh_words(chunk) for chunk in chunks),
        problem=problem,
    )


def _shelve(files: dict[str, _Read], skipped: Sequence[Skipped], seen: tuple[tuple[str, int, int], ...]) -> _Shelf:
    chunks: list[Chunk] = []
    weights: list[dict[str, float]] = []
    sources = [Source(folder=s.name.partition("/")[0], file=s.name, skipped=s.why) for s in skipped]
    clipped = 0
    for name, read in files.items():
        room = MAX_CHUNKS - len(chunks)
        kept = read.chunks[:room]
        clipped += len(read.chunks) - len(kept)
        chunks += kept
        weights += read.weights[: len(kept)]
        problem = read.problem or (
            f"the library is full at {MAX_CHUNKS} pieces" if len(kept) < len(read.chunks) else None
        )
        sources.append(
            Source(
                folder=name.partition("/")[0],
                file=name,
                chunks=len(kept),
                size=read.size,
                read_ns=read.read_ns,
                skipped=problem,
            )
        )
    revision = hashlib.blake2b("\n".join(chunk.id for chunk in chunks).encode(), digest_size=8).hexdigest()
    return _Shelf(
        files=files,
        sources=tuple(sorted(sources, key=lambda source: source.file)),
        chunks=tuple(chunks),
        places={chunk.id: place for place, chunk in enumerate(chunks)},
        ranking=Ranking(chunks, weights),
        own=np.array([chunk.file.startswith("intact/") for chunk in chunks], dtype=bool),
        revision=revision,
        clipped=clipped,
        seen=seen,
    )


def _format() -> str:
    """Changes with whatever the kept words depend on."""
    digest = hashlib.blake2b(digest_size=8)
    for name in ("blocks.py", "chunks.py", "folders.py", "ranking.py", "segment.py", "stop_words.txt", "terms.tsv"):
        digest.update((_HERE / name).read_bytes())
    return f"{CACHE_FORMAT}-{digest.hexdigest()}"


def _thawed(entry: dict[str, Any]) -> _Read:
    chunks = tuple(
        Chunk(
            id=chunk["id"],
            file=chunk["file"],
            headings=tuple(chunk["headings"]),
            first_line=chunk["first_line"],
            last_line=chunk["last_line"],
            text=chunk["text"],
            language=Language(chunk["language"]),
            code=tuple(chunk["code"]),
        )
        for chunk in entry["chunks"]
    )
    weights = tuple({str(word): float(count) for word, count in weight.items()} for weight in entry["weights"])
    if len(weights) != len(chunks):
        raise ValueError("words of other chunks")
    return _Read(
        modified_ns=entry["modified_ns"],
        size=entry["size"],
        read_ns=entry["read_ns"],
        chunks=chunks,
        weights=weights,
        problem=entry["problem"],
    )
