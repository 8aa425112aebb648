"""Changes of credentials: refused by number, in every instruction set the kernel takes, and by setuid files."""

import ctypes
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from intact.govern.seccomp import filter_of, install
from tests.e2e.recorded import kernel_test, record
from tests.govern.governed import governed

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter is written for x86-64")

LIBC = ctypes.CDLL(None, use_errno=True)


def in_child(changes: list[str], tries: Callable[[], list[int]]) -> list[int]:
    """What a child with the filter tells."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            install(filter_of(changes))
            os.write(into, struct.pack("=16q", *(tries() + [0] * 16)[:16]))
        finally:
            os._exit(0)
    os.close(into)
    data = os.read(out, 128)
    os.close(out)
    os.waitpid(pid, 0)
    return list(struct.unpack("=16q", data))


def call(number: int, *arguments: int) -> int:
    result = LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments))
    return -ctypes.get_errno() if result < 0 else int(result)


def compat(number: int) -> int:
    """A 32-bit call by int 0x80, with no arguments (ebx = 0)."""
    code = b"\x53\xb8" + struct.pack("<I", number) + b"\x31\xdb\x31\xc9\x31\xd2\xcd\x80\x5b\xc3"
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(address)())


def test_each_call_is_refused_and_others_are_not() -> None:
    me, mine = os.getuid(), os.getgid()

    def tries() -> list[int]:
        refused = [call(105, me), call(113, me, me), call(117, me, me, me), call(122, me)]
        refused += [
            call(106, mine),
            call(114, mine, mine),
            call(119, mine, mine, mine),
            call(123, mine),
            call(116, 0, 0),
        ]
        return [*refused, call(39) == os.getpid(), call(102)]

    told = in_child(["uid", "gid", "groups"], tries)
    assert told[:9] == [-1] * 9
    assert told[9:11] == [1, me]


def test_only_what_is_asked_for_is_refused() -> None:
    assert in_child(["uid"], lambda: [call(105, os.getuid()), call(106, os.getgid())])[:2] == [-1, 0]


def test_32_bit_calls_are_no_way_around() -> None:
    # setuid, setuid32, setresuid32; then getpid, which is allowed
    told = in_child(["uid"], lambda: [compat(23), compat(213), compat(208), int(compat(20) > 0)])
    assert told[:3] == [-1, -1, -1]
    if not told[3]:
        pytest.skip("this kernel takes no 32-bit calls")


def test_a_user_namespace_gives_no_capabilities() -> None:
    # unshare, clone (flags in a register), clone3 (flags in memory: not there, so that the C library falls back)
    told = in_child(["capabilities"], lambda: [call(272, 0x10000000), call(56, 0x10000000 | 17), call(435, 0, 0)])
    assert told[:3] == [-1, -1, -38]


def test_without_changes_there_is_no_filter() -> None:
    assert filter_of([]) == b""


@pytest.mark.kernel
def test_a_tree_that_runs_already_is_told_to_be_out_of_reach() -> None:
    with governed({"id": "uid", "credential": {"change": "uid"}}) as tree:
        status = tree.governor.status()[0]
        assert status.effective == "not_enforced"
        assert "before the command starts" in status.parts[0].note


@kernel_test
def test_a_recorded_command_cannot_change_who_it_is(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("name: p\nrules:\n  - {id: who, credential: {change: [uid, gid]}, action: deny, fail: closed}\n")
    shutil.copy(os.path.realpath("/usr/bin/id"), tmp_path / "id")
    os.chown(tmp_path / "id", 65534, 65534)
    (tmp_path / "id").chmod(0o4755)
    assert subprocess.run([tmp_path / "id", "-u"], capture_output=True, check=True, text=True).stdout == "65534\n"
    source = (
        "import os\ntry: os.setuid(1)\nexcept OSError as e: print(e.errno, flush=True)\nos.execv('%s', ['id', '-u'])"
    )
    ended = record(tmp_path / "data", "python3", "-c", source % (tmp_path / "id"), options=("--policy", str(policy)))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == [b"1", b"0"]
