"""SHOW, answered from the catalogue: tables, the tags and metrics of a table, the values of a tag."""

import re

from intact.model.errors import UsageError
from intact.query.catalogue import catalogue, entry, in_language

_FROM = r"\s+from\s+((?:event\.)?\w+)\s*;?\s*"
_TAGS = re.compile(rf"\s*show\s+tags{_FROM}", re.IGNORECASE | re.ASCII)
_METRICS = re.compile(rf"\s*show\s+metrics{_FROM}", re.IGNORECASE | re.ASCII)
_VALUES = re.compile(rf"\s*show\s+tag\s+([\w.]+)\s+values{_FROM}", re.IGNORECASE | re.ASCII)
_LANGUAGE = re.compile(r"\s*show\s+language\s*;?\s*", re.IGNORECASE)
_TABLES = re.compile(r"\s*show\s+tables\s+full\s*;?\s*", re.IGNORECASE)

Shown = tuple[tuple[str, ...], list[list[str]]]


def show(sql: str, language: str) -> Shown | None:
    """Names of the answer and its rows; None if the query is no SHOW of the catalogue.

    Raises:
        UsageError: there is no such table or tag, or the tag has no values to tell.
    """
    if found := _TAGS.fullmatch(sql):
        rows = [
            [tag.name, in_language(tag.title, language), tag.type, tag.unit, in_language(tag.description, language)]
            for tag in entry(found[1]).tags
        ]
        return ("name", "title", "type", "unit", "description"), rows
    if found := _METRICS.fullmatch(sql):
        rows = [
            [metric.name, in_language(metric.title, language), metric.type, metric.unit]
            for metric in entry(found[1]).metrics
        ]
        return ("name", "title", "type", "unit"), rows
    if found := _VALUES.fullmatch(sql):
        return _values(found[1], found[2], language)
    if _LANGUAGE.fullmatch(sql):
        return ("language",), [[language]]
    if _TABLES.fullmatch(sql):
        return ("name", "title"), [[each.name, in_language(each.title, language)] for each in catalogue().values()]
    return None


def _values(tag: str, table: str, language: str) -> Shown:
    found = next((each for each in entry(table).tags if each.name == tag), None)
    if found is None or not found.values:
        raise UsageError(f"{tag[:60]} of {table[:60]} has no enumeration; see: intact catalog {table[:60]}")
    return ("value", "title"), [[str(value), in_language(label, language)] for value, label in found.values.items()]
