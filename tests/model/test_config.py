"""The config is read whole or not at all; an error names the key, the value and what is allowed."""

from pathlib import Path

import pytest

from intact.model import config as module
from intact.model.config import Config, load_config, read_section
from intact.model.errors import UsageError
from intact.model.recognition import MatchOn


def loaded(folder: Path, text: str) -> Config:
    path = folder / "intact.yaml"
    path.write_text(text)
    return load_config(path)


def test_defaults_are_those_users_know() -> None:
    config = load_config()
    agent = config.inputs.proc.ai_agent
    assert agent.http_endpoints == ("/v1/chat/completions", "/v1/embeddings", "/v1/responses")
    assert (agent.max_payload_size, agent.file_io_enabled) == (0, True)
    assert agent.payload_bound == 64 << 20
    enforcement = agent.enforcement
    assert (enforcement.enabled, enforcement.mode, enforcement.strategy) == (False, "audit_only", "auto")
    assert enforcement.allowed_mechanisms == ("lsm", "kprobe_override")
    assert enforcement.rules == ()


def test_a_whole_file(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        """
inputs:
  proc:
    ai_agent:
      http_endpoints: [/openai/v1/chat]
      max_payload_size: 4096
      file_io_enabled: false
      enforcement:
        enabled: true
        mode: " Block "
        rules:
          - id: no-reboot
            exec: {cmdline_prefixes: [systemctl reboot]}
    process_matcher:
      - match_regex: codex
        match_type: cmdline_with_args
        enabled_features: [proc.ai_agent, proc.gprocess_info]
scope: {cgroup: /sys/fs/cgroup/unified/x}
""",
    )
    agent = config.inputs.proc.ai_agent
    assert (agent.http_endpoints, agent.payload_bound, agent.file_io_enabled) == (("/openai/v1/chat",), 4096, False)
    assert agent.enforcement.mode == "block"
    assert agent.enforcement.rules[0].exec.cmdline_prefixes == ("systemctl reboot",)
    matcher = config.inputs.proc.process_matcher[0]
    assert matcher.enabled_features == ("proc.ai_agent", "proc.gprocess_info")
    assert matcher.match_type is MatchOn.CMDLINE_WITH_ARGS
    assert config.scope.cgroup == "/sys/fs/cgroup/unified/x"


def test_a_variable_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTACT_SCOPE__CGROUP", "/a/b")
    monkeypatch.setenv("INTACT_INPUTS__PROC__AI_AGENT__HTTP_ENDPOINTS", '["/x"]')
    config = loaded(tmp_path, "scope: {cgroup: /c}\ninputs: {proc: {ai_agent: {max_payload_size: 7}}}\n")
    assert config.scope.cgroup == "/a/b"
    assert config.inputs.proc.ai_agent.http_endpoints == ("/x",)
    assert config.inputs.proc.ai_agent.max_payload_size == 7


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("inputs: {proc: {ai_agent: {http_endpoint: []}}}", "inputs.proc.ai_agent.http_endpoint"),
        ("inputs: {proc: {ai_agent: {http_endpoint: []}}}", "http_endpoints, known_endpoints, max_payload_size"),
        ("inputs: {proc: {ai_agent: {max_payload_size: -1}}}", "max_payload_size: -1 is not allowed"),
        ("inputs: {proc: {ai_agent: {max_payload_size: true}}}", "True is not allowed; allowed: a whole number"),
        ("inputs: {proc: {ai_agent: {max_payload_size: much}}}", "'much' is not allowed"),
        ("inputs: {proc: {ai_agent: {http_endpoints: [v1]}}}", "'v1' is no URL path"),
        ("inputs: {proc: {ai_agent: {enforcement: {mode: kill}}}}", "'audit_only' or 'block'"),
        ("inputs: {proc: {ai_agent: {enforcement: {rules: [{scope: host}]}}}}", "rules.0.scope"),
        ("inputs: {proc: {ai_agent: {enforcement: {rules: [{exek: 1}]}}}}", "allowed here: id, description"),
        ("inputs: {proc: {process_matcher: [{match_regex: '('}]}}", "no regular expression"),
        ("inputs: {proc: {process_matcher: [{}]}}", "match_regex is missing"),
        ("scope: {cgroup: ../x}", "an absolute path"),
        ("scope: {cgroup: /a}\nscope: {}", "stands twice"),
        ("sensor: 1", "unknown key sensor (value 1); allowed here: inputs, scope"),
        ("[1", "no YAML"),
        ("- 1", "a mapping"),
        ("a: &a [*a]", "unknown key a"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        loaded(tmp_path, text)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_variable_without_a_key_is_an_error() -> None:
    with pytest.raises(UsageError, match="INTACT_SCOP__CGROUP"):
        load_config(environ={"INTACT_SCOP__CGROUP": "/a"})


def test_no_file_is_an_error_where_one_was_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the config"):
        load_config(tmp_path / "none.yaml")


def test_sections_of_others_stand_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "intact.yaml"
    path.write_text("log_level: error\nserve: {port: 1}\nassist:\n")
    assert load_config(path).log_level == "error"
    assert (read_section(path, "serve", ()), read_section(path, "assist", ())) == ({"port": 1}, {})
    path.write_text("assist: [a]")
    with pytest.raises(UsageError, match="assist holds no keys; allowed: one, two"):
        read_section(path, "assist", ("one", "two"))
    path.write_text("serve: {port: 1, port: 2}")
    with pytest.raises(UsageError, match="stands twice"):
        read_section(path, "serve", ())


def test_a_section_is_read_from_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "intact.yaml"
    monkeypatch.setattr(module, "DEFAULT_FILES", (path,))
    assert read_section(None, "serve", ()) == {}
    path.write_text("serve: {port: 1}")
    assert read_section(None, "serve", ()) == {"port": 1}
    monkeypatch.setattr("os.access", lambda *_: False)  # the sensor's alone: whoever else starts does so without it
    assert read_section(None, "serve", ()) == {}
