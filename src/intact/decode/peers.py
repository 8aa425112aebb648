"""Which address a descriptor of a process leads to, from the connects and accepts seen; asked once a TLS connection."""

from dataclasses import dataclass

import numpy as np

from intact.decode import wire
from intact.decode.net import connected, inet_text
from intact.decode.records import U64, Part, Rows

# Descriptors remembered: agents hold tens, a load test thousands. Beyond it the oldest are forgotten, their peers unknown.
MAX_DESCRIPTORS = 65_536
# Connections whose peer is remembered for their life.
MAX_CONNECTIONS = 65_536

_NOTE = np.dtype(
    [
        ("tgid", "u4"),
        ("fd", "i4"),
        ("start_ns", "u8"),
        ("ktime_ns", "u8"),
        ("family", "u2"),
        ("port", "u2"),
        ("address", "V16"),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Where a connection goes."""

    address: str
    port: int


class Peers:
    """Kept as columns in the order seen: many connects cost no object each, and few are ever asked for."""

    def __init__(self) -> None:
        self._notes = np.empty(0, _NOTE)
        # By connection, with the descriptor it was found by: a first guess of that may be corrected by a later piece.
        self._known: dict[int, tuple[int, Peer]] = {}

    def note(self, part: Part) -> None:
        """Remember the peers that TYPE_NET records tell."""
        rows = part.rows[connected(part.rows)]
        if len(rows):
            self._notes = np.concatenate([self._notes, _notes_of(rows)])
        if len(self._notes) > 2 * MAX_DESCRIPTORS:
            self._compact()

    def of(self, connection_id: int, tgid: int, start_ns: int, fd: int, ktime_ns: int) -> Peer | None:
        """The peer of a connection that uses `fd` of this process at that time."""
        asked, known = self._known.get(connection_id, (-1, None))
        if fd < 0 or fd == asked:
            return known
        notes = self._notes
        mine = notes[
            (notes["tgid"] == tgid)
            & (notes["fd"] == fd)
            & (notes["start_ns"] == start_ns)
            & (notes["ktime_ns"] <= ktime_ns)
        ]
        if not len(mine):
            return known
        last = mine[mine["ktime_ns"].argmax()]
        peer = Peer(address=inet_text(int(last["family"]), last["address"].tobytes()), port=int(last["port"]))
        if len(self._known) >= MAX_CONNECTIONS:
            self._known.pop(next(iter(self._known)))
        self._known[connection_id] = (fd, peer)
        return peer

    def forget(self, connection_id: int) -> None:
        """The connection is gone."""
        self._known.pop(connection_id, None)

    def _compact(self) -> None:
        """Only the newest note of each descriptor stays, and of those the newest MAX_DESCRIPTORS."""
        notes = self._notes[np.argsort(self._notes["ktime_ns"], kind="stable")]
        keys: U64 = (
            notes["start_ns"]
            ^ (notes["tgid"].astype(np.uint64) << np.uint64(32))
            ^ (notes["fd"].astype(np.uint64) << np.uint64(48))
        )
        _, newest = np.unique(keys[::-1], return_index=True)
        self._notes = notes[np.sort(len(notes) - 1 - newest)][-MAX_DESCRIPTORS:]


def _notes_of(rows: Rows) -> Rows:
    notes = np.empty(len(rows), _NOTE)
    for name in ("tgid", "start_ns", "ktime_ns", "fd", "family", "port", "address"):
        notes[name] = rows[name]
    # An accept's descriptor is its result where the probe gives the listener's as fd.
    accepted = (rows["op"] == wire.NetOp.ACCEPT) & (rows["result"] > 0)
    notes["fd"][accepted] = rows["result"][accepted]
    return notes
