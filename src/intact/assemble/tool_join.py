"""Tool calls waiting for the request that carries their result back."""

from dataclasses import replace

from intact.assemble.llm.reading import ToolResult
from intact.model.facts import ToolCall

# Calls asked and never answered, and calls answered whose ids a later request may repeat.
MAX_WAITING = 10_000
MAX_ANSWERED = 50_000


class ToolJoin:
    """Finds the call a result belongs to: by the provider's id in the process, then anywhere; else by name and order."""

    def __init__(self) -> None:
        self._waiting: dict[int, ToolCall] = {}
        self._waiting_ids: dict[tuple[int, str], int] = {}
        self._answered: dict[tuple[int, str], int] = {}
        self.forgotten = 0
        """Calls dropped before an answer came, to stay within bounds."""

    def asked(self, tool: ToolCall) -> None:
        """A call that now waits."""
        self._waiting[tool.id] = tool
        if tool.tool_call_id is not None:
            for process_id in (tool.process_id, 0):
                self._waiting_ids[process_id, tool.tool_call_id] = tool.id
                self._answered.pop((process_id, tool.tool_call_id), None)
        if len(self._waiting) > MAX_WAITING:
            self._forget(next(iter(self._waiting.values())))
            self.forgotten += 1

    def answered(
        self, result: ToolResult, *, process_id: int, call_id: int, at_ns: int
    ) -> tuple[int | None, ToolCall | None]:
        """The id of the call this result belongs to, and the call with its result if that is news."""
        tool = self._find(result, process_id)
        if tool is None:
            return self._known(result, process_id), None
        self._forget(tool)
        for name in {tool.tool_call_id, result.tool_call_id} - {None}:
            assert name is not None
            self._answered[process_id, name] = self._answered[0, name] = tool.id
        while len(self._answered) > MAX_ANSWERED:
            self._answered.pop(next(iter(self._answered)))
        done = replace(tool, result_call_id=call_id, result=result.result, is_error=result.is_error, answered_ns=at_ns)
        return tool.id, done

    def _find(self, result: ToolResult, process_id: int) -> ToolCall | None:
        if result.tool_call_id is not None:
            for process in (process_id, 0):
                if found := self._waiting_ids.get((process, result.tool_call_id)):
                    return self._waiting[found]
            if self._known(result, process_id) is not None:
                return None
        if result.name is None or not result.is_new:
            return None
        # Without the provider's ids: of the latest call that asked for this tool, the first not yet answered.
        same = [
            tool
            for tool in self._waiting.values()
            if tool.name == result.name and tool.process_id == process_id and not tool.server_side
        ]
        latest = [tool for tool in same if tool.call_id == same[-1].call_id]
        return min(latest, key=lambda tool: tool.order, default=None)

    def _known(self, result: ToolResult, process_id: int) -> int | None:
        if result.tool_call_id is None:
            return None
        name = result.tool_call_id
        return self._answered.get((process_id, name)) or self._answered.get((0, name))

    def _forget(self, tool: ToolCall) -> None:
        del self._waiting[tool.id]
        for process_id in (tool.process_id, 0):
            key = (process_id, tool.tool_call_id or "")
            if self._waiting_ids.get(key) == tool.id:
                del self._waiting_ids[key]
