"""Evidence got again: only what is the same the second time backs a claim."""

import asyncio
import logging
from collections.abc import Iterable

from intact.assist.answers import Evidence
from intact.assist.asking import Asker
from intact.assist.case import ToolPool

_LOG = logging.getLogger("intact.assist")

AGAIN_S = 20.0  # for one piece of evidence


async def holding(evidence: Iterable[Evidence], pool: ToolPool, asker: Asker) -> dict[str, Evidence]:
    """The evidence, by id, that its tool gives again with the same rows."""
    found = list(evidence)
    same = await asyncio.gather(*(_is_same(each, pool, asker) for each in found))
    return {each.id: each for each, holds in zip(found, same, strict=True) if holds}


async def _is_same(evidence: Evidence, pool: ToolPool, asker: Asker) -> bool:
    try:
        async with asyncio.timeout(AGAIN_S):
            again = await pool.call(asker, evidence.tool, dict(evidence.answer.arguments))
    except Exception as error:  # whatever a tool raises, it did not give the rows again
        _LOG.info("%s of %s cannot be got again: %s", evidence.id, evidence.tool, type(error).__name__)
        return False
    return again.rows_hash == evidence.answer.rows_hash
