"""Every key of the config is told in both languages, with what it may be."""

import re
from collections.abc import Mapping

import pytest
from pydantic import BaseModel

from intact.assist.setting_labels import LABELS as ASSIST_LABELS
from intact.assist.settings import AssistSettings
from intact.model.config import Config
from intact.model.config_keys import LABELS, Label, config_keys, section_keys
from intact.serve.settings import LABELS as SERVE_LABELS
from intact.serve.settings import Settings

CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.mark.parametrize(
    ("model", "labels", "before"),
    [(Config, LABELS, ""), (Settings, SERVE_LABELS, "serve."), (AssistSettings, ASSIST_LABELS, "assist.")],
)
def test_every_key_has_both_languages_and_no_label_is_left_over(
    model: type[BaseModel], labels: Mapping[str, Label], before: str
) -> None:
    assert [key.path for key in section_keys(model, labels, before)] == list(labels)
    for label in labels.values():
        assert label.en.isascii()
        assert label.description_en.isascii()
        assert CHINESE.search(label.zh)
        assert CHINESE.search(label.description_zh)


def test_no_two_keys_have_the_same_name() -> None:
    labels = [*LABELS.values(), *SERVE_LABELS.values(), *ASSIST_LABELS.values()]
    for names in ([label.en for label in labels], [label.zh for label in labels]):
        assert len(names) == len(set(names))


def test_names_are_those_that_users_know() -> None:
    keys = {key.path.removeprefix("inputs.proc.ai_agent."): key.label for key in config_keys()}
    assert (keys["http_endpoints"].en, keys["http_endpoints"].zh) == ("HTTP Endpoints", "HTTP 端点")
    assert (keys["max_payload_size"].en, keys["max_payload_size"].zh) == ("Max Payload Size", "最大载荷大小")
    assert (keys["file_io_enabled"].en, keys["file_io_enabled"].zh) == ("File IO Enabled", "文件 IO 事件")
    assert keys["enforcement.enabled"].zh == "开启执行治理"


def test_what_a_key_may_be() -> None:
    keys = {key.path: key for key in config_keys()}
    size = keys["inputs.proc.ai_agent.max_payload_size"]
    assert (size.type, size.allowed, size.default, size.is_reloaded) == ("integer", "0 to 2147483647", 0, True)
    mode = keys["inputs.proc.ai_agent.enforcement.mode"]
    assert (mode.type, mode.allowed, mode.default) == ("string", "audit_only, block", "audit_only")
    assert keys["inputs.proc.process_matcher[].match_regex"].default is None
    assert [path for path, key in keys.items() if not key.is_reloaded] == [
        *("scope.cgroup", "spool.segment_seconds", "spool.raw_reads"),
    ]
