"""Each file call of a known workload: how many, with which result, and under which path."""

import errno
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from intact.decode.wire import Counter as Counters
from intact.decode.wire import FileOp, Flag, IoOp, Type
from tests.kernel.recording import record

pytestmark = pytest.mark.kernel

# One of each call, as `ctypes` sees them: the wrappers of libc reach only some of the numbers.
CALLS = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
syscall = libc.syscall
def call(number, *args):
    args = [a.encode() if isinstance(a, str) else ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return syscall(ctypes.c_long(number), *args)
os.chdir(sys.argv[1] if len(sys.argv) > 1 else ".")
AT = -100
"""


def _workload(directory: Path, source: str) -> str:
    return f"{CALLS}\nos.chdir({str(directory)!r})\nd = os.open('.', os.O_RDONLY)\n{source}"


# (source, op, path, old path or None, result): what each system call must look like.
EACH = [
    ("call(2, 'a', os.O_CREAT | os.O_RDWR, 0o600)", FileOp.CREATE, "a", None, 0),
    ("call(2, 'old', os.O_CREAT | os.O_RDWR, 0o600)", FileOp.OPEN, "old", None, 0),
    ("call(2, 'old', os.O_CREAT | os.O_EXCL, 0o600)", FileOp.OPEN, "old", None, -errno.EEXIST),
    ("call(85, 'a', 0o600)", FileOp.CREATE, "a", None, 0),
    ("call(85, 'old', 0o600)", FileOp.OPEN, "old", None, 0),
    ("call(257, d, 'old', 0)", FileOp.OPEN, "old", None, 0),
    ("call(257, AT, 'none', 0)", FileOp.OPEN, "none", None, -errno.ENOENT),
    ("call(257, d, 'sub', 0)", FileOp.OPEN, "sub", None, 0),
    (
        "call(437, d, 'a', (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_RDWR, 0o600, 0), 24)",
        FileOp.CREATE,
        "a",
        None,
        0,
    ),
    ("call(437, d, 'old', (ctypes.c_uint64 * 3)(), 24)", FileOp.OPEN, "old", None, 0),
    ("call(76, 'old', 5)", FileOp.TRUNCATE, "old", None, 0),
    ("call(77, os.open('old', os.O_RDWR), 5)", FileOp.TRUNCATE, "old", None, 0),
    ("call(82, 'old', 'new')", FileOp.RENAME, "new", "old", 0),
    ("call(264, d, 'old', AT, 'new')", FileOp.RENAME, "new", "old", 0),
    ("call(82, 'old', f'/proc/self/fd/{d}/new')", FileOp.RENAME, "new", "old", 0),
    ("call(87, f'/proc/self/fd/{d}/old')", FileOp.UNLINK, "old", None, 0),
    ("call(316, AT, 'old', d, 'other', 1)", FileOp.RENAME, "other", "old", -errno.EEXIST),
    ("call(316, AT, 'old', d, 'other', 2)", FileOp.RENAME, "other", "old", 0),
    ("call(83, 'made', 0o755)", FileOp.MKDIR, "made", None, 0),
    ("call(258, d, 'made', 0o755)", FileOp.MKDIR, "made", None, 0),
    ("call(83, 'sub', 0o755)", FileOp.MKDIR, "sub", None, -errno.EEXIST),
    ("call(84, 'sub')", FileOp.RMDIR, "sub", None, 0),
    ("call(263, d, 'sub', 0x200)", FileOp.RMDIR, "sub", None, 0),
    ("call(86, 'old', 'link')", FileOp.LINK, "link", "old", 0),
    ("call(265, d, 'old', AT, 'link', 0)", FileOp.LINK, "link", "old", 0),
    ("call(87, 'old')", FileOp.UNLINK, "old", None, 0),
    ("call(263, d, 'old', 0)", FileOp.UNLINK, "old", None, 0),
    ("call(263, d, 'none', 0)", FileOp.UNLINK, "none", None, -errno.ENOENT),
    ("call(88, '../t', 's')", FileOp.SYMLINK, "s", "=../t", 0),
    ("call(266, '../t', d, 's')", FileOp.SYMLINK, "s", "=../t", 0),
    ("call(90, 'old', 0o640)", FileOp.CHMOD, "old", None, 0),
    ("call(91, os.open('old', 0), 0o640)", FileOp.CHMOD, "old", None, 0),
    ("call(268, d, 'old', 0o640)", FileOp.CHMOD, "old", None, 0),
    ("call(452, d, 'old', 0o640, 0)", FileOp.CHMOD, "old", None, 0),
    ("call(92, 'old', 1, 2)", FileOp.CHOWN, "old", None, 0),
    ("call(93, os.open('old', 0), 1, 2)", FileOp.CHOWN, "old", None, 0),
    ("call(94, 'old', 1, 2)", FileOp.CHOWN, "old", None, 0),
    ("call(260, d, 'old', 1, 2, 0)", FileOp.CHOWN, "old", None, 0),
    ("call(260, d, 'old', -1, -1, 0x100)", FileOp.CHOWN, "old", None, 0),
    ("call(260, os.open('old', 0), '', 1, 2, 0x1000)", FileOp.CHOWN, "old", None, 0),
]


def _prepare(base: Path, number: int) -> Path:
    directory = base / f"case{number}"
    (directory / "sub").mkdir(parents=True)
    (directory / "old").write_text("content")
    (directory / "other").write_text("content")
    return directory


def test_each_call_is_told_with_its_path_and_result(tmp_path: Path) -> None:
    directories = [_prepare(tmp_path, i) for i in range(len(EACH))]
    source = CALLS
    for directory, (call, *_rest) in zip(directories, EACH, strict=True):
        source += f"os.chdir({str(directory)!r}); d = os.open('.', os.O_RDONLY | os.O_DIRECTORY); {call}\n"
    recording = record(source)
    recording.check_counts()
    assert recording.output == ""
    for directory, (call, op, path, old, result) in zip(directories, EACH, strict=True):
        told = [r for r in recording.under(directory, Type.FILE, op=op) if r.path != bytes(directory)]
        wanted = os.fsencode(directory / path)
        matching = [r for r in told if r.path == wanted and r.result == result]
        assert matching, (call, [(r.path, r.result) for r in told])
        last = matching[-1]
        if old is not None:
            assert last.old_path == (old[1:].encode() if old[0] == "=" else os.fsencode(directory / old)), call
        assert not last.header.flags & Flag.PATH_FAULT
        assert 0 < last.enter_ns <= last.header.ktime_ns
        if op == FileOp.CHMOD:
            assert last.mode == 0o640
        if op == FileOp.CHOWN:
            assert (last.new_uid, last.new_gid) in {(1, 2), (2**32 - 1, 2**32 - 1)}
        if op in (FileOp.OPEN, FileOp.CREATE) and result == 0:
            assert last.fd > 2
            assert last.inode


def test_counts_are_exact(tmp_path: Path) -> None:
    recording = record(
        _workload(
            tmp_path,
            """
for i in range(1009):
    os.close(os.open(f"f{i}", os.O_CREAT | os.O_WRONLY))
for i in range(997):
    os.rename(f"f{i}", f"g{i}")
for i in range(991):
    os.unlink(f"g{i}")
for i in range(499):
    try: os.unlink(f"g{i}")
    except FileNotFoundError: pass
""",
        )
    )
    recording.check_counts()
    told = Counter((r.op, r.result) for r in recording.under(tmp_path, Type.FILE) if r.path != bytes(tmp_path))
    assert told == {
        (FileOp.CREATE, 0): 1009,
        (FileOp.RENAME, 0): 997,
        (FileOp.UNLINK, 0): 991,
        (FileOp.UNLINK, -errno.ENOENT): 499,
    }
    names = {r.path for r in recording.under(tmp_path, Type.FILE, op=FileOp.CREATE)}
    assert names == {os.fsencode(tmp_path / f"f{i}") for i in range(1009)}


def test_an_open_file_has_its_own_name_through_links_and_mounts(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "deep" / "file").write_text("x")
    (tmp_path / "way").symlink_to("real")
    (tmp_path / "direct").symlink_to("real/deep/file")
    bound = tmp_path / "bound"
    bound.mkdir()
    subprocess.run(["mount", "--bind", str(tmp_path / "real"), str(bound)], check=True)
    try:
        recording = record(
            _workload(
                tmp_path,
                """
for p in ("way/deep/file", "direct", "real/../way/./deep//file", "bound/deep/file"):
    os.close(os.open(p, 0))
os.chdir("bound/deep"); os.close(os.open("../deep/file", 0))
os.unlink("file")
""",
            )
        )
    finally:
        subprocess.run(["umount", str(bound)], check=True)
    real, through = (os.fsencode(tmp_path / name / "deep" / "file") for name in ("real", "bound"))
    opened = [r.path for r in recording.under(tmp_path, Type.FILE, op=FileOp.OPEN) if r.path.endswith(b"file")]
    assert opened == [real, real, real, through, through]
    removed = recording.under(tmp_path, Type.FILE, op=FileOp.UNLINK)
    assert [(r.path, r.header.flags & Flag.PATH_UNRESOLVED) for r in removed] == [(through, 0)]


def test_a_text_that_may_not_be_the_name_is_marked(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    recording = record(
        _workload(
            tmp_path, f"os.mkdir('sub/../a'); os.mkdir('b'); os.mkdir({str(tmp_path / 'c')!r}); os.chmod('b', 0o700)"
        )
    )
    told = {r.path: bool(r.header.flags & Flag.PATH_UNRESOLVED) for r in recording.under(tmp_path, Type.FILE, op=7)}
    assert told == {
        os.fsencode(tmp_path) + b"/sub/../a": True,
        os.fsencode(tmp_path / "b"): False,
        os.fsencode(tmp_path / "c"): True,
    }
    chmod = recording.under(tmp_path, Type.FILE, op=FileOp.CHMOD)
    assert [bool(r.header.flags & Flag.PATH_UNRESOLVED) for r in chmod] == [True]


# Texts that lead through a link of procfs, which the kernel follows by the process: {d} is a descriptor of the directory,
# {p} the number of the process.
MAGIC = [
    "/proc/self/fd/{d}",
    "/proc/thread-self/fd/{d}",
    "/proc/{p}/fd/{d}",
    "/dev/fd/{d}",
    "/proc/self/cwd",
    "/proc/{p}/cwd",
]


def test_a_text_through_a_magic_link_names_what_is_behind_it(tmp_path: Path) -> None:
    recording = record(
        _workload(
            tmp_path,
            f"""
p = os.getpid()
for link in {MAGIC!r}:
    at = link.format(d=d, p=p)
    for i in range(13): os.close(os.open(f"{{at}}/f{{i}}.tmp", os.O_CREAT | os.O_WRONLY))
    for i in range(13): os.rename(f"{{at}}/f{{i}}.tmp", f"{{at}}/f{{i}}")
    for i in range(11): os.chmod(f"{{at}}/f{{i}}", 0o600)
    for i in range(7): os.unlink(f"{{at}}//f{{i}}")
    os.mkdir(f"{{at}}/made"); os.rmdir(f"{{at}}/made/")
    try: os.open(f"{{at}}/none", 0)
    except FileNotFoundError: pass
""",
        )
    )
    recording.check_counts()
    n = len(MAGIC)
    told = Counter((r.op, r.result) for r in recording.under(tmp_path, Type.FILE) if r.path != bytes(tmp_path))
    assert told == {
        (FileOp.CREATE, 0): 13 * n,
        (FileOp.RENAME, 0): 13 * n,
        (FileOp.CHMOD, 0): 11 * n,
        (FileOp.UNLINK, 0): 7 * n,
        (FileOp.MKDIR, 0): n,
        (FileOp.RMDIR, 0): n,
        (FileOp.OPEN, -errno.ENOENT): n,
    }
    renamed = recording.under(tmp_path, Type.FILE, op=FileOp.RENAME)
    assert {(r.old_path, r.path) for r in renamed} == {
        (os.fsencode(tmp_path / f"f{i}.tmp"), os.fsencode(tmp_path / f"f{i}")) for i in range(13)
    }
    assert not any(r.header.flags & (Flag.PATH_UNRESOLVED | Flag.OLD_PATH_UNRESOLVED) for r in renamed)
    for r in recording.of(Type.FILE):
        assert not re.search(rb"/(proc|dev)/.*(fd/\d|cwd)", r.path), r.path


def test_a_magic_link_itself_and_what_only_looks_like_one(tmp_path: Path) -> None:
    """A call that follows no link acts on the link; another process's descriptors are not ours to resolve."""
    (tmp_path / "old").write_text("x")
    recording = record(
        _workload(
            tmp_path,
            """
f = os.open("old", os.O_RDONLY)
t = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
def attempt(call, *args):
    try: call(*args)
    except OSError: pass
os.chmod(f"/proc/self/fd/{f}", 0o640)
os.truncate(f"/dev/fd/{f}", 3)
assert call(265, AT, f"/proc/self/fd/{t}", AT, "named", 0x400) == 0
attempt(os.unlink, f"/proc/self/fd/{f}")
attempt(os.mkdir, f"/proc/self/root{os.getcwd()}/rooted")
for text in ("/proc/1/fd/0/a", "/proc/self/fd/9999/b", "/proc/self/fdinfo/3", "/proc/self/fd/x", "/proc/selfish/fd/1/c",
             "/proc/self/fd/99999999999/d", "/dev/fdx/1", "/proc/self/cwdx/e", "/dev/fd/", "/proc/self/fd/-1/f"):
    attempt(os.mkdir, text)
""",
        )
    )
    recording.check_counts()
    inside = os.fsencode(tmp_path)
    assert [r.path for r in recording.of(Type.FILE, op=FileOp.CHMOD)] == [inside + b"/old"]
    assert [r.path for r in recording.of(Type.FILE, op=FileOp.TRUNCATE)] == [inside + b"/old"]
    linked = recording.of(Type.FILE, op=FileOp.LINK)
    assert [r.path for r in linked] == [inside + b"/named"]
    assert linked[0].old_path.startswith(inside + b"/#")
    removed = recording.of(Type.FILE, op=FileOp.UNLINK)
    assert [re.sub(rb"\d+", b"N", r.path) for r in removed] == [b"/proc/self/fd/N"]
    assert [r.path for r in recording.of(Type.FILE, op=FileOp.MKDIR)] == [
        inside + b"/rooted",
        b"/proc/1/fd/0/a",
        b"/proc/self/fd/9999/b",
        b"/proc/self/fdinfo/3",
        b"/proc/self/fd/x",
        b"/proc/selfish/fd/1/c",
        b"/proc/self/fd/99999999999/d",
        b"/dev/fdx/1",
        b"/proc/self/cwdx/e",
        b"/dev/fd/",
        b"/proc/self/fd/-1/f",
    ]


def test_the_longest_path_with_hostile_names(tmp_path: Path) -> None:
    name = "\n\x1b[31m\\" + "é" * 100 + "'\""
    recording = record(
        _workload(
            tmp_path,
            f"""
name = {name!r}
at = {str(tmp_path)!r}
depth = 0
while len(os.fsencode(at + "/" + name)) < 4085:
    os.mkdir(name); os.chdir(name); at += "/" + name; depth += 1
rest = "r" * (4095 - len(os.fsencode(at)) - 1)
os.close(os.open(rest, os.O_CREAT | os.O_WRONLY))
print(depth, len(os.fsencode(at + "/" + rest)))
name = "d" * 255
for i in range(9):
    os.mkdir(name); os.chdir(name)
os.close(os.open("deepest", os.O_CREAT | os.O_WRONLY))
try: os.open("x" * 4095, 0)
except OSError as e: print(e.errno)
""",
        )
    )
    recording.check_counts()
    depth, length, error = map(int, recording.output.split())
    assert error == errno.ENAMETOOLONG
    wanted = os.fsencode(tmp_path) + b"".join(b"/" + name.encode() for _ in range(depth))
    made = recording.under(tmp_path, Type.FILE, op=FileOp.CREATE)
    assert made[0].path == wanted + b"/" + b"r" * (length - len(wanted) - 1)
    assert len(made[0].path) == length == 4095
    assert not made[0].header.flags & Flag.PATH_CLIPPED
    made_directories = recording.of(Type.FILE, op=FileOp.MKDIR)
    assert len(made_directories) == depth + 9
    clips = [bool(r.header.flags & Flag.PATH_CLIPPED) for r in made_directories]
    assert clips == [False] * (depth + 1) + [True] * 8
    clipped = [r for r in recording.of(Type.FILE, op=FileOp.CREATE) if r.path.endswith(b"/deepest")]
    assert [bool(r.header.flags & Flag.PATH_CLIPPED) for r in clipped] == [True]
    failed = [r for r in recording.of(Type.FILE, op=FileOp.OPEN) if r.result == -errno.ENAMETOOLONG]
    assert [r.path.endswith(b"/" + b"x" * 4095) for r in failed] == [True]


def test_files_without_a_name(tmp_path: Path) -> None:
    recording = record(
        _workload(
            tmp_path,
            """
fd = os.open("gone", os.O_CREAT | os.O_RDWR); os.unlink("gone"); os.ftruncate(fd, 7); os.fchmod(fd, 0o600)
t = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600); os.fchmod(t, 0o640)
m = os.memfd_create("mine"); os.ftruncate(m, 11)
r, w = os.pipe(); os.fchmod(r, 0o600)
os.close(os.open("/dev/null", os.O_WRONLY))
try: os.ftruncate(9999, 1)
except OSError: pass
""",
        )
    )
    recording.check_counts()
    gone = os.fsencode(tmp_path / "gone")
    truncated = [(r.path, r.result) for r in recording.of(Type.FILE, op=FileOp.TRUNCATE)]
    assert truncated == [(gone, 0), (b"memfd:mine", 0), (b"", -errno.EBADF)]
    changed = recording.of(Type.FILE, op=FileOp.CHMOD)
    assert changed[0].path == gone
    assert changed[1].path.startswith(os.fsencode(tmp_path) + b"/#")
    assert changed[2].path == b"pipe:[%d]" % changed[2].inode
    made = recording.under(tmp_path, Type.FILE, op=FileOp.CREATE)
    assert [r.path for r in made] == [gone, changed[1].path]


def test_a_text_on_an_untouched_page_is_still_read(tmp_path: Path) -> None:
    """The kernel faults the page in for itself; a probe that looks only at entry sees nothing."""
    strings = tmp_path / "strings"
    strings.write_bytes(b"\0" * 4096 * 3 + b"made\0")
    recording = record(
        _workload(
            tmp_path,
            """
import mmap
with open("strings", "r+b") as f:
    m = mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED)
at = ctypes.addressof(ctypes.c_char.from_buffer(m)) + 3 * 4096
assert libc.mkdir(ctypes.c_void_p(at), 0o700) == 0
assert libc.mkdir(ctypes.c_void_p(8), 0o700) == -1
""",
        )
    )
    made = recording.of(Type.FILE, op=FileOp.MKDIR)
    assert [(r.path, r.result) for r in made if r.result == 0] == [(os.fsencode(tmp_path / "made"), 0)]
    failed = [r for r in made if r.result == -errno.EFAULT]
    assert [bool(r.header.flags & Flag.PATH_FAULT) for r in failed] == [True]


def test_a_chroot_is_named_from_outside(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    recording = record(
        _workload(tmp_path, "os.chroot('.'); os.chdir('/'); os.mkdir('/inside/x'); os.open('/inside/x', 0)")
    )
    assert [r.path for r in recording.of(Type.FILE, op=7)] == [os.fsencode(tmp_path / "inside" / "x")]
    assert recording.of(Type.FILE, op=FileOp.OPEN)[-1].path == os.fsencode(tmp_path / "inside" / "x")


def test_struct_file_reuse_keeps_sums_and_paths_apart(tmp_path: Path) -> None:
    recording = record(
        _workload(
            tmp_path,
            """
for i in range(4999):
    fd = os.open(f"f{i % 13}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"x" * (i % 101 + 1))
    os.close(fd)
    if i % 7 == 0: os.rename(f"f{i % 13}", f"g{i % 13}"); os.rename(f"g{i % 13}", f"f{i % 13}")
""",
        )
    )
    recording.check_counts()
    sums: Counter[bytes] = Counter()
    for r in recording.under(tmp_path, Type.IO, op=IoOp.WRITE):
        sums[r.path] += r.bytes
    wanted: Counter[bytes] = Counter()
    for i in range(4999):
        wanted[os.fsencode(tmp_path / f"f{i % 13}")] += i % 101 + 1
    assert sums == wanted
    for path in sums:
        assert os.path.getsize(path) == sums[path]


def test_an_overflow_is_counted_exactly(tmp_path: Path) -> None:
    recording = record(
        _workload(tmp_path, "for i in range(10007): os.close(os.open('f', os.O_CREAT | os.O_WRONLY))"),
        ring_bytes={"ring_file_256": 1 << 16},
    )
    recording.check_counts()
    seen, submitted, lost = recording.counters["file"][:3]
    assert seen >= 10007
    assert submitted == 248  # 65536 / (256 + 8 of framing), less one the ring keeps free
    assert lost == seen - submitted


def test_32_bit_calls_are_counted_and_not_decoded(tmp_path: Path) -> None:
    source = tmp_path / "compat.c"
    source.write_text(
        """
int main(void) {
    for (int i = 0; i < 43; i++) { /* open, mkdir, getpid of the 32-bit table */
        long number;
        __asm__ volatile("int $0x80" : "=a"(number) : "a"(5), "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
        __asm__ volatile("int $0x80" : "=a"(number) : "a"(39), "b"(0), "c"(0) : "memory", "r8", "r9", "r10", "r11");
        __asm__ volatile("int $0x80" : "=a"(number) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    }
    return 0;
}
"""
    )
    program = tmp_path / "compat"
    subprocess.run(["gcc", "-O1", "-o", program, source], check=True)
    recording = record([str(program)])
    recording.check_counts()
    assert recording.counters["file"][Counters.COUNT_COMPAT] == 2 * 43
    assert not [r for r in recording.of(Type.FILE) if r.header.flags & Flag.PATH_FAULT]
