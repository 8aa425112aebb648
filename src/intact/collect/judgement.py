"""The kernel's judgement from Python: which request lines are wanted, and whose plaintext may leave (bpf/tls_judge.bpf.h)."""

from collections.abc import Iterable
from ctypes import Structure, byref, c_char, c_uint8, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass

from intact.collect.loader import Loader
from intact.model.errors import NotSupported, UsageError
from intact.model.identity import ProcessKey
from intact.model.recognition import MOST_ENDPOINTS, EndpointRule

_JUDGES = 1 << 63
_FIRST_SHIFT = 8
REFUSED, TOLD = 0, 2  # enum tls_known_by


class _Wanted(Structure):
    _fields_ = (
        ("method_length", c_uint8),
        ("prefix_length", c_uint8),
        ("suffix_length", c_uint8),
        ("is_exact", c_uint8),
        ("pad", c_uint32),
        ("method", c_char * 8),
        ("prefix", c_char * 64),
        ("suffix", c_char * 32),
    )


class _Process(Structure):
    _fields_ = (("start_ns", c_uint64), ("tgid", c_uint32), ("pad", c_uint32))


class _Known(Structure):
    _fields_ = (("since_ns", c_uint64), ("by", c_uint32), ("pad", c_uint32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the judgement came to so far."""

    operations: int  # that stayed in the kernel
    bytes: int  # of them
    known: int  # processes that became known by a request, or by who made them
    refused_full: int  # processes that should have, for which there was no room


class Judgement:
    """Judges from the first `want` on; before that, as in a recording, all plaintext leaves."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        library = loader.library
        for name, count in (("intact_map_set", 3), ("intact_map_remove", 2)):
            getattr(library, name).argtypes = [c_uint32, *[c_void_p] * (count - 1)]
        self._settings = _need(loader.map_fd("tls_judge_settings"))
        self._wanted = _need(loader.map_fd("tls_wanted"))
        self._known = _need(loader.map_fd("tls_known"))
        self._first = MOST_ENDPOINTS

    def want(self, rules: Iterable[EndpointRule]) -> None:
        """Put these request lines in the place of those wanted before, all at once.

        Raises:
            UsageError: there are too many.
        """
        lines = list(dict.fromkeys(rule.request_line for rule in rules))
        if len(lines) > MOST_ENDPOINTS:
            raise UsageError(f"{len(lines)} endpoints are wanted; the kernel's table holds {MOST_ENDPOINTS}")
        first = MOST_ENDPOINTS - self._first
        for index, line in enumerate(lines):
            entry = _Wanted(
                method_length=len(line.method),
                prefix_length=len(line.prefix),
                suffix_length=len(line.suffix),
                is_exact=line.is_exact,
                method=line.method,
                prefix=line.prefix,
                suffix=line.suffix,
            )
            self._set(self._wanted, c_uint32(first + index), entry)
        self._set(self._settings, c_uint32(0), c_uint64(_JUDGES | first << _FIRST_SHIFT | len(lines)))
        self._first = first

    def tell(self, key: ProcessKey, *, is_agent: bool) -> None:
        """This process is known, or refused, whatever it asks; so is what it starts from now on."""
        known = _Known(since_ns=0, by=TOLD if is_agent else REFUSED)
        # A full table is no error of the process: the kernel counts those it turns away, and judges this one by requests.
        self._loader.library.intact_map_set(self._known, byref(_process(key)), byref(known))

    def forget(self, key: ProcessKey) -> None:
        """This process is judged by its requests again."""
        self._loader.library.intact_map_remove(self._known, byref(_process(key)))

    def judged(self) -> Judged:
        """Counted since the load."""
        operations, size, known, full = self._loader.counters(4, "tls_judged") or (0, 0, 0, 0)
        return Judged(operations=operations, bytes=size, known=known, refused_full=full)

    def _set(self, map_fd: int, key: c_uint32, value: Structure | c_uint64) -> None:
        result = self._loader.library.intact_map_set(map_fd, byref(key), byref(value))
        if result < 0:
            raise NotSupported(f"cannot write the table of wanted requests: error {-result}")


def _process(key: ProcessKey) -> _Process:
    return _Process(start_ns=key.start_ns, tgid=key.tgid)


def _need(descriptor: int | None) -> int:
    if descriptor is None:
        raise NotSupported("the kernel object cannot judge requests; run: make setup")
    return descriptor
