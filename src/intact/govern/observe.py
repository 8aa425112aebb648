"""What no mechanism can refuse, matched in the effects as they are recorded: observed, or stopped after the fact."""

import os
import signal
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from intact.govern.hits import Hit
from intact.govern.plan import OBSERVE, Part
from intact.model.effects import Kind
from intact.model.slice import Slice

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_TRUNC
_KINDS = {
    Kind.FILE_OPEN: "open",
    Kind.FILE_CREATE: "open",
    Kind.FILE_DELETE: "delete",
    Kind.DIR_DELETE: "delete",
    Kind.FILE_RENAME: "rename",
    Kind.CREDENTIAL_CHANGE: "credential",
}

# what a rule may name -> the calls that set it, and the columns where that is seen
_CHANGES = {
    "uid": (("setuid", "setreuid", "setresuid", "setfsuid", "exec"), ("uid", "euid", "suid", "fsuid")),
    "gid": (("setgid", "setregid", "setresgid", "setfsgid", "exec"), ("gid", "egid", "sgid", "fsgid")),
    "groups": (("setgroups",), ("groups",)),
    "capabilities": (("capset", "exec"), ("caps", "permitted", "inheritable", "ambient")),
}


class Observer:
    """The parts of rules that are watched for."""

    def __init__(
        self,
        parts: Sequence[Part],
        identity: Callable[[int], int],
        governs: Callable[[int, int], bool] | None = None,
    ) -> None:
        self._files = [part for part in parts if part.rule.file is not None]
        self._credentials = [part for part in parts if part.rule.credential is not None]
        self._identity = identity  # process_id of who has this pid now, 0 if it is nobody governed
        self._governs = governs  # whether a process is in any of these groups
        self.counts: dict[int, int] = {}

    def observe(self, piece: Slice) -> list[Hit]:
        """The hits in a slice; kills for rules that say so."""
        found: list[Hit] = []
        for parts, family in ((self._files, "file"), (self._credentials, "credential")):
            batch = piece.effects.get(family)
            if not parts or batch is None:
                continue
            kinds = pa.array([int(kind) for kind in _KINDS], pa.uint8())
            for row in batch.filter(pc.is_in(batch.column("kind"), kinds)).to_pylist():
                found += [hit for part in parts if (hit := self._match(part, row)) is not None]
        return found

    def _match(self, part: Part, row: dict[str, Any]) -> Hit | None:
        target = _KINDS[Kind(row["kind"])]
        if target == "credential":
            if part.rule.credential is None or not any(_changes(row, kind) for kind in part.rule.credential.change):
                return None
        elif not _accesses(part, row, target) or not _named(part, row):
            return None
        if self._governs is not None and not self._governs(row["process_id"], part.groups):
            return None
        self.counts[part.index] = self.counts.get(part.index, 0) + 1
        outcome, number = "observed", 0
        if part.rule.action == "kill" and row["result"] == 0:
            number = self._kill(row)
            outcome = "stopped_after" if number else "missed"
        return Hit(
            rule_id=part.rule.id,
            policy=part.policy,
            target=target,
            action=part.rule.action,
            mechanism=OBSERVE,
            outcome=outcome,
            signal=number,
            path=row.get("path") or "",
            **{name: row[name] for name in ("process_id", "at_ns", "pid", "tid", "uid", "gid", "result")},
        )

    def _kill(self, row: dict[str, Any]) -> int:
        """SIGKILL to the process of a row, and to no other that has its number now."""
        try:
            descriptor = os.pidfd_open(row["pid"])
        except OSError:
            return 0
        try:
            if self._identity(row["pid"]) != row["process_id"]:
                return 0
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except OSError:
            return 0
        finally:
            os.close(descriptor)
        return int(signal.SIGKILL)


def _changes(row: dict[str, Any], kind: str) -> bool:
    """Whether a call changed that of the credentials, or was refused to. That capabilities go with the user is no `capset`."""
    calls, names = _CHANGES[kind]
    if row["call"] not in calls:
        return False
    return row["result"] < 0 or any(row[f"old_{name}"] != row[f"new_{name}"] for name in names)


def _accesses(part: Part, row: dict[str, Any], target: str) -> bool:
    if target != "open":
        return target in part.access
    writes = bool(row["flags"] & _WRITES) or row["kind"] == Kind.FILE_CREATE
    reads = row["flags"] & os.O_ACCMODE != os.O_WRONLY
    return (writes and "write" in part.access) or (reads and "read" in part.access)


def _named(part: Part, row: dict[str, Any]) -> bool:
    names = [row["path"], row["old_path"]]
    return any(path_matches(name, pattern) for name in names if name for pattern in part.paths)


def path_matches(path: str, pattern: str) -> bool:
    """Whether a path is what a pattern of a policy names."""
    if pattern.endswith("/**"):
        return path.startswith(pattern[:-2])
    directory, _, name = pattern.rpartition("/")
    return str(Path(path).parent) == (directory or "/") and fnmatchcase(path.rpartition("/")[2], name)
