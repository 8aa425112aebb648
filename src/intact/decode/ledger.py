"""What was seen, passed and lost, kernel side and here, told about once a second and at the end."""

from collections.abc import Iterator, Mapping

from intact.decode.records import Ring
from intact.decode.wire import Counter
from intact.model.facts import Loss, StageCount

# As often as a person looks; more would be rows that say nothing.
TELL_EVERY_NS = 1_000_000_000

_CAUSES = {
    Counter.LOST_RING_FULL: "ring_full",
    Counter.LOST_MAP_FULL: "map_full",
    Counter.LOST_FAULT: "fault",
    Counter.LOST_TOO_LONG: "too_long",
    Counter.COUNT_COMPAT: "compat",
}


class Ledger:
    """Adds up per family; `tell` gives what was added since it was told last."""

    def __init__(self) -> None:
        self._kernel: dict[str, tuple[int, ...]] = {}  # cumulative, as it came
        self._kernel_told: dict[str, tuple[int, ...]] = {}
        self._received: dict[str, int] = {}
        self._lost: dict[tuple[str, str], int] = {}
        self._told_ns: int | None = None

    def count_kernel(self, counters: Mapping[str, tuple[int, ...]]) -> None:
        """The kernel side's own counters, cumulative."""
        for family, values in counters.items():
            if len(values) == len(Counter):
                self._kernel[family] = tuple(values)

    def count_ring(self, ring: Ring) -> None:
        """Records received, and those that could not be read."""
        self._received[ring.family] = self._received.get(ring.family, 0) + ring.received
        if ring.rejected:
            self.count_lost(ring.family, "malformed", ring.rejected)

    def count_lost(self, family: str, cause: str, count: int) -> None:
        """Records that were received and not passed on."""
        if count:
            self._lost[family, cause] = self._lost.get((family, cause), 0) + count

    def tell_due(self, at_ns: int) -> Iterator[StageCount | Loss]:
        """`tell`, if it is time."""
        if self._told_ns is None:
            self._told_ns = at_ns
        if at_ns - self._told_ns >= TELL_EVERY_NS:
            yield from self.tell(at_ns)

    def tell(self, at_ns: int) -> Iterator[StageCount | Loss]:
        """Counts since the last call; seen = passed + lost in each stage."""
        self._told_ns = at_ns
        for family in sorted(self._kernel):
            yield from self._tell_kernel(family, at_ns)
        for family in sorted(self._received):
            lost = {cause: n for (of, cause), n in sorted(self._lost.items()) if of == family}
            seen = self._received[family]
            stage = f"decode.{family}"
            if seen:
                yield StageCount(stage=stage, at_ns=at_ns, seen=seen, passed=seen - sum(lost.values()))
            for cause, count in lost.items():
                yield Loss(stage=stage, cause=cause, count=count, at_ns=at_ns)
        self._received, self._lost = {}, {}

    def _tell_kernel(self, family: str, at_ns: int) -> Iterator[StageCount | Loss]:
        now = self._kernel[family]
        before = self._kernel_told.get(family, (0,) * len(now))
        delta = [a - b for a, b in zip(now, before, strict=True)]
        self._kernel_told[family] = now
        stage = f"kernel.{family}"
        # 32-bit calls are no events to the kernel side: it only knows that there were some.
        seen = delta[Counter.COUNT_SEEN] + delta[Counter.COUNT_COMPAT]
        if seen > 0:
            yield StageCount(stage=stage, at_ns=at_ns, seen=seen, passed=delta[Counter.COUNT_SUBMITTED])
        for counter, cause in _CAUSES.items():
            if delta[counter] > 0:
                yield Loss(stage=stage, cause=cause, count=delta[counter], at_ns=at_ns)
