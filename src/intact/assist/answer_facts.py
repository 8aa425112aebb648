"""An answer that has ended as facts for the store: what it was about and what it took."""

from collections.abc import Callable

from intact.assist.keep.keep import ResponseRow
from intact.assist.plain_events import Plain
from intact.assist.spans import spans_of
from intact.model.facts import Answer, Span
from intact.model.identity import text_id

MAX_QUESTION = 500


def facts_of(row: ResponseRow, events: list[Plain], redact: Callable[[str], str]) -> tuple[Answer, tuple[Span, ...]]:
    """The answer and its spans.

    Args:
        redact: gives a text without secrets.
    """
    done = row.done or {}
    answer = Answer(
        id=text_id("answer", row.id),
        response_id=row.id,
        session_id=row.session_id,
        owner=row.owner,
        question=redact(str(row.question["text"]))[:MAX_QUESTION],
        language=str(row.question["language"]),
        intent_type=done.get("intent_type") or "",
        expert=done.get("expert") or "",
        model=done.get("model") or "",
        verdict=done.get("verdict") or "",
        struck=done.get("struck", 0),
        tool_calls=done.get("tool_calls", 0),
        input_tokens=done.get("input_tokens", 0),
        output_tokens=done.get("output_tokens", 0),
        started_ns=row.started_ns,
        ended_ns=row.ended_ns or row.started_ns,
    )
    spans = tuple(
        Span(
            id=text_id("span", each.trace_id, each.span_id),
            trace_id=each.trace_id,
            span_id=each.span_id,
            parent_id=each.parent_id,
            name=each.name,
            kind=each.kind,
            started_ns=each.started_ns,
            ended_ns=each.ended_ns,
            ok=each.ok,
            attributes=dict(each.attributes),
        )
        for each in spans_of(row, events)
    )
    return answer, spans
