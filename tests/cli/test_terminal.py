"""Nothing captured acts on the terminal, and quantities read well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.cli.terminal import clip, duration, plural, quote, safe, size


@given(st.text())
def test_safe_text_holds_no_character_that_acts(text: str) -> None:
    shown = safe(text)
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in shown)
    assert not set(shown) & set("\u202e\u2066\u2028\ufeff")


@given(st.text(), st.integers(8, 80))
def test_a_clipped_text_fits(text: str, width: int) -> None:
    assert len(clip(text, width)) <= width


def test_what_takes_no_room_is_written_out() -> None:
    assert safe("a\u200bb\u061cc\U000e0041") == "a\\u200bb\\u061cc\\U000e0041"
    assert safe("\u26a0\ufe0f \U0001f468\u200d\U0001f469") == "\u26a0\ufe0f \U0001f468\u200d\U0001f469"  # one picture


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\nb", "a\\nb"),
        ("\u202egnp", "\\u202egnp"),
        ("naïve ✓", "naïve ✓"),
    ],
)
def test_what_acts_is_written_out(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_quantities() -> None:
    assert [duration(n) for n in (5_000, 58_000_000, 12_300_000_000, 125_000_000_000, None)] == [
        "5 µs",
        "58 ms",
        "12.3 s",
        "2 min 5 s",
        "…",
    ]
    assert [size(n) for n in (0, 1023, 1024, 5 << 20)] == ["0 B", "1023 B", "1.0 KiB", "5.0 MiB"]
    assert [plural(1, "call"), plural(2, "call"), plural(2, "process")] == ["1 call", "2 calls", "2 processes"]
    assert quote(["sh", "-c", "echo hi"]) == 'sh -c "echo hi"'
    assert quote(["sh", "-c", 'echo "hi"']) == "sh -c 'echo \"hi\"'"
