"""The questions whose first packet went before anything of them was kept: a file each until it is, so that none is lost.

A file is a few dozen microseconds; the place where responses are kept may be far away, or wait for others.
"""

import contextlib
import json
import logging
import os
from pathlib import Path

from intact.assist.keep.keep import ResponseRow, State

_LOG = logging.getLogger("intact.assist")
DIRECTORY = "begun"
MOST = 1_000
MAX_BYTES = 1 << 20


class Begun:
    """Files in a directory of their own; what cannot be written or read is as if it had not been asked.

    Args:
        directory: the data directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / DIRECTORY
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            _LOG.warning("questions that are asked just before a crash may be lost: %s", error)

    def note(self, row: ResponseRow, first: str) -> None:
        """Write one, with its first event."""
        body = {name: getattr(row, name) for name in ResponseRow.__slots__}
        text = json.dumps([body, first], ensure_ascii=True).encode("ascii")
        try:
            file = os.open(self._directory / row.id, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                os.write(file, text)
            finally:
                os.close(file)
        except OSError as error:
            _LOG.warning("a question that is asked just before a crash may be lost: %s", error)

    def forget(self, response_id: str) -> None:
        """It is kept where it belongs."""
        with contextlib.suppress(OSError):
            os.unlink(self._directory / response_id)

    def left(self) -> list[tuple[ResponseRow, str]]:
        """Those that an earlier process wrote and did not forget, each with its first event."""
        found = []
        with contextlib.suppress(OSError):
            for path in sorted(self._directory.iterdir())[:MOST]:
                try:
                    body, first = json.loads(path.read_bytes()[:MAX_BYTES])
                    found.append((ResponseRow(**{**body, "state": State(body["state"])}), str(first)))
                except (OSError, ValueError, TypeError, KeyError):  # cut off by the crash: nobody was told of it yet
                    self.forget(path.name)
        return found
