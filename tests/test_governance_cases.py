"""Every test that docs/governance.md names is there, and each case is listed once."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "governance.md").read_text()
CASES = 118


def test_every_named_test_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert named
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"


def test_each_case_is_listed_once() -> None:
    listed = []
    for line in re.findall(r"^\| ([\d, –]+) \|", TEXT, re.MULTILINE):
        for part in line.split(","):
            first, _, last = part.strip().partition("–")
            listed += range(int(first), int(last or first) + 1)
    assert sorted(listed) == list(range(1, CASES + 1))
