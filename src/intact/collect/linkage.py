"""Which libraries an ELF file will load: read from its dynamic section, nothing is run."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# The dynamic section of a large program has some hundred entries; names are short. Anything larger is not a program's.
MAX_HEADERS = 512
MAX_DYNAMIC_BYTES = 64 * 1024
MAX_NAME_BYTES = 4096
MAX_CONF_FILES = 64

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29
_STANDARD = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkage:
    """What the dynamic section of one file asks for."""

    needed: tuple[str, ...]
    search: tuple[str, ...]  # RPATH and RUNPATH, $ORIGIN replaced


def read_linkage(path: Path) -> Linkage | None:
    """The linkage of a 64-bit little-endian ELF file; None if it is none, or is broken."""
    try:
        with path.open("rb") as file:
            header = file.read(64)
            if header[:6] != b"\x7fELF\x02\x01" or len(header) < 64:
                return None
            table, entry_bytes, count = _program_headers(header)
            file.seek(table)
            raw = file.read(entry_bytes * min(count, MAX_HEADERS))
            loads, dynamic = _segments(raw, entry_bytes)
            if dynamic is None:
                return Linkage(needed=(), search=())
            file.seek(dynamic[0])
            tags = list(struct.iter_unpack("<qQ", _whole(file.read(min(dynamic[1], MAX_DYNAMIC_BYTES)), 16)))
            strings = _file_offset(loads, next((value for tag, value in tags if tag == _DT_STRTAB), 0))

            def text(at: int) -> str:
                file.seek(strings + at)
                return file.read(MAX_NAME_BYTES).split(b"\0", 1)[0].decode("utf-8", "surrogateescape")

            needed = tuple(text(value) for tag, value in tags if tag == _DT_NEEDED)
            search = [text(value) for tag, value in tags if tag in (_DT_RPATH, _DT_RUNPATH)]
    except (OSError, struct.error, OverflowError, ValueError):
        return None  # not a file we can read: it will be judged by what it maps when it runs
    origin = str(path.parent)
    folders = (folder for line in search for folder in line.split(":") if folder)
    return Linkage(
        needed=needed,
        search=tuple(folder.replace("$ORIGIN", origin).replace("${ORIGIN}", origin) for folder in folders),
    )


def libraries(path: Path, wanted: str, *, depth: int = 3) -> Iterator[Path]:
    """Libraries whose name begins with `wanted` that `path` loads, itself or through those it loads."""
    seen: set[Path] = set()
    level = [path]
    for _ in range(depth):
        following: list[Path] = []
        for file in level:
            linkage = read_linkage(file)
            for name in linkage.needed if linkage else ():
                found = _find(name, linkage.search if linkage else ())
                if found is None or found in seen:
                    continue
                seen.add(found)
                following.append(found)
                if name.startswith(wanted):
                    yield found
        level = following


def _find(name: str, search: tuple[str, ...]) -> Path | None:
    if "/" in name:
        return Path(name) if Path(name).exists() else None
    for folder in (*search, *system_folders()):
        candidate = Path(folder) / name
        if candidate.exists():
            return candidate.resolve()
    return None


@cache
def system_folders() -> tuple[str, ...]:
    """Where the dynamic linker of this machine looks."""
    folders = list(_STANDARD)
    for conf in sorted(Path("/etc/ld.so.conf.d").glob("*.conf"))[:MAX_CONF_FILES]:
        try:
            lines = conf.read_text(errors="replace").splitlines()
        except OSError:
            continue  # not readable: its folders are found when a process maps from them
        folders += [line.strip() for line in lines if line.strip().startswith("/")]
    return tuple(dict.fromkeys(folders))


def _program_headers(header: bytes) -> tuple[int, int, int]:
    (table,) = struct.unpack_from("<Q", header, 32)
    entry_bytes, count = struct.unpack_from("<HH", header, 54)
    return table, entry_bytes, count


def _segments(raw: bytes, entry_bytes: int) -> tuple[list[tuple[int, int, int]], tuple[int, int] | None]:
    """(address, file offset, file bytes) of what is loaded; (file offset, file bytes) of the dynamic section."""
    loads: list[tuple[int, int, int]] = []
    dynamic: tuple[int, int] | None = None
    for at in range(0, len(raw) - 55, max(entry_bytes, 56)):
        kind, _flags, offset, address, _physical, size = struct.unpack_from("<IIQQQQ", raw, at)
        if kind == _PT_LOAD:
            loads.append((address, offset, size))
        elif kind == _PT_DYNAMIC:
            dynamic = (offset, size)
    return loads, dynamic


def _file_offset(loads: list[tuple[int, int, int]], address: int) -> int:
    for start, offset, size in loads:
        if start <= address < start + size:
            return address - start + offset
    raise ValueError("address not in the file")


def _whole(raw: bytes, size: int) -> bytes:
    return raw[: len(raw) - len(raw) % size]
