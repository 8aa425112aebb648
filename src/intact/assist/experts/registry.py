"""Which experts there are. To add one of ours: one file with `EXPERT`, one line here; a third party offers an entry point."""

import importlib
import logging
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from intact.assist.expert import Expert

_LOG = logging.getLogger("intact.assist")

GROUP = "intact.experts"
MODULES = (
    "intact.assist.experts.host",
    "intact.assist.experts.governance",
    "intact.assist.experts.knowledge",
    "intact.assist.experts.usage",
)


def load_experts(offered: Iterable[EntryPoint] | None = None) -> tuple[Expert, ...]:
    """Ours in their order, then those of third parties by name.

    One of a third party that cannot be loaded, is no expert or has the id of another is left out, with one line in the log.

    Args:
        offered: entry points; None: those of the group `intact.experts` that are installed.
    """
    found: dict[str, Expert] = {}
    for module in MODULES:
        expert: Expert = importlib.import_module(module).EXPERT
        found[expert.id] = expert
    for point in sorted(entry_points(group=GROUP) if offered is None else offered, key=lambda each: each.name):
        problem = _take(point, found)
        if problem:
            _LOG.warning("the expert %s is left out: %s", ascii(point.name)[:80], problem)
    return tuple(found.values())


def _take(point: EntryPoint, found: dict[str, Expert]) -> str | None:
    """Why an entry point gives no expert; None: it gave one."""
    try:
        expert = point.load()
    except Exception as error:  # code of others, which may raise anything
        return f"{type(error).__name__} while it was loaded"
    if not isinstance(expert, Expert):
        return "it is no Expert"
    if expert.id in found:
        return "its id is another's"
    found[expert.id] = expert
    return None
