"""Programs by text and arguments: the new image gets a signal in `sched_process_exec`, before its first instruction."""

from collections.abc import Sequence

from intact.govern.compile import exec_entries
from intact.govern.kernel import Scope
from intact.govern.plan import Part


class ExecKill:
    """The entries of the exec program."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def apply(self, parts: Sequence[Part]) -> None:
        """Make these parts, and no others, what is decided by."""
        entries = exec_entries(parts)
        settings = self._scope.settings
        settings.exec_entries = 0
        self._scope.write()
        self._scope.set_entries("exec_entries", entries)
        settings.exec_entries = len(entries)
        settings.strict = any(part.rule.fail == "closed" for part in parts)
        self._scope.write()
