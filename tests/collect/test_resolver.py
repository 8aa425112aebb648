"""The resolver against symbol tables, a BoringSSL of our own making, damaged files, and the agents that are installed."""

import ctypes
import itertools
import json
import re
import resource
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intact.collect.resolver import Resolution, TlsMethod, TlsRole, resolve
from tests.agents.install import cache_dir

ROOT = Path(__file__).parents[2]
FIXTURES = Path(__file__).parent / "fixtures"
SOURCES = [
    ROOT / "bpf" / "loader" / f"{name}.c" for name in ("elf_file", "symbols", "insn", "xref", "boringssl", "resolve")
]
LIBSSL = Path("/usr/lib/x86_64-linux-gnu/libssl.so.3")
NODE = Path(shutil.which("node") or "/usr/bin/node").resolve()

# What the scan may cost, well over what it does cost: 0.1 to 0.9 s of CPU, 3 MB.
NAMES = {
    "SSL_read": TlsRole.SSL_READ,
    "SSL_write": TlsRole.SSL_WRITE,
    "SSL_read_ex": TlsRole.SSL_READ_EX,
    "SSL_write_ex": TlsRole.SSL_WRITE_EX,
    "SSL_free": TlsRole.SSL_FREE,
    "SSL_new": TlsRole.SSL_NEW,
    "SSL_set_fd": TlsRole.SSL_SET_FD,
    "SSL_set_rfd": TlsRole.SSL_SET_RFD,
    "SSL_set_wfd": TlsRole.SSL_SET_WFD,
}
Resolve = Callable[..., Resolution]


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
    assert not done.returncode, f"{command[0]}: {done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The resolver alone, compiled as the loader is."""
    path = tmp_path_factory.mktemp("resolver") / "libresolver.so"
    run("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", *SOURCES, "-o", path)
    return path


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("resolver") / "resolve_files"
    flags = ["-std=gnu11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    run("gcc", *flags, "-I", ROOT / "bpf" / "loader", *SOURCES, FIXTURES / "resolve_files.c", "-o", path)
    return path


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiles the stand-in for BoringSSL."""
    directory = tmp_path_factory.mktemp("boringssl")
    numbers = itertools.count()

    def compile_it(compiler: str, *flags: str) -> Path:
        path = directory / f"{next(numbers)}"
        run(compiler, "-O2", "-g0", *flags, FIXTURES / "boringssl_like.c", "-o", path)
        return path

    return compile_it


def file_offset(path: Path, address: int) -> int:
    """By readelf's program headers, so that nothing here leans on the code under test."""
    for line in run("readelf", "-lW", path).splitlines():
        if line.split()[:1] == ["LOAD"]:
            offset, start, _, size = (int(field, 16) for field in line.split()[1:5])
            if start <= address < start + size:
                return offset + address - start
    raise AssertionError(f"{address:#x} is in no segment of {path}")


def named_functions(path: Path, table: str) -> dict[str, int]:
    """Name to file offset, by readelf."""
    found = {}
    for line in run("readelf", "-W", table, path).splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[3] == "FUNC" and fields[6] != "UND":
            name = fields[7].split("@")[0]
            if name in NAMES:
                found[name] = file_offset(path, int(fields[1], 16))
    return found


def offsets(found: Resolution) -> dict[TlsRole, int]:
    assert len({function.role for function in found.functions}) == len(found.functions)
    return {function.role: function.file_offset for function in found.functions}


@pytest.mark.parametrize("path", [LIBSSL, NODE], ids=lambda path: path.name)
def test_symbols_are_where_readelf_says(path: Path, library: Path) -> None:
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    expected = named_functions(path, "--dyn-syms")
    if "SSL_read" not in expected:
        pytest.skip(f"{path} exports no SSL_read")
    found = resolve(str(path), deep=False, library=library)
    assert offsets(found) == {NAMES[name]: offset for name, offset in expected.items()}
    assert {function.method for function in found.functions} == {TlsMethod.SYMBOL}
    assert found.reason == ""
    build_id = re.search(r"Build ID: ([0-9a-f]+)", run("readelf", "-n", path))
    assert build_id is None or found.build_id == build_id[1]


def test_symbols_are_found_without_section_headers(library: Path, tmp_path: Path) -> None:
    data = bytearray(LIBSSL.read_bytes())
    struct.pack_into("<Q", data, 0x28, 0)  # e_shoff
    struct.pack_into("<HHH", data, 0x3A, 0, 0, 0)  # e_shentsize, e_shnum, e_shstrndx
    bare = tmp_path / "bare.so"
    bare.write_bytes(data)
    whole = resolve(str(LIBSSL), deep=False, library=library)
    assert len(whole.functions) == len(NAMES)
    assert resolve(str(bare), deep=False, library=library) == whole


def test_symbols_of_a_static_program_are_found(library: Path, build: Callable[..., Path]) -> None:
    path = build("gcc", "-no-pie")
    expected = named_functions(path, "--symbols")
    assert set(expected) == {"SSL_read", "SSL_write", "SSL_new"}
    assert offsets(resolve(str(path), deep=False, library=library)) == {NAMES[n]: o for n, o in expected.items()}


@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
@pytest.mark.parametrize("form", ["-DFIVE_ARGUMENTS", "-DFOUR_ARGUMENTS"])
@pytest.mark.parametrize("peek", ["-DPEEK_INLINED", "-DPEEK_APART"])
@pytest.mark.parametrize("position", [("-no-pie", "-fno-pie"), ("-pie", "-fPIE")], ids=["fixed", "pie"])
def test_a_stripped_boringssl_is_found(
    compiler: str, form: str, peek: str, position: tuple[str, str], library: Path, build: Callable[..., Path]
) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    path = build(compiler, form, peek, *position)
    expected = named_functions(path, "--symbols")
    run("strip", path)
    found = resolve(str(path), deep=True, library=library)
    assert found.reason == ""
    assert offsets(found) == {NAMES[name]: offset for name, offset in expected.items()}
    assert {function.method for function in found.functions} == {TlsMethod.BORINGSSL}
    assert not resolve(str(path), deep=False, library=library).functions


@pytest.mark.parametrize(("flag", "count"), [("-DTWO_WRITES", 2), ("-DNO_WRITE", 0)])
def test_anything_but_one_candidate_is_refused(
    flag: str, count: int, library: Path, build: Callable[..., Path]
) -> None:
    path = build("gcc", "-no-pie", "-fno-pie", flag)
    run("strip", path)
    found = resolve(str(path), deep=True, library=library)
    assert found.functions == ()
    assert found.reason == f"BoringSSL: {count} candidates for SSL_write"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/bin/true", "no TLS symbols and no ssl/ssl_lib.cc"),
        ("/etc/passwd", "not an x86-64 ELF program"),
        ("/dev/null", "not an x86-64 ELF program"),
        ("/", "not an x86-64 ELF program"),
        ("/nowhere", "No such file or directory"),
    ],
)
def test_a_file_without_tls_says_so(path: str, reason: str, library: Path) -> None:
    found = resolve(path, deep=True, library=library)
    assert (found.functions, found.reason) == ((), reason)


def test_without_a_build_id_the_content_is_the_name(library: Path, build: Callable[..., Path]) -> None:
    path = build("gcc", "-Wl,--build-id=none")
    first = resolve(str(path), deep=False, library=library).build_id
    assert re.fullmatch(r"hash:[0-9a-f]{16}", first)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert resolve(str(path), deep=False, library=library).build_id not in {"", first}


class Insn(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_uint8),
        ("kind", ctypes.c_uint8),
        ("reg", ctypes.c_uint8),
        ("base", ctypes.c_uint8),
        ("displacement", ctypes.c_int32),
        ("constant", ctypes.c_int64),
        ("target", ctypes.c_uint64),
    )


@pytest.fixture(scope="module")
def decode(library: Path) -> Callable[[bytes, int], Insn | None]:
    native = ctypes.CDLL(str(library)).intact_insn_decode
    native.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64, ctypes.POINTER(Insn))
    native.restype = ctypes.c_bool

    def decode_one(code: bytes, address: int = 0) -> Insn | None:
        insn = Insn()
        return insn if native(code, len(code), address, ctypes.byref(insn)) else None

    return decode_one


@pytest.mark.parametrize("name", ["libssl.so.3", "libm.so.6", "libc.so.6"])
def test_lengths_and_targets_are_those_of_objdump(name: str, decode: Callable[[bytes, int], Insn | None]) -> None:
    path = LIBSSL.with_name(name)
    headers = re.search(r"\.text +PROGBITS +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)", run("readelf", "-SW", path))
    assert headers
    start, offset, size = (int(field, 16) for field in headers.groups())
    size = min(size, 1_500_000)
    text = path.read_bytes()[offset : offset + size]
    listing = run("objdump", "-dz", "--no-show-raw-insn", f"--stop-address={start + size}", "-j", ".text", path)
    lines = re.findall(r"^ +([0-9a-f]+):\t(\S+)(?: +([0-9a-f]+) <)?", listing, re.M)
    compared = 0
    for (here, name_, target), (following, _, _) in itertools.pairwise(lines):
        address, length = int(here, 16), int(following, 16) - int(here, 16)
        # objdump takes a leading wait for a part of what follows; the processor does not.
        if name_ == "(bad)" or not 0 < length <= 15 or text[address - start] == 0x9B:
            continue
        insn = decode(text[address - start : address - start + 15], address)
        assert insn is not None, f"{here}: {name_}"
        assert insn.length == length, f"{here}: {name_}"
        if target and name_.startswith(("call", "j")):
            assert insn.target == int(target, 16), f"{here}: {name_}"
        compared += 1
    assert compared > 30_000


@given(st.binary(min_size=1, max_size=20))
def test_a_cut_instruction_is_never_read_past_its_end(decode: Callable[[bytes, int], Insn | None], code: bytes) -> None:
    whole = decode(code, 0)
    for cut in range(len(code)):
        part = decode(code[:cut], 0)
        if whole is not None and cut >= whole.length:
            assert part is not None
            assert part.length == whole.length
        else:
            assert part is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_survived(
    sanitized: Path, build: Callable[..., Path], tmp_path: Path, data: st.DataObject
) -> None:
    """Truncations, and bytes changed where they hurt: headers, tables, code. The sanitizers see what a crash would not."""
    whole = tmp_path / "whole"
    if not whole.exists():
        whole = build("gcc", "-no-pie", "-fno-pie").rename(whole)
    original = whole.read_bytes()
    damaged = []
    for number in range(6):
        content = bytearray(original)
        for _ in range(data.draw(st.integers(0, 12))):
            place = data.draw(st.one_of(st.integers(0, 0x400), st.integers(0, len(content) - 1)))
            value = data.draw(st.sampled_from([b"\0", b"\xff", b"\xff" * 4, b"\xff" * 8, b"\x7f\xff", b"\xe8"]))
            content[place : place + len(value)] = value
        length = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
        path = tmp_path / f"damaged-{number}"
        path.write_bytes(content[:length])
        damaged.append(path)
    assert run(sanitized, *damaged).count("\n") == 4 * len(damaged)


def test_the_cache_answers_for_the_same_file_only(library: Path, build: Callable[..., Path], tmp_path: Path) -> None:
    path = build("gcc", "-no-pie", "-fno-pie")
    run("strip", path)
    cache = tmp_path / "cache"

    def ask() -> Resolution:
        return resolve(str(path), deep=True, cache_directory=cache, library=library)

    found = ask()
    (entry,) = cache.iterdir()
    assert entry.name == f"{found.build_id}-{path.stat().st_size}.json"
    kept = entry.read_text()
    entry.write_text(kept.replace('"reason": ""', '"reason": "from the cache"'))
    assert ask().reason == "from the cache"
    assert ask().functions == found.functions

    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    copy.replace(path)  # the same bytes, build-id and size in another inode
    assert ask() == found
    assert json.loads(entry.read_text())["file"]["inode"] == path.stat().st_ino


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"{}",
        b"[" * 60_000,
        b'{"resolver": 1, "file": {}, "functions": [], "reason": ""}',
        None,
    ],
)
def test_a_broken_cache_entry_is_rewritten(
    content: bytes | None, library: Path, build: Callable[..., Path], tmp_path: Path
) -> None:
    path = build("gcc", "-no-pie", "-fno-pie")
    run("strip", path)
    found = resolve(str(path), deep=True, cache_directory=tmp_path, library=library)
    (entry,) = tmp_path.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole.replace(b'"role": 1', b'"role": 99') if content is None else content)
    assert resolve(str(path), deep=True, cache_directory=tmp_path, library=library) == found
    assert entry.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [entry]


def test_a_file_without_tls_is_remembered(library: Path, tmp_path: Path) -> None:
    first = resolve("/bin/true", deep=True, cache_directory=tmp_path, library=library)
    assert len(list(tmp_path.iterdir())) == 1
    assert resolve("/bin/true", deep=True, cache_directory=tmp_path, library=library) == first


def test_a_cache_that_cannot_be_written_costs_nothing_else(library: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    found = resolve(str(LIBSSL), deep=True, cache_directory=blocked / "cache", library=library)
    assert found == resolve(str(LIBSSL), deep=False, library=library)


# File offsets found by an independent implementation and verified live.
AGENTS = [
    ("claude-native/node_modules/@anthropic-ai/claude-code-linux-x64/claude", "2.1.328", 0x311D810, 0x311D660),
    ("opencode/node_modules/opencode-linux-x64/bin/opencode", "1.18.33", 0x367F3F0, 0x367F780),
]


@pytest.mark.agents
@pytest.mark.parametrize(("program", "version", "read", "write"), AGENTS, ids=["claude", "opencode"])
def test_the_functions_of_a_real_agent(program: str, version: str, read: int, write: int, library: Path) -> None:
    path = cache_dir() / program
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    package = next(parent / "package.json" for parent in path.parents if (parent / "package.json").exists())
    if json.loads(package.read_text())["version"] != version:
        pytest.skip(f"{path} is not version {version}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = resolve(str(path), deep=True, library=library)
    places = offsets(found)
    assert (places.pop(TlsRole.SSL_READ), places.pop(TlsRole.SSL_WRITE)) == (read, write)
    assert set(places) <= {TlsRole.SSL_NEW}, "inlined into its only caller by some builds"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 16 * 1024
