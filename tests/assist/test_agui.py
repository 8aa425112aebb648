"""Every event is one of AG-UI 1.0, as its own models read it, and their order is what a client expects."""

import json
from typing import Any

from ag_ui.core import Event
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from intact.assist.agui import AgUiEncoder
from intact.assist.answers import Evidence, ToolAnswer
from intact.assist.events import (
    Chart,
    Done,
    EvidenceFound,
    Problem,
    Started,
    Step,
    Title,
    Token,
    ToolEnded,
    ToolStarted,
)
from intact.assist.events import Event as OurEvent
from intact.assist.plain_events import as_text, evidence_of, plain

READ: TypeAdapter[Any] = TypeAdapter(Event)
TEXT = st.text(max_size=40)
ANSWER = ToolAnswer(query="q", arguments={"a": 1}, columns=("x", "y"), rows=((1, "zwei"), (None, 2.5)))
EVENTS: st.SearchStrategy[OurEvent] = st.one_of(
    st.builds(Step, step=st.sampled_from(["intent", "tool", "verify"]), message=TEXT),
    st.builds(ToolStarted, call_id=TEXT, name=TEXT, description=TEXT, arguments=st.dictionaries(TEXT, TEXT)),
    st.builds(ToolEnded, call_id=TEXT, name=TEXT, ok=st.booleans(), ms=st.floats(0, 1e6), problem=TEXT),
    st.just(EvidenceFound(evidence=Evidence(id="e1", tool="agents.runs", answer=ANSWER))),
    st.builds(Chart, title=TEXT, kind=st.just("line"), evidence_id=TEXT, x=TEXT, y=st.just(("y",)), unit=TEXT),
    st.builds(Token, message=TEXT),
    st.builds(Title, message=TEXT),
    st.builds(Problem, code=TEXT, message=TEXT),
)
ENDS = st.builds(
    Done,
    verdict=st.sampled_from(["answered", "failed", "cancelled", "cannot_tell"]),
    model=st.sampled_from([None, "m"]),
)


def encoded(events: list[OurEvent]) -> list[str]:
    encoder = AgUiEncoder("thread-0123456789", "run-0123456789abcdef")
    return [text for event in events for text in encoder.encode(json.loads(as_text(plain(event, 1_700_000_000_000))))]


@given(st.lists(EVENTS, max_size=20), ENDS)
def test_every_event_is_one_of_the_protocol(between: list[OurEvent], end: OurEvent) -> None:
    begin = Started(session_id="thread-0123456789", response_id="run-0123456789abcdef")
    events = [json.loads(text) for text in encoded([begin, *between, end])]
    for event in events:
        READ.validate_python(event)
    assert events[0]["type"] == "RUN_STARTED"
    assert events[-1]["type"] in ("RUN_FINISHED", "RUN_ERROR")
    steps: list[str] = []
    is_writing = False
    for event in events:
        match event["type"]:
            case "STEP_STARTED":
                steps.append(event["stepName"])
                assert len(steps) == 1, "one step at a time"
            case "STEP_FINISHED":
                assert steps.pop() == event["stepName"]
            case "TEXT_MESSAGE_START":
                assert not is_writing
                is_writing = True
            case "TEXT_MESSAGE_CONTENT":
                assert is_writing
                assert event["delta"]
            case "TEXT_MESSAGE_END":
                is_writing = False
    assert not steps
    assert not is_writing


def test_the_text_arrives_whole() -> None:
    events = [
        json.loads(text) for text in encoded([Token(message="磁盘 "), Token(message="97.3 %"), Done(verdict="found")])
    ]
    deltas = [event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT"]
    assert "".join(deltas) == "磁盘 97.3 %"


def test_what_the_log_holds_gives_the_evidence_back() -> None:
    evidence = Evidence(id="e3", tool="host.space", answer=ANSWER)
    assert evidence_of(json.loads(as_text(plain(EvidenceFound(evidence=evidence), 0)))) == evidence


def test_a_problem_that_ends_it_is_told_as_its_error() -> None:
    events = [json.loads(text) for text in encoded([Problem(code="model", message="gone"), Done(verdict="failed")])]
    assert events[-1]["type"] == "RUN_ERROR"
    assert (events[-1]["code"], events[-1]["message"]) == ("model", "gone")
