"""The few calls of bpf(2) that enforcement makes itself: map elements, and a program held to a cgroup by a link."""

import ctypes
import os
from ctypes import Structure, addressof, c_uint32, c_uint64, sizeof

_SYS_BPF = {"x86_64": 321, "aarch64": 280}
_LOOKUP, _UPDATE, _DELETE, _NEXT_KEY, _LINK_CREATE = 1, 2, 3, 4, 28

_libc = ctypes.CDLL(None, use_errno=True)
_number = _SYS_BPF.get(os.uname().machine if hasattr(os, "uname") else "", -1)


class _Element(Structure):
    _fields_ = [("map_fd", c_uint32), ("pad", c_uint32), ("key", c_uint64), ("value", c_uint64), ("flags", c_uint64)]


class _Link(Structure):
    _fields_ = [
        ("program_fd", c_uint32),
        ("target_fd", c_uint32),
        ("attach_type", c_uint32),
        ("flags", c_uint32),
        ("rest", c_uint64 * 4),
    ]


def _bpf(command: int, attribute: Structure) -> int:
    result = _libc.syscall(_number, command, ctypes.byref(attribute), sizeof(attribute))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)


def map_update(map_fd: int, key: int, value: Structure | ctypes.Array[ctypes.c_char]) -> None:
    """Set one element of a map with 32-bit keys."""
    raw = c_uint32(key)
    _bpf(_UPDATE, _Element(map_fd=map_fd, key=addressof(raw), value=addressof(value)))


def map_lookup(map_fd: int, key: int, value: Structure) -> bool:
    """Read one element into `value`; False if there is none."""
    raw = c_uint32(key)
    try:
        _bpf(_LOOKUP, _Element(map_fd=map_fd, key=addressof(raw), value=addressof(value)))
    except FileNotFoundError:
        return False
    return True


def map_delete(map_fd: int, key: int) -> None:
    """Remove one element if it is there."""
    raw = c_uint32(key)
    try:
        _bpf(_DELETE, _Element(map_fd=map_fd, key=addressof(raw)))
    except FileNotFoundError:
        return


def map_keys(map_fd: int) -> list[int]:
    """The keys of a map; those that come or go meanwhile may be missed."""
    found: list[int] = []
    after = c_uint32()
    attribute = _Element(map_fd=map_fd, key=0, value=addressof(after))
    while True:
        try:
            _bpf(_NEXT_KEY, attribute)
        except FileNotFoundError:
            return found
        found.append(after.value)
        if len(found) > 1 << 17:  # a map that changes faster than we read begins anew
            return found
        current = c_uint32(after.value)
        attribute.key = addressof(current)


def link_cgroup(program_fd: int, cgroup_fd: int, attach_type: int) -> int:
    """Hold a program to a cgroup; it is off when the descriptor that this gives is closed, also by our death."""
    return _bpf(_LINK_CREATE, _Link(program_fd=program_fd, target_fd=cgroup_fd, attach_type=attach_type))
