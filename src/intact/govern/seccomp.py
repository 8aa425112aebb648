"""Changes of credentials and some other calls, refused by a seccomp filter in what becomes the command.

Decided by number and scalar arguments only.

Light on imports: the front of `record` installs it in the child, before the command starts.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable

_INSTRUCTION = struct.Struct("=HBBI")
_LOAD, _EQUAL, _AT_LEAST, _AND_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_ARCH_X86_64, _ARCH_I386 = 0xC000003E, 0x40000003
_X32 = 0x40000000
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_NEW_USER = 0x10000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2

# change or name of a call -> numbers for x86-64 and for the 32-bit calls that the same kernel takes
_CALLS = {
    "uid": ((105, 113, 117, 122), (23, 70, 164, 138, 213, 203, 208, 215)),
    "gid": ((106, 114, 119, 123), (46, 71, 170, 139, 214, 204, 210, 216)),
    "groups": ((116,), (81, 206)),
    "capabilities": ((126,), (185,)),
    "reboot": ((169,), (88,)),
    "init_module": ((175,), (128,)),
    "finit_module": ((313,), (350,)),
    "delete_module": ((176,), (129,)),
    "kexec_load": ((246,), (283,)),
    "kexec_file_load": ((320,), ()),
}
# A user namespace gives its maker all capabilities in it. The flags of clone3 are in memory, which no filter may decide on.
_NAMESPACES = {"x86_64": ((56, 272), 435), "i386": ((120, 310), 435)}


def filter_of(changes: Iterable[str]) -> bytes:
    """The filter that refuses these changes and calls with EPERM; empty if there are none, or not on this machine."""
    wanted = sorted(set(changes))
    if not wanted or os.uname().machine != "x86_64":
        return b""
    long = _part("x86_64", [number for change in wanted for number in _CALLS[change][0]], "capabilities" in wanted)
    short = _part("i386", [number for change in wanted for number in _CALLS[change][1]], "capabilities" in wanted)
    refuse = _one(_RETURN, _ERRNO | errno.EPERM)
    # The third instruction set of the kernel (x32) counts its calls apart; no program that is built today uses it.
    long = [_one(_LOAD, _NUMBER_AT), _one(_AT_LEAST, _X32, 0, 1), refuse, *long]
    head = [
        _one(_LOAD, _ARCH_AT),
        _one(_EQUAL, _ARCH_X86_64, 0, len(long)),
        *long,
        _one(_EQUAL, _ARCH_I386, 0, len(short)),
        *short,
        refuse,
    ]
    return b"".join(head)


def _part(architecture: str, numbers: list[int], namespaces: bool) -> list[bytes]:
    refuse = _one(_RETURN, _ERRNO | errno.EPERM)
    body = [_one(_LOAD, _NUMBER_AT)]
    for number in numbers:
        body += [_one(_EQUAL, number, 0, 1), refuse]
    if namespaces:
        by_flags, unreadable = _NAMESPACES[architecture]
        body += [_one(_EQUAL, unreadable, 0, 1), _one(_RETURN, _ERRNO | errno.ENOSYS)]
        for number in by_flags:
            body += [
                _one(_EQUAL, number, 0, 4),
                _one(_LOAD, _FIRST_ARGUMENT_AT),
                _one(_AND_SET, _NEW_USER, 0, 1),
                refuse,
            ]
            body.append(_one(_RETURN, _ALLOW))
    return [*body, _one(_RETURN, _ALLOW)]


def _one(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, yes, no, value)


def install(program: bytes) -> None:
    """Put the filter on this process and what it becomes, with no_new_privs: setuid files give nothing any more.

    Raises:
        OSError: the kernel refuses it; nothing is in effect then.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(program, len(program))
    body = struct.pack("=H6xQ", len(program) // _INSTRUCTION.size, ctypes.addressof(buffer))
    head = ctypes.create_string_buffer(body, len(body))
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(head), 0, 0),
    ):
        if libc.prctl(arguments[0], *(ctypes.c_ulong(argument) for argument in arguments[1:])) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
