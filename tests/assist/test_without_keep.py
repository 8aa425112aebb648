"""What goes on without the place where things are kept: identities are used once all the same, readings are held."""

import asyncio
from typing import Any

import pytest

from intact.assist.keep.keep import KeepUnavailable
from intact.assist.without_keep import MOST_READINGS, HeldReadings, UsedIds

SECOND = 10**9


class Place:
    """Where ids and readings are kept, as long as it is there."""

    def __init__(self) -> None:
        self.is_there = True
        self.asked = 0
        self.ids: set[str] = set()

    async def use_once(self, used_id: str, expires_ns: int) -> bool:
        self._ask()
        if used_id in self.ids:
            return False
        self.ids.add(used_id)
        return expires_ns > 0

    def put(self, asker: str, body: dict[str, Any]) -> str:
        self._ask()
        return f"rdg_{asker}"

    def get(self, asker: str, reading_id: str) -> dict[str, Any] | None:
        self._ask()
        return {} if reading_id == f"rdg_{asker}" else None

    def _ask(self) -> None:
        self.asked += 1
        if not self.is_there:
            raise KeepUnavailable("gone")


def test_an_identity_is_used_once_with_and_without_its_place() -> None:
    place = Place()
    place.ids.add("by another process")
    now = [100 * SECOND]
    used = UsedIds(place.use_once, clock=lambda: now[0])

    async def work() -> None:
        end = 160 * SECOND
        assert await used.use("a", end)
        assert not await used.use("a", end)
        assert not await used.use("by another process", end)
        assert not await used.use("expired", now[0])
        place.is_there = False
        assert await used.use("b", end)
        assert not await used.use("b", end)
        assert not await used.use("a", end)
        asked = place.asked
        assert await used.use("c", end)
        assert place.asked == asked, "it is not asked again at once"
        now[0] = end
        assert not await used.use("b", end), "it has expired"
        assert await used.use("d", end + SECOND)

    asyncio.run(work())


def test_readings_are_held_for_their_asker_only() -> None:
    place = Place()
    readings = HeldReadings(place)
    assert readings.put("ann", {"x": 1}) == "rdg_ann"
    place.is_there = False
    key = readings.put("ann", {"x": 2})
    asked = place.asked
    assert readings.get("ann", key) == {"x": 2}
    assert readings.get("ben", key) is None
    for number in range(MOST_READINGS):
        readings.put("ann", {"x": number})
    assert place.asked == asked
    with pytest.raises(KeepUnavailable):
        readings.get("ann", key)
