"""Ids derived by hashing what a thing is, so that every host and every replay gives the same ones.

Scalars and numpy columns go through the same mixing, hence both give equal ids.
"""

from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


class ProcessKey(NamedTuple):
    """A process for as long as its host is up: a bare pid is reused, this pair is not."""

    tgid: int
    start_ns: int  # boot clock


def text_id(*parts: object) -> int:
    """64-bit id of any parts, by their text; for facts, of which there are few. Never 0."""
    digest = blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogateescape"), digest_size=8)
    return int.from_bytes(digest.digest(), "little") or 1


def mix(*parts: int) -> int:
    """64-bit id of integers (splitmix64 over each); `mix_columns` gives the same for columns. Never 0."""
    state = 0
    for part in parts:
        state = (state ^ (part & _MASK)) + _GOLDEN & _MASK
        state = (state ^ (state >> 30)) * _MIX_1 & _MASK
        state = (state ^ (state >> 27)) * _MIX_2 & _MASK
        state ^= state >> 31
    return state or 1


def mix_columns(*parts: "U64 | int") -> U64:
    """`mix` for uint64 columns (scalars are broadcast); one id a row."""
    state: U64 = np.zeros(1, np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            column = np.uint64(part & _MASK) if isinstance(part, int) else part.astype(np.uint64, copy=False)
            state = (state ^ column) + np.uint64(_GOLDEN)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(_MIX_1)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(_MIX_2)
            state = state ^ (state >> np.uint64(31))
    state[state == 0] = 1
    return state


def host_hash(boot_id: str) -> int:
    """The part of every process id that tells one boot of one host from another."""
    return text_id("boot", boot_id)


def process_id(host: int, tgid: int, start_ns: int) -> int:
    """The UInt64 identity of a process (`process_id`, `gprocess_id`); `host` is `host_hash(boot_id)`."""
    return mix(host, tgid, start_ns)


def process_ids(host: int, tgid: U64, start_ns: U64) -> U64:
    """`process_id` for columns."""
    return mix_columns(host, tgid, start_ns)
