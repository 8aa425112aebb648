"""Commands and environments of the agents, not executed."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agents.install import NAMES, InstallError
from tests.agents.run import DUMMY_KEY, SMALL_NAMES, available, command, main


@dataclass(frozen=True, slots=True, kw_only=True)
class Somewhere:
    base_url: str = "https://127.0.0.1:1"
    ca_pem: Path = Path("/ca.pem")


@pytest.mark.parametrize("name", [*NAMES, *SMALL_NAMES])
def test_environment_is_clean(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := available(name):
        pytest.skip(reason)
    monkeypatch.setenv("HTTPS_PROXY", "http://outside")
    monkeypatch.setenv("OPENAI_API_KEY", "real")
    made = command(name, prompt="the words", home=tmp_path / "home", workdir=tmp_path / "work", standin=Somewhere())
    assert "the words" in made.argv
    assert "HTTPS_PROXY" not in made.env
    assert made.env["HOME"] == str(tmp_path / "home")
    assert {value for key, value in made.env.items() if key.endswith("_KEY")} == {DUMMY_KEY}
    assert Path(made.argv[0]).is_file()
    assert {value for key, value in made.env.items() if key.endswith("_URL")} <= {
        "https://127.0.0.1:1",
        "https://127.0.0.1:1/v1",
    }


def test_missing_agent_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTACT_AGENTS", str(tmp_path))
    assert available("gemini") == "agent gemini is not installed: python -m tests.agents.install gemini"
    with pytest.raises(InstallError, match="not installed"):
        command("gemini", prompt="p", home=tmp_path / "h", workdir=tmp_path / "w", standin=Somewhere())


def test_by_hand(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.json"
    path = "{{workdir}}/made.txt"
    script.write_text(
        f'[{{"tool_calls": [{{"name": "write_file", "arguments": {{"path": "{path}", "content": "x"}}}}]}}, {{"text": "bye"}}]'
    )
    assert main(["small", "--script", str(script), "--keep", str(tmp_path / "kept")]) == 0
    said = capfd.readouterr()
    assert said.out == "bye\n"
    assert "step 0  ['write_file']" in said.err
    assert (tmp_path / "kept" / "work" / "made.txt").read_text() == "x"


def test_wrong_script_names_the_reason(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('[{"speed": 3}]')
    with pytest.raises(TypeError, match="speed"):
        main(["small", "--script", str(script), "--keep", str(tmp_path / "kept")])
