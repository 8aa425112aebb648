"""Which end of a connection a process is: told at connect and accept, remembered for what comes later on the same socket."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from intact.model.effects import Kind

ROLES = ("", "client", "server")
_CLIENT, _SERVER = 1, 2
# Of more open sockets than this the oldest are forgotten.
MAX_SOCKETS = 20_000

_OF_KIND = np.zeros(256, np.uint8)
_OF_KIND[[int(Kind.CONNECT), int(Kind.SEND)]] = _CLIENT
_OF_KIND[[int(Kind.ACCEPT), int(Kind.BIND), int(Kind.LISTEN)]] = _SERVER


class Roles:
    """The role of each open socket's process."""

    def __init__(self) -> None:
        self._sockets: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._roles: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)

    def of(self, batch: pa.RecordBatch) -> pa.Array:
        """The role in each row of a `net` batch, as text; empty where it is not known."""
        kinds = batch.column("kind").to_numpy(zero_copy_only=False)
        sockets = np.concatenate([self._sockets, batch.column("socket").to_numpy(zero_copy_only=False)])
        told = np.concatenate([self._roles, _OF_KIND[kinds]])
        is_close = np.concatenate([np.zeros(len(self._roles), bool), kinds == int(Kind.CLOSE)])
        order = np.argsort(sockets, kind="stable")
        ordered, known, ends = sockets[order], told[order], is_close[order]
        is_new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        # a row that tells nothing has the role of the row before it on its socket
        source = np.where((known != 0) | is_new, np.arange(len(known)), 0)
        filled = known[np.maximum.accumulate(source)]
        roles = np.zeros(len(filled), np.uint8)
        roles[order] = filled
        answer = roles[len(self._roles) :]
        last = np.flatnonzero(np.concatenate([is_new[1:], [True]]))
        keep = np.sort(order[last[(ordered[last] != 0) & (filled[last] != 0) & ~ends[last]]])[-MAX_SOCKETS:]
        self._sockets, self._roles = sockets[keep], roles[keep]
        texts = pa.DictionaryArray.from_arrays(pa.array(answer.astype(np.int32)), pa.array(ROLES))
        return texts.cast(pa.string())
