"""Where the TLS plaintext functions of a file are: the native resolver, and a cache of what it found."""

import ctypes
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).parent / "native" / "libintact_loader.so"

# As in bpf/loader/resolve.h and elf_file.h.
BUILD_ID_TEXT = 65
RESOLVE_DEEP = 1
RESOLVE_NO_SYMBOLS = 2

# A file has nine names at most; a linker may give one name to a few places.
MAX_FUNCTIONS = 64
MAX_REASON_BYTES = 200
# A cache entry is some hundred bytes; anything longer was not written here.
MAX_ENTRY_BYTES = 64 * 1024

_BUILD_ID = re.compile(r"(hash:)?[0-9a-f]{2,64}")


class TlsRole(IntEnum):
    """What a function does, as `enum intact_tls_role` numbers it."""

    SSL_READ = 1
    SSL_WRITE = 2
    SSL_READ_EX = 3
    SSL_WRITE_EX = 4
    SSL_FREE = 5
    SSL_SET_FD = 6
    SSL_NEW = 7
    SSL_SET_RFD = 8
    SSL_SET_WFD = 9


class TlsMethod(IntEnum):
    """How a function was found, as `enum intact_tls_method` numbers it."""

    SYMBOL = 1
    BORINGSSL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFunction:
    """One place to attach a uprobe to."""

    role: TlsRole
    file_offset: int
    method: TlsMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What one file gave; without functions, `reason` says why in one line."""

    build_id: str
    functions: tuple[TlsFunction, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity:
    """One file. A build-id and a size are only what a file says of itself, and a probe put by another file's offsets
    could break a program or leave it unseen: so the inode and its last change must agree too."""

    build_id: str
    size: int
    device: int
    inode: int
    changed_ns: int


class _Function(ctypes.Structure):
    _fields_ = (("file_offset", ctypes.c_uint64), ("role", ctypes.c_uint32), ("method", ctypes.c_uint32))


@cache
def _load(library: Path) -> ctypes.CDLL:
    native = ctypes.CDLL(str(library))
    text = ctypes.c_char_p
    native.intact_resolve.argtypes = (
        text,
        ctypes.c_uint32,
        ctypes.POINTER(_Function),
        ctypes.c_uint,
        text,
        text,
        ctypes.c_uint,
    )
    native.intact_identify.argtypes = (text, text, ctypes.POINTER(ctypes.c_uint64))
    native.intact_resolver_version.restype = ctypes.c_uint
    return native


def resolve(
    path: str, *, deep: bool, cache_directory: Path | None = None, library: Path = LIBRARY, symbols: bool = True
) -> Resolution:
    """The TLS functions of the file at `path`.

    Args:
        path: the file; `/proc/PID/root/...` and `/proc/PID/exe` do.
        deep: also scan the code for a BoringSSL without symbols, which reads the whole file.
        cache_directory: where what a deep look found is kept, by build-id and size, for the very same file.
        library: the loader's shared library.
        symbols: False leaves the symbol tables out, to check the scan against them.
    """
    native = _load(library)
    if not deep or cache_directory is None or not symbols:
        return _ask(native, path, deep=deep, symbols=symbols)
    before = _identify(native, path)
    if before is None:
        return _ask(native, path, deep=True, symbols=True)
    entry = cache_directory / f"{before.build_id.replace(':', '-')}-{before.size}.json"
    version = int(native.intact_resolver_version())
    cached = _read_entry(entry, before, version)
    if cached is not None:
        return cached
    found = _ask(native, path, deep=True, symbols=True)
    # The file may have been replaced in between: what is stored must be about one file.
    if _identify(native, path) == before:
        _write_entry(entry, before, version, found)
    return found


def _ask(native: ctypes.CDLL, path: str, *, deep: bool, symbols: bool) -> Resolution:
    functions = (_Function * MAX_FUNCTIONS)()
    build_id = ctypes.create_string_buffer(BUILD_ID_TEXT)
    why = ctypes.create_string_buffer(MAX_REASON_BYTES)
    flags = RESOLVE_DEEP * deep | RESOLVE_NO_SYMBOLS * (not symbols)
    count = native.intact_resolve(os.fsencode(path), flags, functions, MAX_FUNCTIONS, build_id, why, MAX_REASON_BYTES)
    found = (
        TlsFunction(role=TlsRole(item.role), file_offset=item.file_offset, method=TlsMethod(item.method))
        for item in functions[: max(count, 0)]
    )
    return Resolution(
        build_id=build_id.value.decode(),
        functions=tuple(sorted(found, key=lambda f: (f.role, f.file_offset))),
        reason=why.value.decode(errors="replace"),
    )


def _identify(native: ctypes.CDLL, path: str) -> _Identity | None:
    build_id = ctypes.create_string_buffer(BUILD_ID_TEXT)
    size = ctypes.c_uint64()
    error = native.intact_identify(os.fsencode(path), build_id, ctypes.byref(size))
    name = "" if error else build_id.value.decode()
    if not _BUILD_ID.fullmatch(name):
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None  # gone since: nothing to key on
    return _Identity(
        build_id=name, size=size.value, device=status.st_dev, inode=status.st_ino, changed_ns=status.st_ctime_ns
    )


def _read_entry(entry: Path, identity: _Identity, version: int) -> Resolution | None:
    """What the cache says of this file, or None when it says nothing that can be relied on."""
    try:
        with entry.open("rb") as file:
            stored = json.loads(file.read(MAX_ENTRY_BYTES))
        if (stored["resolver"], stored["file"]) != (version, asdict(identity)):
            return None
        functions = tuple(
            TlsFunction(
                role=TlsRole(item["role"]), file_offset=int(item["file_offset"]), method=TlsMethod(item["method"])
            )
            for item in stored["functions"]
        )
        if any(not 0 <= function.file_offset < identity.size for function in functions):
            return None
        return Resolution(build_id=identity.build_id, functions=functions, reason=str(stored["reason"]))
    except (OSError, RecursionError, ValueError, KeyError, TypeError):
        return None  # absent, cut short, or not ours: it is rewritten


def _write_entry(entry: Path, identity: _Identity, version: int, found: Resolution) -> None:
    """Keep what was found; a cache that cannot be written costs time only."""
    stored = {
        "resolver": version,
        "file": asdict(identity),
        "functions": [
            {"role": f.role.value, "file_offset": f.file_offset, "method": f.method.value} for f in found.functions
        ],
        "reason": found.reason,
    }
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=entry.parent, prefix=entry.name)
    except OSError:
        return
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(stored, file)
        os.replace(name, entry)
    except OSError:
        Path(name).unlink(missing_ok=True)
