"""Experts are found; those of others cannot stop ours."""

import logging
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from intact.assist.asking import Language, Question
from intact.assist.expert import Case, Expert, Report
from intact.assist.experts.registry import GROUP, load_experts


async def _nothing(_: Case) -> Report | None:
    return None


def _weight(_: Question) -> float:
    return 0.0


TEXTS = {Language.EN: "Mine", Language.ZH: "我的"}
MINE = Expert(id="mine", names=TEXTS, about=TEXTS, prompt="", tools=("host.x",), playbook=_nothing, weight=_weight)
GOVERNANCE_TWIN = replace(MINE, id="agent_governance")
NOT_AN_EXPERT = "no expert"


def _point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=f"{__name__}:{value}", group=GROUP)


def test_ours_come_first_and_have_names_in_both_languages() -> None:
    experts = load_experts([])
    assert "agent_governance" in [expert.id for expert in experts]
    for expert in experts:
        assert set(expert.names) == set(expert.about) == set(Language)
        assert 4 <= len(expert.tools) <= 10


def test_one_of_a_third_party_is_added() -> None:
    assert load_experts([_point("mine", "MINE")])[-1] is MINE


@pytest.mark.parametrize("value", ["NOT_AN_EXPERT", "NOT_THERE", "GOVERNANCE_TWIN"])
def test_a_broken_one_is_left_out_with_one_line(value: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert load_experts([_point("other", value)]) == load_experts([])
    assert len(caplog.records) == 1
    assert "\n" not in caplog.records[0].getMessage()
