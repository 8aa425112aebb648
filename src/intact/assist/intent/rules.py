"""The table of suspicious patterns (`rules.tsv`), read once: orders, and what is smuggled in place of words."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("rules.tsv")
_PART = re.compile("<<([A-Z_]+)>>")


class Family(StrEnum):
    RULES = "rules"  # change what the assistant is or obeys
    PROMPT = "prompt"  # hand out what it was told
    SECRETS = "secrets"  # secrets, and what belongs to others
    CODE = "code"  # SQL, shell, markup, templates, paths where words are expected
    DESTROY = "destroy"  # orders of a destructive act


class Spared(StrEnum):
    """When a match is only talk about such a thing (see `suspicious.is_talk`)."""

    NEVER = "never"
    TALK = "talk"  # asked what it is, how it is met, or who says so
    MENTION = "mention"  # that, and asked who did it


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One pattern over folded text; every repetition in it is bounded."""

    name: str
    family: Family
    pattern: re.Pattern[str]
    spared: Spared
    example: str  # what it is for, and its test


@cache
def rules() -> tuple[Rule, ...]:
    """The table, in its order."""
    return _table()[0]


@cache
def part(name: str) -> re.Pattern[str]:
    """A named part of the table, by itself."""
    return re.compile(_table()[1][name], re.M)


@cache
def _table() -> tuple[tuple[Rule, ...], dict[str, str]]:
    parts: dict[str, str] = {}
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line:
            continue
        if line.startswith("="):
            name, pattern = line[1:].split("\t")
            parts[name] = _filled(pattern, parts)
            continue
        name, spared, pattern, example = line.split("\t")
        found.append(
            Rule(
                name=name,
                family=Family(name.split(".", 1)[0]),
                pattern=re.compile(_filled(pattern, parts), re.M),
                spared=Spared(spared),
                example=example,
            )
        )
    return tuple(found), parts


def _filled(pattern: str, parts: dict[str, str]) -> str:
    return _PART.sub(lambda m: parts[m[1]], pattern)
