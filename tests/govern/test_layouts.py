"""The C and Python layouts of rules and hits agree, field by field: the compiler is the judge."""

import shutil
import subprocess
from ctypes import sizeof
from pathlib import Path

import pytest

from intact.govern import layouts

HEADER = Path(__file__).parents[2] / "bpf" / "govern.h"
COMPILERS = [name for name in ("clang", "clang-14", "gcc", "cc") if shutil.which(name)]
ENUMS = {
    "ACTION_": layouts.Action,
    "OUTCOME_": layouts.Outcome,
    "HIT_": layouts.HitKind,
    "HOOK_": layouts.Hook,
    "PATH_": layouts.PathMatch,
}


def compiled(claims: list[str]) -> str:
    assert COMPILERS, "no C compiler"
    command = [COMPILERS[0], "-fsyntax-only", "-include", "stddef.h", "-include", str(HEADER), "-x", "c", "-"]
    return subprocess.run(command, input="\n".join(claims), text=True, capture_output=True, check=False).stderr


@pytest.mark.parametrize("name", layouts.STRUCTS)
def test_layouts_agree(name: str) -> None:
    struct = layouts.STRUCTS[name]
    claims = [f'_Static_assert(sizeof(struct {name}) == {sizeof(struct)}, "{name}");']
    for field, kind, *_ in struct._fields_:
        offset = getattr(struct, field).offset
        claims.append(f'_Static_assert(offsetof(struct {name}, {field}) == {offset}, "{name}.{field}");')
        claims.append(
            f'_Static_assert(sizeof(((struct {name} *)0)->{field}) == {sizeof(kind)}, "{name}.{field} size");'
        )
    assert compiled(claims) == ""


def test_numbers_agree() -> None:
    claims = [
        f'_Static_assert({name} == {value}, "{name}");'
        for name, value in {
            "GOVERN_RULES": layouts.RULES,
            "GOVERN_NET_ENTRIES": layouts.NET_ENTRIES,
            "GOVERN_EXEC_ENTRIES": layouts.EXEC_ENTRIES,
            "GOVERN_CONDITIONS": layouts.CONDITIONS,
            "GOVERN_PATH_TEXT": layouts.PATH_TEXT,
            "GOVERN_ARGUMENT_TEXT": layouts.ARGUMENT_TEXT,
            "GOVERN_RULE_SCOPE": layouts.RULE_SCOPE,
            "GOVERN_COUNTERS": layouts.COUNTERS,
        }.items()
    ]
    for prefix, enum in ENUMS.items():
        claims += [f'_Static_assert({prefix}{m.name} == {m.value}, "{prefix}{m.name}");' for m in enum]
    claims += [
        f'_Static_assert({m.name if m.name.startswith("LINE") else "ARGUMENT_" + m.name} == {m.value}, "{m.name}");'
        for m in layouts.ArgumentMatch
    ]
    assert compiled(claims) == ""


def test_a_planted_difference_is_caught() -> None:
    assert "planted" in compiled(['_Static_assert(sizeof(struct govern_hit) == 1, "planted");'])
