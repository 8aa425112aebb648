"""Values as answers write them, and text of others that stays text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.assist.answers import Evidence, ToolAnswer
from intact.assist.asking import Language
from intact.assist.expert import Report, Statement, Value
from intact.assist.rendering import code_span, render, text_of, visible, written


def evidence(columns: str, *rows: tuple[Any, ...], **more: Any) -> Evidence:
    answer = ToolAnswer(query="", arguments={}, columns=tuple(columns.split()), rows=rows, **more)
    return Evidence(id="e1", tool="host.any", answer=answer)


@pytest.mark.parametrize(
    ("cell", "unit", "how", "shown"),
    [
        (1_610_612_736, "bytes", {"form": "bytes"}, "1.5 GiB"),
        (512, "bytes", {"form": "bytes"}, "512 B"),
        (2_048, "KiB", {"form": "bytes"}, "2.0 MiB"),
        (97.34, "%", {"form": "percent"}, "97.3%"),
        (0.5, "ratio", {"form": "percent", "digits": 0}, "50%"),
        (3_200_000, "ns", {"form": "duration"}, "3.2 ms"),
        (90, "s", {"form": "duration"}, "90.0 s"),
        (7_200, "s", {"form": "duration"}, "2.0 h"),
        (1_795_176_000_000_000_000, "epoch_ns", {"form": "time"}, "2026-11-20 12:00:00 UTC"),
        (1.2345, "usd", {"form": "usd"}, "$1.23"),
        (0.00123, "usd", {"form": "usd"}, "$0.0012"),
        (1_234_567, "", {}, "1,234,567"),
        (2.25, "", {"digits": 2}, "2.25"),
        (None, "", {}, "unknown"),
        (True, "", {}, "yes"),
    ],
)
def test_a_value_has_its_form(cell: Any, unit: str, how: dict[str, Any], shown: str) -> None:
    of = evidence("x", (cell,), units={"x": unit} if unit else {})
    assert written(Value(evidence_id="e1", column="x", **how), of, Language.EN) == shown


def test_numbers_that_are_names_have_no_thousands() -> None:
    of = evidence("pid port run_id", (12345, 50122, 7654321))
    assert [written(Value(evidence_id="e1", column=name), of, Language.EN) for name in of.answer.columns] == [
        "12345", "50122", "7654321"]  # fmt: skip


@pytest.mark.parametrize(("how", "shown"), [("count", "3"), ("sum", "6"), ("min", "1"), ("max", "3"), ("mean", "2.0")])
def test_a_column_is_reckoned(how: str, shown: str) -> None:
    of = evidence("x", (1,), (2,), (3,))
    assert written(Value(evidence_id="e1", how=how, column="x"), of, Language.EN) == shown


def test_what_is_not_there_is_unknown() -> None:
    of = evidence("x", (1,))
    for value in (Value(evidence_id="e1", column="y"), Value(evidence_id="e1", column="x", row=5)):
        assert written(value, of, Language.ZH) == "未知"
    assert written(Value(evidence_id="e9", column="x"), None, Language.EN) == "unknown"


def test_citations_follow_their_values_and_come_once_for_neighbours() -> None:
    values = {name: Value(evidence_id=of, column="x") for name, of in (("a", "e1"), ("b", "e1"), ("c", "e2"))}
    report = Report(statements=(Statement(text="{a} of {b} (and {c}).", values=values),))
    found = {"e1": evidence("x", (1,)), "e2": evidence("x", (2,))}
    assert text_of(render(report, found, Language.EN)) == "1 of 1 [e1] (and 2) [e2]."


def test_several_statements_are_a_list_under_their_title() -> None:
    report = Report(statements=(Statement(text="one"), Statement(text="  two"), Statement(text="three")), title="T")
    assert text_of(render(report, {}, Language.EN)) == "### T\n\n- one\ntwo\n- three"


@given(st.text(max_size=300))
def test_text_of_others_is_one_code_span(text: str) -> None:
    span = code_span(text)
    assert span[0] == span[-1] == "`"
    assert "`" not in span[1:-1]
    assert span.isprintable()
    assert len(span) <= 200 * 10 + 3


def test_what_does_not_show_is_written_out() -> None:
    assert visible("a\u202eb\x1b[31m\u200b\n") == "a\\u202eb\\x1b[31m\\u200b\\n"
