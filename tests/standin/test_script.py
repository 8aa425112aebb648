"""Scripts as values and as JSON."""

import json
from pathlib import Path

import pytest

from tests.standin.script import DEFAULT, Script, Step, ToolCall, from_json, load, named, to_json

SCRIPT = Script(
    steps=(
        Step(text="a", tool_calls=(ToolCall(name="shell", arguments={"command": "ls"}),), chunk_bytes=(1, 2)),
        Step(error_status=500, tool_calls=(ToolCall(name="shell"),)),
        Step(text="b", headers={"x": "y"}),
    )
)


def test_json_round_trip() -> None:
    scripts = {"one": SCRIPT, "two": Script(steps=(), tools_required=False)}
    assert from_json(json.loads(json.dumps(to_json(scripts)))) == scripts


def test_the_three_forms_of_a_file(tmp_path: Path) -> None:
    step = {"text": "in {{workdir}}", "chunk_bytes": 7}
    expected = Script(steps=(Step(text="in /w", chunk_bytes=(7,)),))
    for document in ([step], {"steps": [step]}, {DEFAULT: [step]}):
        path = tmp_path / "script.json"
        path.write_text(json.dumps(document))
        assert load(path, {"workdir": "/w"}) == named(expected)


def test_a_failed_step_leaves_no_results() -> None:
    assert SCRIPT.positions() == [0, 1, 1]


@pytest.mark.parametrize("wrong", [{"compression": "lzma"}, {"close": "soon"}, {"chunk_bytes": (0,)}])
def test_wrong_steps_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Step(**wrong)  # type: ignore[arg-type]
