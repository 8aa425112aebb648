"""Which room may import which, and the budgets that keep files readable. Change the house here first, then the code."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "intact"

MAY_IMPORT: dict[str, set[str]] = {
    "model": set(),
    "collect": {"model"},
    "decode": {"model"},
    "assemble": {"model"},
    "identify": {"model"},
    "correlate": {"model"},
    "store": {"model"},
    "query": {"model", "store"},
    "govern": {"model"},
    "assist": {"model", "query"},
    "serve": {"model", "query", "assist"},
    "pipeline": {"model", "decode", "assemble", "identify", "correlate"},
    "cli": {
        *(
            "model",
            "collect",
            "decode",
            "pipeline",
            "assemble",
            "identify",
            "store",
            "query",
            "govern",
            "assist",
            "serve",
        ),
    },
}
MODULE_LINES = 600
FUNCTION_LINES = 60
BPF_LINES = 250
REFUSED_NAMES = {"utils", "common", "core", "helpers", "manager", "base"}

SOURCES = sorted(PACKAGE.rglob("*.py"))


def name_of(source: Path) -> str:
    return ".".join(source.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def imports_of(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name == "intact" or name.startswith("intact.")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_only_what_it_may(room: str) -> None:
    for source in [PACKAGE / f"{room}.py", *PACKAGE.glob(f"{room}/**/*.py")]:
        if source.exists():
            rooms = {n.split(".")[1] for n in imports_of(ast.parse(source.read_text())) if n.count(".")}
            extra = rooms - MAY_IMPORT[room] - {room, "__version__"}
            assert not extra, f"{source.relative_to(PACKAGE)} may not import {sorted(extra)}"


def test_every_room_is_listed() -> None:
    rooms = {p.stem for p in PACKAGE.iterdir() if not p.name.startswith(("_", "."))} - {"py"}
    assert rooms == set(MAY_IMPORT)


def test_commands_do_not_import_each_other() -> None:
    commands = {f"intact.cli.{p.stem}" for p in (PACKAGE / "cli").glob("*.py")}
    # What commands print with and open stores with; no commands themselves.
    names = ("follow", "governing", "measuring", "reading", "sensor_governing", "terminal", "tree", "without_pandas")
    shared = {f"intact.cli.{name}" for name in names}
    for source in (PACKAGE / "cli").glob("*.py"):
        others = imports_of(ast.parse(source.read_text())) & commands - {name_of(source)} - shared
        assert not others, f"{source.name} imports {sorted(others)}"


def test_no_import_rings() -> None:
    graph = {name_of(s): imports_of(ast.parse(s.read_text())) for s in SOURCES}
    graph = {name: {i for i in found if i in graph and i != name} for name, found in graph.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"import ring: {' -> '.join((*path, name))}"
        if name not in done:
            for other in graph[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_first_party_imports_stand_at_the_top() -> None:
    for source in SOURCES:
        for function in ast.walk(ast.parse(source.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = imports_of(function)
                assert not inner, f"{source.relative_to(PACKAGE)}:{function.lineno} imports {sorted(inner)} inside"


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: str(s.relative_to(PACKAGE)))
def test_module_keeps_its_budget(source: Path) -> None:
    text = source.read_text()
    assert len(text.splitlines()) <= MODULE_LINES
    assert source.stem not in REFUSED_NAMES
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module opens with one sentence"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno + 1 <= FUNCTION_LINES, f"{node.name} is too long"


@pytest.mark.parametrize("source", sorted((ROOT / "bpf").glob("*.[ch]")), ids=lambda s: s.name)
def test_kernel_source_keeps_its_budget(source: Path) -> None:
    text = source.read_text()
    assert len(text.splitlines()) <= BPF_LINES
    assert "SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only" in text.splitlines()[0]


def test_a_planted_ring_and_a_planted_import_are_seen() -> None:
    planted = ast.parse("from intact.store import tables\nimport intact.query.sql\n")
    assert imports_of(planted) == {"intact.store", "intact.store.tables", "intact.query.sql"}
