"""What goes on in this process while the place where things are kept between requests is out of reach."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from intact.assist.identity import UseOnce
from intact.assist.keep.keep import MAX_READING_BYTES, KeepUnavailable, as_text, new_id
from intact.assist.tool import Readings

_LOG = logging.getLogger("intact.assist")
MOST_IDS = 100_000
MOST_READINGS = 64
AWAY_S = 5.0  # so long the place is not asked again


class UsedIds:
    """Notes the id of each identity that is used, here and in the place for it.

    Args:
        use_once: notes it for all processes.
        clock: epoch nanoseconds.
    """

    def __init__(self, use_once: UseOnce, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._use_once = use_once
        self._clock = clock
        self._seen: dict[str, int] = {}  # in the order of their use, which is nearly that of their ends
        self._away_until = 0.0

    async def use(self, used_id: str, expires_ns: int) -> bool:
        """True the first time only; False also for one that has expired, and where too many are to be remembered."""
        now = self._clock()
        while self._seen and next(iter(self._seen.values())) <= now:
            self._seen.pop(next(iter(self._seen)))
        if expires_ns <= now or used_id in self._seen or len(self._seen) >= MOST_IDS:
            return False
        self._seen[used_id] = expires_ns
        if time.monotonic() < self._away_until:
            return True
        try:
            return await self._use_once(used_id, expires_ns)
        except KeepUnavailable:
            self._away_until = time.monotonic() + AWAY_S
            return True


class HeldReadings:
    """Readings of the live machine: kept, or else held here for as long as their answer is made and verified."""

    def __init__(self, kept: Readings) -> None:
        self._kept = kept
        self._held: dict[str, tuple[str, dict[str, Any]]] = {}
        self._away_until = 0.0
        self._lock = threading.Lock()

    def put(self, asker: str, body: dict[str, Any]) -> str:
        if time.monotonic() >= self._away_until:
            try:
                return self._kept.put(asker, body)
            except KeepUnavailable as error:
                if len(as_text(body)) > MAX_READING_BYTES:
                    raise
                self._away_until = time.monotonic() + AWAY_S
                _LOG.warning("a reading is held, not kept: %s", error)
        key = new_id("held")
        with self._lock:
            while len(self._held) >= MOST_READINGS:
                self._held.pop(next(iter(self._held)))
            self._held[key] = (asker, body)
        return key

    def get(self, asker: str, reading_id: str) -> dict[str, Any] | None:
        held = self._held.get(reading_id)
        if held is not None:
            return held[1] if held[0] == asker else None
        return self._kept.get(asker, reading_id)
