"""The native loader from Python: load and attach the kernel object, drain its rings into buffers, sum its counters."""

import mmap
import os
from ctypes import (
    CDLL,
    POINTER,
    Structure,
    byref,
    c_char,
    c_char_p,
    c_int,
    c_int64,
    c_uint32,
    c_uint64,
    c_void_p,
)
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING

from intact.model.errors import IntactError, NotSupported

NATIVE = Path(__file__).parent / "native"
OBJECT = NATIVE / "intact.bpf.o"
LIBRARY = NATIVE / "libintact_loader.so"
BTF = Path("/sys/kernel/btf/vmlinux")

# What the iterators may write about processes that were there before us: 64 Ki processes of the smallest class.
ITERATOR_BYTES = 16 << 20

if TYPE_CHECKING:  # the recorder begins to load before it imports numpy
    import numpy as np
    import numpy.typing as npt


class _Drained(Structure):
    _fields_ = [("bytes", c_uint64), ("left_bytes", c_uint64), ("discarded", c_uint64), ("odd", c_uint64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A ring of the kernel object: `name` is "<family>_<class>"."""

    index: int
    name: str
    record_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What a drain came to: bytes copied, bytes left in the ring (framing included), and records it could not use."""

    bytes: int
    left_bytes: int
    discarded: int
    odd: int


def open_library(path: Path = LIBRARY) -> CDLL:
    """The native library, with the signatures of loader.h.

    Raises:
        NotSupported: it was not built or its libraries are missing.
    """
    try:
        library = CDLL(str(path), use_errno=True)
    except OSError as error:
        raise NotSupported(f"cannot load the native part: {error}; run: make setup") from None
    handle, text, number = c_void_p, c_char_p, c_int
    signatures: dict[str, tuple[object, list[object]]] = {
        "intact_loader_open": (handle, [text, POINTER(c_int)]),
        "intact_loader_resize": (number, [handle, text, c_uint32]),
        "intact_loader_load": (number, [handle]),
        "intact_loader_set_scope": (number, [handle, c_int]),
        "intact_loader_attach": (number, [handle]),
        "intact_loader_detach": (None, [handle]),
        "intact_loader_close": (None, [handle]),
        "intact_loader_failures": (text, [handle]),
        "intact_loader_log": (text, []),
        "intact_loader_ring_count": (number, [handle]),
        "intact_loader_ring_name": (text, [handle, c_int]),
        "intact_loader_ring_record": (c_uint32, [handle, c_int]),
        "intact_loader_ring_size": (c_uint64, [handle, c_int]),
        "intact_loader_ring_waiting": (c_uint64, [handle, c_int]),
        "intact_loader_drain": (number, [handle, c_int, c_void_p, c_uint64, POINTER(_Drained)]),
        "intact_loader_iterate": (c_int64, [handle, c_void_p, c_uint64]),
        "intact_loader_run": (number, [handle, text]),
        "intact_loader_counters": (number, [handle, text, POINTER(c_uint64), c_uint32]),
        "intact_program_fd": (number, [handle, text]),
        "intact_map_fd": (number, [handle, text]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_early: list["Loader"] = []


def load_early() -> None:
    """Begin to load the object of a recording, beside all that is still to be imported; `recording_loader` hands it out."""
    try:
        loader = Loader()
    except NotSupported:
        return  # raised again where it can be told, when the loader is asked for
    loader.begin_load()
    _early.append(loader)


def recording_loader() -> "Loader":
    """The loader of a recording: that which `load_early` began with, if it did, else a new one."""
    return _early.pop() if _early else Loader()


class Loader:
    """The kernel side of one recording. Not for use by two threads at once."""

    def __init__(self, path: Path = OBJECT) -> None:
        if not path.exists():
            raise NotSupported(f"the kernel object {path.name} was not built; run: make setup")
        self.library = open_library()
        self._loading: Thread | None = None
        self._loaded = 0
        error = c_int()
        self.handle = c_void_p(self.library.intact_loader_open(os.fsencode(path), byref(error)))
        if not self.handle:
            raise self._failure("open the kernel object", error.value)
        self.rings: tuple[Ring, ...] = ()

    def __enter__(self) -> "Loader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def resize(self, map_name: str, entries: int) -> None:
        """Give a map another size; only before `load`."""
        self._check(self.library.intact_loader_resize(self.handle, map_name.encode(), entries), f"resize {map_name}")

    def begin_load(self) -> None:
        """Load in a thread of its own; until `load` has returned nothing else may be asked of this loader."""
        self._loading = Thread(target=self._load, name="load", daemon=True)
        self._loading.start()

    def load(self) -> None:
        """Load all programs and map the rings.

        Raises:
            NotSupported: this kernel or our privileges do not allow it.
        """
        if self._loading is None:
            self._load()
        else:
            self._loading.join()
        self._check(self._loaded, "load the kernel programs")
        self.rings = tuple(self._ring(i) for i in range(self.library.intact_loader_ring_count(self.handle)))

    def set_scope(self, cgroup: Path) -> None:
        """Observe the processes of this cgroup and those they make."""
        try:
            descriptor = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise IntactError(f"cannot open the cgroup {cgroup}: {error.strerror}") from None
        try:
            self._check(self.library.intact_loader_set_scope(self.handle, descriptor), "set the scope")
        finally:
            os.close(descriptor)

    def attach(self) -> tuple[str, ...]:
        """Attach every program that attaches by its section; one line for each that could not be.

        Raises:
            NotSupported: none could be attached.
        """
        attached = self.library.intact_loader_attach(self.handle)
        failures = tuple(self.library.intact_loader_failures(self.handle).decode("utf-8", "replace").splitlines())
        if attached <= 0:
            raise NotSupported(
                f"no kernel program could be attached: {failures[0] if failures else 'none is meant to be'}"
            )
        return failures

    def detach(self) -> None:
        """Take the probes off; what is in the rings stays to be drained."""
        self.library.intact_loader_detach(self.handle)

    def close(self) -> None:
        """Take everything off the kernel. May be called twice."""
        if self._loading is not None:
            self._loading.join()
        if self.handle:
            self.library.intact_loader_close(self.handle)
            self.handle = c_void_p()

    def waiting(self, ring: Ring) -> int:
        """Bytes in the ring, framing included."""
        return int(self.library.intact_loader_ring_waiting(self.handle, ring.index))

    def drain(self, ring: Ring, buffer: "npt.NDArray[np.uint8]") -> Drained:
        """Copy the records that are whole into `buffer`, as many as fit."""
        drained = _Drained()
        result = self.library.intact_loader_drain(
            self.handle, ring.index, buffer.ctypes.data, buffer.nbytes, byref(drained)
        )
        self._check(result, f"drain {ring.name}")
        return Drained(bytes=drained.bytes, left_bytes=drained.left_bytes, discarded=drained.discarded, odd=drained.odd)

    def iterate(self) -> bytes:
        """Run the task iterators; returns what they write themselves (records they put into rings come with the drain)."""
        with mmap.mmap(-1, ITERATOR_BYTES) as buffer:  # memory that is touched only where it is written
            place = (c_char * ITERATOR_BYTES).from_buffer(buffer)
            written = self.library.intact_loader_iterate(self.handle, place, ITERATOR_BYTES)
            del place  # it keeps the map from being closed
            self._check(written, "read the running processes")
            return buffer[:written]

    def run(self, program: str) -> None:
        """Run a program of type syscall once, if the object has it."""
        self._check(self.library.intact_loader_run(self.handle, program.encode()), f"run {program}")

    def counters(self, count: int, map_name: str = "counters") -> tuple[int, ...]:
        """The first `count` slots of a per-CPU array, summed over the CPUs; () if the object has no such map."""
        values = (c_uint64 * count)()
        read = self.library.intact_loader_counters(self.handle, map_name.encode(), values, count)
        return tuple(values[:read]) if read > 0 else ()

    def program_fd(self, name: str) -> int | None:
        """The descriptor of a loaded program; it stays the loader's."""
        descriptor = self.library.intact_program_fd(self.handle, name.encode())
        return descriptor if descriptor >= 0 else None

    def map_fd(self, name: str) -> int | None:
        """The descriptor of a map; it stays the loader's."""
        descriptor = self.library.intact_map_fd(self.handle, name.encode())
        return descriptor if descriptor >= 0 else None

    def log(self) -> str:
        """The end of what libbpf and the verifier said."""
        return str(self.library.intact_loader_log().decode("utf-8", "replace"))

    def _load(self) -> None:
        self._loaded = self.library.intact_loader_load(self.handle)

    def _ring(self, index: int) -> Ring:
        return Ring(
            index=index,
            name=self.library.intact_loader_ring_name(self.handle, index).decode(),
            record_bytes=self.library.intact_loader_ring_record(self.handle, index),
            size_bytes=self.library.intact_loader_ring_size(self.handle, index),
        )

    def _check(self, result: int, doing: str) -> None:
        if result < 0:
            raise self._failure(doing, result)

    def _failure(self, doing: str, result: int) -> IntactError:
        number = -result
        if not BTF.exists():
            remedy = "this kernel has no BTF (/sys/kernel/btf/vmlinux); use one built with CONFIG_DEBUG_INFO_BTF=y"
        elif number in (1, 13):
            remedy = "no privilege; run as root or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE"
        else:
            remedy = f"{os.strerror(number)}{self._reason()}"
        return NotSupported(f"cannot {doing}: {remedy}")

    def _reason(self) -> str:
        """The line of the log that says most: libbpf names the program, the verifier's last line the instruction."""
        lines = [line.strip() for line in self.log().splitlines() if line.strip()]
        named = next((line.removeprefix("libbpf: ") for line in lines if "failed" in line or "unknown" in line), "")
        return f" ({named})" if named else ""
