"""Every column of every table is in the catalogue, in both languages, and nothing else is."""

import json
import re

import pytest
from typer.testing import CliRunner

from intact.cli.main import build_app
from intact.govern.hits import _GUARANTEES, _TARGETS
from intact.govern.layouts import Action, Outcome
from intact.govern.observe import _KINDS
from intact.govern.plan import CGROUP, EXEC_KILL, FANOTIFY, OBSERVE, SECCOMP
from intact.model.effects import Kind
from intact.model.errors import UsageError
from intact.query.catalogue import as_rows, catalogue, described, entry, line_of
from intact.query.enums import ENUMERATIONS
from intact.store.tables import BY_NAME, TABLES

CHINESE = re.compile(r"[\u4e00-\u9fff]")
GOVERNANCE = ("file_agg_event", "file_mgmt_event", "proc_perm_event", "proc_ops_event", "proc_block_event")
# the same word in both languages
SAME = {"VPC", "ID", "inode", "errno", "cgroup", "Cgroup"}


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_every_column_is_a_tag_and_every_tag_a_column(table: str) -> None:
    columns = [column.name for column in BY_NAME[table].columns if column.default != "EPHEMERAL"]
    tags = entry(table).tags
    assert [tag.name for tag in tags if tag.is_column] == columns
    assert all(
        not tag.is_column or tag.type == next(c.type for c in BY_NAME[table].columns if c.name == tag.name)
        for tag in tags
    )


def test_every_line_is_used() -> None:
    used = {line_of(table.name, c.name)[0] for table in TABLES for c in table.columns if c.default != "EPHEMERAL"}
    assert set(described()) == used


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_names_and_descriptions_are_in_both_languages(table: str) -> None:
    found = entry(table)
    assert CHINESE.search(found.title.zh)
    assert found.title.en.isascii()
    for tag in found.tags:
        assert tag.title.en
        assert tag.title.en.isascii()
        assert CHINESE.search(tag.title.zh) or tag.title.zh in SAME, tag
        assert tag.description.en
        assert CHINESE.search(tag.description.zh), tag
        assert not tag.enum or tag.values, tag


def test_enumerations_have_both_languages() -> None:
    for values in ENUMERATIONS.values():
        assert all(label.en and label.zh for label in values.values())
    assert {kind.label for kind in Kind} == set(ENUMERATIONS["kind"])
    used = {tag.enum for each in catalogue().values() for tag in each.tags if tag.enum}
    assert used == set(ENUMERATIONS)


def test_what_a_hit_of_a_policy_tells_has_labels() -> None:
    targets = {*_TARGETS.values(), *_KINDS.values()}
    assert targets == set(ENUMERATIONS["target_type"]) <= set(ENUMERATIONS["event_type"])
    assert {CGROUP, FANOTIFY, EXEC_KILL, OBSERVE, SECCOMP, "landlock"} == set(ENUMERATIONS["mechanism"])
    assert set(_GUARANTEES) == set(ENUMERATIONS["outcome"]) == {outcome.name.lower() for outcome in Outcome}
    assert set(_GUARANTEES.values()) == set(ENUMERATIONS["guarantee"])
    assert {action.name.lower() for action in Action} - {"except"} == set(ENUMERATIONS["action"])


def test_the_business_type_of_a_process_is_a_tag() -> None:
    for table in (*GOVERNANCE, "file_event"):
        [tag] = [tag for tag in entry(table).tags if tag.name == "gprocess.biz_type"]
        assert (tag.type, tag.enum, tag.is_column) == ("int_enum", "biz_type", False)
        assert [label.en for label in tag.values.values()] == ["Default", "AI-Agent"]
        assert [label.zh for label in tag.values.values()] == ["默认", "智能体"]
    two_sided = {tag.name for tag in entry("net_event").tags}
    assert {"gprocess.biz_type_0", "gprocess.biz_type_1"} <= two_sided


def test_metrics() -> None:
    for table in GOVERNANCE:
        assert {"log_count", "row"} <= {metric.name for metric in entry(table).metrics}
    found = {metric.name: (metric.type, metric.title.zh, metric.unit) for metric in entry("file_agg_event").metrics}
    assert found["bytes"] == ("counter", "字节", "Byte")
    assert found["event_count"] == ("counter", "事件聚合次数", "")
    assert found["duration"] == ("delay", "总持续时间", "us")


def test_an_unknown_table_is_told() -> None:
    with pytest.raises(UsageError, match="no table 'x'"):
        entry("x")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_command_prints_it(language: str) -> None:
    app = build_app(["catalog"])
    answer = CliRunner().invoke(app, ["catalog", "file_agg_event", "--lang", language, "--json"])
    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == as_rows(entry("file_agg_event"), language)
    assert CliRunner().invoke(app, ["catalog", "--lang", language]).exit_code == 0
    assert "event_count" in CliRunner().invoke(app, ["catalog", "file_agg_event", "--lang", language]).stdout
