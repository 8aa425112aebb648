"""`intact retention` and `intact sources` as a person meets them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from intact.cli.main import build_app
from intact.model.errors import UsageError
from intact.store.sources import DEFAULT_SOURCES, LINKED


def told(data: Path, *words: str) -> str:
    answer = CliRunner().invoke(build_app(list(words)), [*words, "--data", str(data)])
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    assert answer.exit_code == 0
    return answer.stdout


def test_retention_is_shown_and_changed(tmp_path: Path) -> None:
    shown = {row["table"]: row for row in json.loads(told(tmp_path, "retention", "--json"))}
    assert shown["file_agg_event"]["linked"] == list(LINKED)
    assert shown["net_event"] == {
        "table": "net_event", "hours": 168, "effective_hours": 168, "state": "normal", "linked": [],
    }  # fmt: skip
    changed = json.loads(told(tmp_path, "retention", "proc_ops_event", "720", "--json"))
    assert [(row["table"], row["hours"], row["effective_hours"]) for row in changed] == [(t, 720, 720) for t in LINKED]
    assert "720 h" in told(tmp_path, "retention", "file_mgmt_event")
    assert [
        row["hours"] for row in json.loads(told(tmp_path, "retention", "file_agg_event", "0", "--only", "--json"))
    ] == [0]
    assert "for ever" in told(tmp_path, "retention", "file_agg_event")


@pytest.mark.parametrize("words", [["nothing"], ["nothing", "5"], ["run", "5"], ["net_event", "99999"]])
def test_wrong_use_is_told_in_one_line(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        told(tmp_path, "retention", *words)
    assert "\n" not in str(caught.value)


def test_sources_are_listed_in_both_languages(tmp_path: Path) -> None:
    rows = json.loads(told(tmp_path, "sources", "--json", "--lang", "zh"))
    assert [row["id"] for row in rows] == [source.id for source in DEFAULT_SOURCES]
    assert rows[4] == {
        "id": 31, "name": "事件-进程阻断事件", "table": "event.proc_block_event", "interval_s": 0, "retention_hours": 168,
        "default": True, "state": "normal",
    }  # fmt: skip
    assert "Event - process blocking" in told(tmp_path, "sources")
