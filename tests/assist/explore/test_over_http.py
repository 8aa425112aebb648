"""The models of the settings over HTTP, against the stand-in for both APIs."""

from pathlib import Path

import pytest

from intact.assist.events import ModelCalled, ToolStarted
from intact.assist.executor import Executor
from intact.assist.models import Models
from intact.assist.settings import AssistSettings
from tests.assist.executor.scene import Gate, events_of, expert, question
from tests.assist.executor.test_executor import done_of, pool_with_space, problems_of, text_of
from tests.assist.explore.test_explore import pass_on
from tests.standin import Standin
from tests.standin.script import Script, Step, ToolCall

SCRIPT = Script(
    steps=(
        Step(tool_calls=(ToolCall(name="host_space", arguments={"hosts": ["web-1"]}),)),
        Step(text="The root filesystem is 97.3% full [e1], not 12.5% [e1]."),
    )
)


def settings_of(standin: Standin, provider: str, **more: object) -> AssistSettings:
    base_url = f"{standin.base_url}/v1" if provider == "openai" else standin.base_url
    model = {"provider": provider, "name": "model-1", "base_url": base_url, "timeout_s": 10}
    return AssistSettings.model_validate({"model": model, **more})


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_question_over_http(provider: str, tmp_path: Path) -> None:
    with Standin(SCRIPT, log_dir=tmp_path, tls=False) as standin:
        settings = settings_of(standin, provider)
        experts = [expert(pass_on, tools=("host.space",))]
        executor = Executor(Gate(), experts, pool_with_space(), Models(settings), settings)
        events = events_of(executor, question())
    assert text_of(events) == "The root filesystem is 97.3% full [e1], not ~~12.5%~~ (unproven) [e1]."
    assert [event.name for event in events if isinstance(event, ToolStarted)] == ["host.space"]
    called = [event for event in events if isinstance(event, ModelCalled)]
    assert [(event.provider, event.ok) for event in called] == [(provider, True)] * 2
    done = done_of(events)
    assert done.model == "model-1"
    assert done.input_tokens > 0
    assert done.output_tokens > 0


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_api_that_refuses_is_done_without(provider: str, tmp_path: Path) -> None:
    refusing = Script(steps=(Step(error_status=401),))
    with Standin(refusing, log_dir=tmp_path, tls=False) as standin:
        settings = settings_of(standin, provider)
        executor = Executor(Gate(), [expert(pass_on)], pool_with_space(), Models(settings), settings)
        events = events_of(executor, question())
    assert problems_of(events) == ["model_failed"]
    assert done_of(events).verdict == "cannot_tell"
