"""Askers, keys and used ids for the tests of authority."""

import time
from pathlib import Path

from intact.assist.asking import Asker
from intact.assist.identity import Signer, Verifier
from intact.query.row_limits import Role

ALICE = Asker(name="alice", tenant_id=3, role=Role.MEMBER, run_ids=("r1", "r2"), hosts=("web-1",))


class Used:
    """Ids that were used, in this process."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    async def once(self, used_id: str, expires_ns: int) -> bool:
        known = used_id in self.ids
        self.ids.add(used_id)
        return not known


def signer(directory: Path) -> Signer:
    directory.mkdir(exist_ok=True)
    return Signer.load(directory)


def verifier(signer: Signer, audience: str = "host", used: Used | None = None) -> Verifier:
    return Verifier(signer.public_key, audience, (used or Used()).once)


def mint(signer: Signer, asker: Asker = ALICE, audience: str = "host", *, ago_s: int = 0, ttl_s: int = 30) -> str:
    return signer.mint(asker, audience, time.time_ns() - ago_s * 1_000_000_000, ttl_s)
