"""The files of the folders an operator names: which there are, and their text; never what lies outside a folder."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

READ_AS = {
    ".md": "markdown", ".markdown": "markdown", ".rst": "markdown", ".txt": "markdown", ".text": "markdown",
    ".html": "html", ".htm": "html", ".xhtml": "html",
}  # fmt: skip
MAX_FILES = 5_000
MAX_FILE_BYTES = 4 << 20
MAX_DEPTH = 12
MAX_ENTRIES = 50_000  # looked at in all: a folder may hold anything

_CONTROLS = {code: " " for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A)}
# what turns the direction of writing, and what cannot be seen
_HIDDEN = dict.fromkeys((*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder that is read; `only` names its files where not all of it is meant."""

    name: str
    path: Path
    only: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file that may be read."""

    name: str  # `folder/path/in/it`
    path: Path
    root: Path
    modified_ns: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """What was not read, and why in a word of ours."""

    name: str
    why: str


def find_files(folders: tuple[Folder, ...]) -> tuple[list[FoundFile], list[Skipped]]:
    """The files of the folders by name, and what was left out."""
    found: list[FoundFile] = []
    skipped: list[Skipped] = []
    for folder in folders:
        if not folder.path.is_dir():
            skipped.append(Skipped(name=folder.name, why="no such folder"))
            continue
        root = folder.path.resolve()
        for number, path in enumerate(_paths(folder, root)):
            name = f"{folder.name}/{path.relative_to(root)}".encode("utf-8", "replace").decode()
            if number >= MAX_ENTRIES or len(found) >= MAX_FILES:
                skipped.append(Skipped(name=name, why="too many files"))
                break
            one = _look(name, path, root)
            if isinstance(one, FoundFile):
                found.append(one)
            elif one is not None:
                skipped.append(one)
    return sorted(found, key=lambda file: file.name), sorted(skipped, key=lambda file: file.name)


def _paths(folder: Folder, root: Path) -> Iterator[Path]:
    if folder.only is not None:
        for pattern in folder.only:
            yield from sorted(root.glob(pattern))
        return
    for where, directories, files in os.walk(root):
        depth = len(Path(where).relative_to(root).parts)
        directories[:] = sorted(d for d in directories if not d.startswith(".")) if depth < MAX_DEPTH else []
        yield from (Path(where, name) for name in sorted(files))


def _look(name: str, path: Path, root: Path) -> FoundFile | Skipped | None:
    if path.suffix.lower() not in READ_AS or path.name.startswith("."):
        return None
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root):
            return Skipped(name=name, why="a link out of the folder")
        status = real.stat()
    except (OSError, RuntimeError):
        return Skipped(name=name, why="cannot be read")
    if not stat.S_ISREG(status.st_mode):
        return Skipped(name=name, why="no file")
    if status.st_size > MAX_FILE_BYTES:
        return Skipped(name=name, why="larger than 4 MiB")
    return FoundFile(name=name, path=real, root=root, modified_ns=status.st_mtime_ns, size=status.st_size)


def read_text(file: FoundFile) -> str | Skipped:
    """The text of a file, without control characters and what hides text."""
    try:
        # a file may have become a link or a pipe since it was looked at
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as source:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Skipped(name=file.name, why="no file")
            data = source.read(MAX_FILE_BYTES + 1)
    except OSError:
        return Skipped(name=file.name, why="cannot be read")
    if len(data) > MAX_FILE_BYTES:
        return Skipped(name=file.name, why="larger than 4 MiB")
    text = _decode(data)
    if text is None:
        return Skipped(name=file.name, why="no text")
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS | _HIDDEN)


def _decode(data: bytes) -> str | None:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        text = ""
    foreign = [c for c in text if c > "\x7f"]
    chinese = sum("\u4e00" <= c <= "\u9fff" or "\u3000" <= c <= "\u303f" or "\uff00" <= c <= "\uffef" for c in foreign)
    # other encodings of one byte also decode as GB 18030, into anything but Chinese
    return text if foreign and chinese * 10 >= len(foreign) * 9 else data.decode("utf-8", "replace")
