"""What may be wrong with file systems, files and the devices below them."""

import re
from collections.abc import Iterator

from intact.assist.diagnosis.baseline import seconds_left
from intact.assist.diagnosis.hypothesis import Fault, Hypothesis, Quantity
from intact.assist.diagnosis.thresholds import at
from intact.assist.diagnosis.view import View, mean
from intact.model.host import LogClass, Mount, OpenFile

_LOG_PATH = re.compile(r"\.(?:log|err|out)(?:[.\-_]\w+)*$|/logs?/|/(?:syslog|messages|std(?:err|out))", re.IGNORECASE)
_QUIET_STEPS = 0.34  # of the steps may bring nothing: the kernel counts writes when it gets to them


def space(view: View) -> Iterator[Hypothesis]:
    """File systems without room for bytes or for files. What was made full, or is not written to, is no trouble."""
    for mount in view.sampling.mounts:
        if mount.is_image or mount.is_read_only:
            continue
        if mount.used_percent >= at("space_used") and mount.free_bytes < at("space_free"):
            yield _mount(
                mount, Fault.DISK_FULL, 0.8 + 0.15 * (mount.used_percent >= 99),
                Quantity(name="space_used", value=round(mount.used_percent, 1), unit="%"),
                Quantity(name="space_free", value=float(mount.free_bytes), unit="bytes"),
            )  # fmt: skip
        if mount.inodes and mount.inodes_percent >= at("inodes_used"):
            yield _mount(
                mount, Fault.INODES_EXHAUSTED, 0.85,
                Quantity(name="inodes_used", value=round(mount.inodes_percent, 1), unit="%"),
                Quantity(name="inodes", value=float(mount.inodes), unit="count"),
            )  # fmt: skip


def read_only_mount(view: View) -> Iterator[Hypothesis]:
    """A file system that somebody wants to write to and cannot: being read-only alone is no fault."""
    wanted = [trouble for trouble in view.sampling.troubles if trouble.kind is LogClass.READ_ONLY and trouble.recent]
    lines = sum(trouble.recent for trouble in wanted)
    paths = [path for trouble in wanted for path in trouble.paths]
    mounts = [mount for mount in view.sampling.mounts if mount.is_read_only and not mount.is_image]
    for mount in mounts:
        if any(_is_below(path, mount.path) for path in paths):
            yield _mount(
                mount, Fault.READ_ONLY_MOUNT, 0.85, Quantity(name="read_only_lines", value=float(lines), unit="count")
            )  # fmt: skip


def growth(view: View) -> Iterator[Hypothesis]:
    """Logs that are written faster than anybody reads, and files that fill a file system."""
    span = _span(view)
    seen: set[str] = set()
    for file in view.sampling.files:
        rate = file.growth_bytes / span
        mount = next((mount for mount in view.sampling.mounts if mount.path == file.mount), None)
        if rate <= 0 or file.is_deleted:
            continue
        if _LOG_PATH.search(file.path):
            if rate >= at("log_growth"):
                seen.add(file.path)
                yield _file(file, Fault.LOG_STORM, 0.9, Quantity(name="growth", value=round(rate), unit="bytes/s"))
        elif mount is not None:
            left = seconds_left(mount.free_bytes, rate)
            if left is not None and (left <= at("time_left") or mount.used_percent >= at("space_used")):
                yield _file(
                    file, Fault.FILE_GROWTH, 0.7, Quantity(name="growth", value=round(rate), unit="bytes/s"),
                    Quantity(name="time_left", value=round(left, 1), unit="s"),
                )  # fmt: skip
    for log in view.sampling.logs:  # written by somebody who opens it for every line
        if log.source not in seen and log.growth_bytes / span >= at("log_growth"):
            mount_path = _mount_of(log.source, view)
            yield Hypothesis(
                fault=Fault.LOG_STORM, object=log.source, kind="file", score=0.88, mount=mount_path,
                by=(
                    Quantity(name="growth", value=round(log.growth_bytes / span), unit="bytes/s"),
                    Quantity(name="size", value=float(log.bytes), unit="bytes"),
                ),
            )  # fmt: skip


def big_logs(view: View) -> Iterator[Hypothesis]:
    """Logs that have filled a file system, and hence grow no more."""
    full = {
        mount.path: mount
        for mount in view.sampling.mounts
        if mount.used_percent >= at("space_used") and not (mount.is_image or mount.is_read_only)
    }
    sizes: dict[str, tuple[int, int | None, str]] = {
        log.source: (log.bytes, None, _mount_of(log.source, view)) for log in view.sampling.logs
    }
    sizes |= {
        file.path: (file.bytes, file.pid, file.mount)
        for file in view.sampling.files
        if not file.is_deleted and _LOG_PATH.search(file.path)
    }
    for path, (size, pid, top) in sizes.items():
        mount = full.get(top)
        if mount is not None and mount.size_bytes and not _storms(path, view):
            share = 100.0 * size / mount.size_bytes
            if share >= at("log_share"):
                yield Hypothesis(
                    fault=Fault.LOG_STORM, object=path, kind="file", score=0.82, pid=pid, mount=top,
                    by=(
                        Quantity(name="share", value=round(share, 1), unit="%"),
                        Quantity(name="size", value=float(size), unit="bytes"),
                    ),
                )  # fmt: skip


def _storms(path: str, view: View) -> bool:
    """Whether `growth` tells of it."""
    span = _span(view)
    grown = [file.growth_bytes for file in view.sampling.files if file.path == path and not file.is_deleted]
    grown += [log.growth_bytes for log in view.sampling.logs if log.source == path]
    return max(grown, default=0) / span >= at("log_growth")


def deleted_open_file(view: View) -> Iterator[Hypothesis]:
    """Files that have no name any more and still take a good part of a file system that has little left."""
    for file in view.sampling.files:
        mount = next((mount for mount in view.sampling.mounts if mount.path == file.mount), None)
        if not file.is_deleted or mount is None or not mount.size_bytes:
            continue
        share = 100.0 * file.bytes / mount.size_bytes
        if share >= at("deleted_share") and mount.used_percent >= at("deleted_used"):
            yield _file(
                file, Fault.DELETED_OPEN_FILE, 0.85,
                Quantity(name="deleted_share", value=round(share, 1), unit="%"),
            )  # fmt: skip


def io_hog(view: View) -> Iterator[Hypothesis]:
    """Who keeps the disks busy without a pause."""
    for trend in view.trends:
        if not trend.is_whole or len(trend.states) < 2 or trend.last.write_bytes is None:
            continue
        steps = trend.rates("read_bytes", "write_bytes")
        quiet = sum(step < at("io_rate") / 10 for step in steps)
        if mean(steps) >= at("io_rate") and quiet <= _QUIET_STEPS * len(steps):
            yield Hypothesis(
                fault=Fault.IO_HOG, object=trend.label, kind="process", score=0.65, pid=trend.last.pid,
                by=(
                    Quantity(name="io", value=round(mean(steps)), unit="bytes/s"),
                    Quantity(name="io_written", value=round(trend.rate("write_bytes")), unit="bytes/s"),
                ),
            )  # fmt: skip


def told_by_logs(view: View) -> Iterator[Hypothesis]:
    """Broken devices and crashing programs: only logs tell of them."""
    for trouble in view.sampling.troubles:
        enough = trouble.recent >= at("error_lines")
        lines = Quantity(name="lines", value=float(trouble.recent), unit="count")
        if trouble.kind is LogClass.IO_ERROR and enough:
            yield Hypothesis(
                fault=Fault.DEVICE_ERRORS, object=trouble.source, kind="log", score=0.75, by=(lines,)
            )  # fmt: skip
        if trouble.kind in (LogClass.SEGFAULT, LogClass.CRASH) and enough:
            yield Hypothesis(fault=Fault.CRASHES, object=trouble.source, kind="log", score=0.6, by=(lines,))


def _span(view: View) -> float:
    first, last = view.sampling.snapshots[0], view.sampling.snapshots[-1]
    return max((last.clock_ns - first.clock_ns) / 1e9, 0.001)


def _mount_of(path: str, view: View) -> str:
    below = [mount.path for mount in view.sampling.mounts if _is_below(path, mount.path)]
    return max(below, key=len, default="")


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top.rstrip('/')}/")


def _mount(mount: Mount, fault: Fault, score: float, *by: Quantity) -> Hypothesis:
    return Hypothesis(fault=fault, object=mount.path, kind="mount", score=round(score, 3), by=by, mount=mount.path)


def _file(file: OpenFile, fault: Fault, score: float, *by: Quantity) -> Hypothesis:
    size = Quantity(name="size", value=float(file.bytes), unit="bytes")
    return Hypothesis(
        fault=fault, object=file.path, kind="file", score=score, by=(*by, size), pid=file.pid, mount=file.mount
    )
