"""Which rows the words around a number name: then the number is looked for in these, not in those of others."""

import re

from intact.assist.answers import ToolAnswer
from intact.assist.verify.words import words_in

MAX_NAME = 200
_DIGIT = re.compile(r"(?<![\w.-])\d", re.ASCII)
_CITED = re.compile(r"[\[【][^\]】]{0,60}[\]】]")
_WORD = re.compile(r"`([^`\n]{1,200})`|([A-Za-z0-9_/][\w./:@+-]*)", re.ASCII)
_PARTS = re.compile(r"(?<=[,，、;；])(?!\d)|\s+(?:and|while|but|whereas|or)\s+|(?:而|但|和|与)", re.IGNORECASE)
# then numbers of several rows stand in one part
_SEVERAL = re.compile(r"\b(?:respectively|each|than|compared|versus|vs)\b|分别|各自|依次|比", re.IGNORECASE)
# words of a sentence that may be values of a table as well, and then name no row
_PLAIN_WORDS = """
    a agent all and any bytes call calls cause command cpu data default detail disk down error errors failed false file files
    for found free full group health high host idle in info is it large local log low main max mean memory min model name
    network new no none normal not ok on one open other path process processes root running run runs service sleeping state
    stopped symptom system the to tool total true type unknown up used user value verdict warning yes zombie zombies
    """
_PLAIN = frozenset(_PLAIN_WORDS.split())


def rows_by_name(answer: ToolAnswer) -> dict[str, frozenset[int]]:
    """The rows that have a text in one of their cells, by that text in small letters; texts of all rows name none."""
    found: dict[str, set[int]] = {}
    for number, row in enumerate(answer.rows):
        for cell in row:
            if isinstance(cell, str) and 0 < len(cell) <= MAX_NAME and cell.casefold() not in _PLAIN:
                found.setdefault(cell.casefold(), set()).add(number)
    return {name: frozenset(rows) for name, rows in found.items() if len(rows) < len(answer.rows)}


def rows_named(sentence: str, at: int, by_name: dict[str, frozenset[int]]) -> frozenset[int]:
    """The rows that are named in the part of a sentence in which the place `at` is; none: it names none."""
    if not by_name or _SEVERAL.search(sentence):
        return frozenset()
    named = [by_name[word] for word in _names(_part(sentence, at, by_name)) if word in by_name]
    if not named:
        return frozenset()
    return frozenset.intersection(*named) or frozenset.union(*named)


def _names(part: str) -> set[str]:
    return {_name_of(match) for match in _WORD.finditer(part)}


def _name_of(match: re.Match[str]) -> str:
    return (match[1] or match[2].rstrip(".:-+")).strip().casefold()


def _part(sentence: str, at: int, by_name: dict[str, frozenset[int]]) -> str:
    """What is between two places where a sentence turns to something else: both sides of such a place tell a number.

    At an `and` the number before it has to stand behind its name, else both may be names of what follows.
    """
    begin, end = 0, len(sentence)
    for turn in _PARTS.finditer(sentence):
        before = sentence[begin : turn.start()]
        if turn[0]:
            named = [match.end() for match in _WORD.finditer(before) if _name_of(match) in by_name]
            before = before[max(named, default=0) :]
        if not _has_number(before) or not _has_number(sentence[turn.end() :]):
            continue
        if turn.end() <= at:
            begin = turn.end()
        elif turn.start() > at:
            end = turn.start()
            break
    return sentence[begin:end]


def _has_number(text: str) -> bool:
    text = _CITED.sub("", text)
    return _DIGIT.search(text) is not None or bool(words_in(text))
