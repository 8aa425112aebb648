"""Links as columns: a claim is decided once and spread over the ids of the rows it covers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from intact.model.effects import LINKS, Basis, CauseKind
from intact.model.identity import U64, mix_columns

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Why rows are as they are: a cause, its grounds and how sure that is."""

    cause_id: int
    cause_kind: CauseKind
    basis: int
    confidence: float
    at_ns: int

    @property
    def stands(self) -> bool:
        """Whether this counts as a claim and not only as a hint."""
        return self.confidence >= 0.5


def housekeeping(agent_id: int, *, confidence: float, at_ns: int, basis: int = Basis.ANCESTRY) -> Claim:
    """The agent's own upkeep, done by it or a process it started."""
    return Claim(
        cause_id=agent_id, cause_kind=CauseKind.HOUSEKEEPING, basis=int(basis), confidence=confidence, at_ns=at_ns
    )


def withdrawn(claim: Claim) -> Claim:
    """What tells readers that an earlier claim no longer stands: a higher revision that claims nothing."""
    return Claim(
        cause_id=claim.cause_id, cause_kind=claim.cause_kind, basis=claim.basis, confidence=0.0, at_ns=claim.at_ns
    )


def same_cause(one: Claim | None, other: Claim | None) -> bool:
    """Whether two decisions need no new link row between them."""
    if one is None or other is None:
        return one is other
    return (one.cause_id, one.cause_kind, one.basis, one.confidence) == (
        other.cause_id,
        other.cause_kind,
        other.basis,
        other.confidence,
    )


class LinkWriter:
    """Gathers (ids, claim) pairs of one slice and writes them as one batch."""

    def __init__(self) -> None:
        self._ids: list[U64] = []
        self._claims: list[tuple[Claim, int]] = []

    def add(self, ids: U64, claim: Claim, revision: int) -> None:
        """Link every effect of `ids` to the cause of `claim`."""
        if len(ids):
            self._ids.append(ids)
            self._claims.append((claim, revision))

    def take(self) -> "pa.RecordBatch | None":
        """The batch of everything added since the last take."""
        if not self._ids:
            return None
        counts = np.fromiter((len(ids) for ids in self._ids), np.int64, len(self._ids))
        effects = np.concatenate(self._ids)
        cause = np.repeat(np.fromiter((c.cause_id for c, _ in self._claims), np.uint64, len(counts)), counts)
        small = np.array([(c.cause_kind, c.basis) for c, _ in self._claims], np.uint8)
        sure = np.fromiter((c.confidence for c, _ in self._claims), np.float32, len(counts))
        revision = np.fromiter((r for _, r in self._claims), np.uint32, len(counts))
        at = np.fromiter((c.at_ns for c, _ in self._claims), np.int64, len(counts))
        self._ids, self._claims = [], []
        columns = [
            mix_columns(cause, effects),
            cause,
            np.repeat(small[:, 0], counts),
            effects,
            np.repeat(small[:, 1], counts),
            np.repeat(sure, counts),
            np.repeat(revision, counts),
            np.repeat(at, counts),
        ]
        return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=LINKS)
