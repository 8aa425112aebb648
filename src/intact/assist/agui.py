"""AG-UI 1.0: the plain events of a response as events of that protocol (https://docs.ag-ui.com/concepts/events).

A plain event becomes none, one or several of them. The encoder has a state (which step and which message are open), so
a stream that is resumed is encoded from its beginning and sent from where it broke.
"""

from collections.abc import Iterator
from typing import Any

from intact.assist.plain_events import Plain, as_text

_LEFT_OUT = {"model_call", "verdict"}  # for going on and for counting; `done` says the same
_ENDED_WELL = {"answered", "found", "nothing_wrong", "cannot_tell", "refused"}


class AgUiEncoder:
    """Encodes one response.

    Args:
        thread_id: the session.
        run_id: the response.
    """

    def __init__(self, thread_id: str, run_id: str) -> None:
        self._thread_id = thread_id
        self._run_id = run_id
        self._message_id = f"{run_id}-answer"
        self._is_writing = False
        self._step: str | None = None
        self._problem: Plain | None = None

    def encode(self, event: Plain) -> list[str]:
        """The events, each as one line of JSON."""
        at = event["timestamp"]
        return [as_text({**each, "timestamp": at}) for each in self._encode(event)]

    def _encode(self, event: Plain) -> Iterator[dict[str, Any]]:
        kind = event["type"]
        if kind == "session_response_id":
            yield {"type": "RUN_STARTED", "threadId": self._thread_id, "runId": self._run_id}
        elif kind == "thinking_step":
            yield from self._next_step(event["step"])
            yield {
                "type": "ACTIVITY_SNAPSHOT",
                "messageId": f"{self._run_id}-step",
                "activityType": "thinking_step",
                "content": {"step": event["step"], "message": event["message"]},
                "replace": True,
            }
        elif kind == "tool_call":
            call = {"toolCallId": event["id"]}
            yield {"type": "TOOL_CALL_START", **call, "toolCallName": event["name"]}
            yield {"type": "TOOL_CALL_ARGS", **call, "delta": as_text(event["arguments"])}
            yield {"type": "TOOL_CALL_END", **call}
        elif kind == "tool_result":
            content = as_text({name: event[name] for name in ("ok", "ms", "problem")})
            message_id = f"{self._run_id}-{event['id']}"
            yield {
                "type": "TOOL_CALL_RESULT",
                "messageId": message_id,
                "toolCallId": event["id"],
                "content": content,
                "role": "tool",
            }
        elif kind == "token":
            yield from self._next_step(None)
            if not self._is_writing:
                self._is_writing = True
                yield {"type": "TEXT_MESSAGE_START", "messageId": self._message_id, "role": "assistant"}
            if event["message"]:  # the protocol has no empty deltas
                yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": self._message_id, "delta": event["message"]}
        elif kind == "error":
            self._problem = event
            yield {
                "type": "CUSTOM",
                "name": "problem",
                "value": {"code": event["code"], "message": event["message"]},
            }
        elif kind == "done":
            yield from self._end(event)
        elif kind not in _LEFT_OUT:  # what a front end may want that the protocol has no event for
            value = {name: each for name, each in event.items() if name not in ("type", "timestamp")}
            yield {"type": "CUSTOM", "name": kind, "value": value}

    def _next_step(self, step: str | None) -> Iterator[dict[str, Any]]:
        if step == self._step:
            return
        if self._step is not None:
            yield {"type": "STEP_FINISHED", "stepName": self._step}
        if step is not None:
            yield {"type": "STEP_STARTED", "stepName": step}
        self._step = step

    def _end(self, event: Plain) -> Iterator[dict[str, Any]]:
        yield from self._next_step(None)
        if self._is_writing:
            yield {"type": "TEXT_MESSAGE_END", "messageId": self._message_id}
        result = {name: each for name, each in event.items() if name not in ("type", "timestamp")}
        run = {"threadId": self._thread_id, "runId": self._run_id}
        used = {"model": event["model"], "inputTokens": event["input_tokens"], "outputTokens": event["output_tokens"]}
        usage = {"usage": [used]} if event["model"] else {}
        if event["verdict"] in _ENDED_WELL:
            yield {"type": "RUN_FINISHED", **run, "result": result, "outcome": {"type": "success"}, **usage}
        elif event["verdict"] == "cancelled":
            yield {"type": "RUN_FINISHED", **run, "result": result, "outcome": {"type": "cancelled"}, **usage}
        else:
            problem = self._problem or {"code": event["verdict"], "message": "the question could not be answered"}
            yield {"type": "RUN_ERROR", "message": problem["message"], "code": problem["code"], **usage}
