"""The questions whose first packet went before anything of them was kept: a line each until it is, so that none is lost.

To add a line to an open file takes microseconds; the place where responses are kept may be far away, or wait for others.
"""

import json
import logging
import os
from pathlib import Path

from intact.assist.keep.keep import ResponseRow, State

_LOG = logging.getLogger("intact.assist")
FILE = "begun.jsonl"
MAX_BYTES = 64 << 20


class Begun:
    """A file that only grows while something in it is not kept yet, and is emptied when all is.

    Args:
        directory: the data directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._pending: set[str] = set()
        self._file = -1
        try:
            self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            _LOG.warning("questions that are asked just before a crash may be lost: %s", error)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def note(self, row: ResponseRow, first: str) -> None:
        """Write one, with its first event."""
        self._pending.add(row.id)
        self._add([{name: getattr(row, name) for name in ResponseRow.__slots__}, first])

    def forget(self, response_id: str) -> None:
        """It is kept where it belongs, or is not to be."""
        if response_id in self._pending:
            self._pending.discard(response_id)
            self._add(response_id)

    def left(self) -> list[tuple[ResponseRow, str]]:
        """Those that an earlier process wrote and did not forget, each with its first event."""
        found: dict[str, tuple[ResponseRow, str]] = {}
        try:
            size = os.fstat(self._file).st_size if self._file >= 0 else 0
            lines = os.pread(self._file, min(size, MAX_BYTES), 0).splitlines() if size else []
        except OSError as error:
            _LOG.warning("questions that were asked just before a crash are lost: %s", error)
            lines = []
        for line in lines:
            try:
                match json.loads(line):
                    case str(forgotten):
                        found.pop(forgotten, None)
                    case [dict(body), str(first)]:
                        row = ResponseRow(**{**body, "state": State(body["state"])})
                        found[row.id] = row, first
            except (ValueError, TypeError, KeyError):  # cut off by the crash: nobody was told of it yet
                continue
        self._pending |= set(found)
        return list(found.values())

    def _add(self, body: object) -> None:
        """A line begins with its end, so that one that was cut off spoils no other."""
        if self._file < 0:
            return
        try:
            if self._pending:
                os.write(self._file, b"\n" + json.dumps(body, ensure_ascii=True).encode("ascii"))
            else:
                os.ftruncate(self._file, 0)
        except OSError as error:
            _LOG.warning("a question that is asked just before a crash may be lost: %s", error)
