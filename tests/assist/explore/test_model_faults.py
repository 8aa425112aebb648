"""The endpoint of a model fails in every way an endpoint can: another model answers, or the playbook, and it is told."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from intact.assist.events import Event, ModelCalled
from intact.assist.executor import Executor
from intact.assist.models import Models
from intact.assist.settings import AssistSettings
from tests.assist.executor.scene import Gate, events_of, expert, question
from tests.assist.executor.test_executor import done_of, look_at_space, pool_with_space, problems_of, text_of
from tests.standin import Standin
from tests.standin.script import Script, Step

STALLS_S = 1.0
FAULTS = {
    "stalls": Step(text="late", delay_s=30.0),
    "answers 500": Step(error_status=500),
    "answers 429": Step(error_status=429),
    "answers no JSON": Step(error_status=502, error_body="<html>bad gateway</html>"),
    "closes": Step(text="a", close="before"),
    "dies in the middle": Step(text="The root filesystem is full [e1]. " * 50, close="middle"),
}
GOOD = Step(text="The root filesystem is 97.3% full [e1].")


@pytest.mark.parametrize("fault", [*FAULTS, "refuses"])
@pytest.mark.parametrize("has_fallback", [False, True], ids=["alone", "fallback"])
def test_an_endpoint_that_fails(fault: str, has_fallback: bool, tmp_path: Path) -> None:
    began = time.monotonic()
    with ExitStack() as stack:
        bad = stack.enter_context(_failing(fault, tmp_path / "bad"))
        assist = {"model": {"name": "qwen", "base_url": bad, "timeout_s": STALLS_S}}
        if has_fallback:
            good = stack.enter_context(Standin(Script(steps=(GOOD,) * 4), log_dir=tmp_path / "good", tls=False))
            # the same model elsewhere
            assist["fallback"] = {"name": "qwen", "base_url": f"{good.base_url}/v1", "timeout_s": 20}
        events = _answer(AssistSettings.model_validate(assist))
    done = done_of(events)
    calls = [event for event in events if isinstance(event, ModelCalled)]
    assert calls[0].error_type
    assert not calls[0].ok
    assert len({call.call_id for call in calls}) == len(calls)
    if has_fallback:
        assert [call.ok for call in calls] == [False, True]
        assert "97.3%" in text_of(events)
        assert done.model == "qwen"
        assert problems_of(events) == []
    else:
        assert problems_of(events) == ["model_failed"]
        assert text_of(events), "the playbook's answer stands"
        assert (done.verdict, done.model) == ("found", None)
    assert time.monotonic() - began < 25


def _answer(settings: AssistSettings) -> list[Event]:
    experts = [expert(look_at_space, tools=("host.space",))]
    return events_of(Executor(Gate(), experts, pool_with_space(), Models(settings), settings), question())


@contextmanager
def _failing(fault: str, directory: Path) -> Iterator[str]:
    if fault == "refuses":
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"
        return
    with Standin(Script(steps=(FAULTS[fault],) * 6), log_dir=directory, tls=False) as standin:
        yield f"{standin.base_url}/v1"
