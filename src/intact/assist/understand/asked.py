"""What a question about agents asks for: a topic and how it is to be summed up, by rules in a table; unknown stays None."""

import re
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum

from intact.assist.asking import Language
from intact.assist.understand.entities import Entities, entities, without_entities
from intact.assist.understand.lexicon import Hit, concepts
from intact.assist.understand.times import TimeRange, time_range, without_time


class Aggregation(StrEnum):
    COUNT = "count"
    LIST = "list"
    TOP = "top"
    SUM = "sum"
    AVERAGE = "average"
    WHEN = "when"
    WHY = "why"
    COMPARE = "compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question as a playbook takes it.

    Args:
        topic: of `TOPICS`; None: none of them.
        wants_latest: the last run is meant.
        concepts: all that were found, for what a playbook does beyond the topic.
        is_whether: it wants to hear yes or no.
    """

    topic: str | None
    aggregation: Aggregation
    entities: Entities
    between: TimeRange | None
    language: Language
    limit: int | None = None
    wants_latest: bool = False
    concepts: frozenset[str] = field(default_factory=frozenset)
    is_whether: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """A topic, and concepts that have to be there: of `a|b` one; `lacks`: of these none. The first that fits holds."""

    topic: str
    needs: tuple[str, ...]
    lacks: frozenset[str] = frozenset()
    target: bool = False  # a path, host or process has to be named


_RULES: tuple[_Rule, ...] = (
    _Rule(topic="why", needs=("why",), target=True),
    _Rule(topic="unexplained", needs=("unexplained",)),
    _Rule(topic="losses", needs=("loss",), lacks=frozenset({"cost", "token"})),
    _Rule(topic="policy", needs=("policy",)),
    _Rule(topic="findings", needs=("finding",)),
    _Rule(topic="credentials", needs=("credential",)),
    _Rule(topic="signals", needs=("signal",)),
    _Rule(topic="privileges", needs=("privilege",)),
    _Rule(topic="risk", needs=("risk",)),
    _Rule(topic="failed_commands", needs=("failed_command",)),
    _Rule(topic="exit_code", needs=("exit",), lacks=frozenset({"call", "tool", "file"})),
    _Rule(topic="tool_errors", needs=("tool", "error")),
    _Rule(topic="cost", needs=("cost",)),
    _Rule(topic="tokens", needs=("token",)),
    _Rule(topic="call_errors", needs=("error", "call|model|agent|run")),
    _Rule(topic="duration", needs=("longest", "run"), lacks=frozenset({"call", "model"})),
    _Rule(topic="latency", needs=("latency|duration", "call|model")),
    _Rule(topic="tools", needs=("tool",)),
    _Rule(topic="permissions", needs=("chmod",)),
    _Rule(topic="bytes", needs=("bytes",)),
    _Rule(topic="delete", needs=("delete",)),
    _Rule(topic="rename", needs=("rename",)),
    _Rule(topic="create", needs=("create", "file|count|list")),
    _Rule(topic="commands", needs=("command",)),
    _Rule(topic="calls", needs=("call",)),
    _Rule(topic="models", needs=("model",)),
    _Rule(topic="network", needs=("network",)),
    _Rule(topic="write", needs=("write", "file|count|list")),
    _Rule(topic="read", needs=("read", "file|count|list")),
    _Rule(topic="files", needs=("change|file",)),
    _Rule(topic="duration", needs=("duration|latency",)),
    _Rule(topic="processes", needs=("process",)),
    _Rule(topic="call_errors", needs=("error",)),
    _Rule(topic="summary", needs=("summary", "run|agent|last")),
    _Rule(topic="compare", needs=("compare",)),
    _Rule(topic="agents", needs=("agent", "count|list|top|sum")),
    _Rule(topic="runs", needs=("run", "count|list|sum|when")),
    _Rule(topic="summary", needs=("run|agent",)),
)
TOPICS = tuple(dict.fromkeys(rule.topic for rule in _RULES))
# the first concept that is there decides; a question that names none wants a list
_AGGREGATIONS = (
    ("compare", Aggregation.COMPARE),
    ("why", Aggregation.WHY),
    ("average", Aggregation.AVERAGE),
    ("top", Aggregation.TOP),
    ("least", Aggregation.TOP),
    ("count", Aggregation.COUNT),
    ("sum", Aggregation.SUM),
    ("when", Aggregation.WHEN),
    ("list", Aggregation.LIST),
)


_WHETHER = re.compile(
    r"^\W*(?:(?:so|and|but|hey|ok|please|tell me|check|can you (?:tell me|check))\W+(?:if|whether)?\s*)?"
    r"(?:did|was|were|has|have|had|is|are|do|does|any(?:thing|one|body)?)\b|\b(?:whether|if) (?:any|the|an?|it|there|some)\b"
    r"|有没有|有无|是否|是不是|有过|(?:吗|没有|没|(?<![什怎这那多])么)\W*$",
    re.IGNORECASE,
)
_DENIED = re.compile(r"n't\b|\bnot\b|\bnothing\b|\bnone\b|没(?!有?\W*$)(?<!有没)|不会|从未", re.IGNORECASE)


_RAN = re.compile(
    r"\b(?:agents?|it|they|any(?:one|body|thing)|some(?:one|body|thing)|claude|codex|model|who|that)\s+(?:ever\s+)?"
    r"(?:run|ran|runs|execute[ds]?|use[ds]?|start(?:ed)?|launch(?:ed)?)\s+(?:the\s+)?(?:command\s+|program\s+)?"
    r"[`\"'“]?(?P<name>[a-z][\w.+-]{1,40})"
    r"|\b(?:was|is|has|were)\s+(?P<passive>[a-z][\w.+-]{1,40})\s+(?:ever\s+|been\s+)?(?:run|executed|used|started|launched)\b"
    r"|(?:执行|运行|跑|用|启动)(?:过|了)?\s*(?:命令|程序)?\s*[`\"'“]?(?P<zh>[a-z][\w.+-]{1,40})",
    re.IGNORECASE | re.ASCII,
)
_NO_PROGRAMS = frozenset(
    {
        *("any", "anything", "commands", "command", "programs", "program", "the", "tools", "tool", "most", "something"),
        *("a", "an", "it", "by", "in", "on", "to", "what", "which", "how", "today", "yesterday", "last", "agent"),
        *("agents", "time", "times", "did", "do", "was", "were", "and", "or", "so", "root", "as", "calls", "tokens"),
        *("use", "used", "cost", "well", "ok", "successfully", "there", "this", "that", "models", "model", "token"),
    }
)


def program_asked(text: str) -> str:
    """The program that a question asks about: `did it run curl?`; empty: none."""
    found = _RAN.search(text)
    name = next((each for each in found.groups() if each), "") if found is not None else ""
    return "" if name.lower() in _NO_PROGRAMS else name.rstrip(".")


def understood(text: str, at_ns: int, language: Language, *, zone: tzinfo | None = None) -> Asked:
    """What a question asks for.

    Args:
        text: the question.
        at_ns: "now" of its times.
        language: of the asker.
        zone: of days and clock times; None: that of this machine.
    """
    named = entities(text)
    blanked = without_entities(text, named)
    between = time_range(blanked, at_ns, zone=zone)
    hits = concepts(without_time(blanked, between))
    found = _found(hits, named)
    aggregation = next((each for concept, each in _AGGREGATIONS if concept in found), Aggregation.LIST)
    topic = next((rule.topic for rule in _RULES if _holds(rule, found, named)), None)
    is_whether = bool(_WHETHER.search(text)) and not _DENIED.search(text)
    program = program_asked(text) if is_whether and topic in (None, "summary", "agents") else ""
    if program and not concepts(program):  # did the agent run curl?
        topic = "commands"
    return Asked(
        topic=topic,
        aggregation=aggregation,
        entities=named,
        between=between,
        language=language,
        limit=named.limit,
        wants_latest="last" in found and between is None,
        concepts=found,
        is_whether=is_whether,
    )


def _found(hits: tuple[Hit, ...], named: Entities) -> frozenset[str]:
    found = {hit.concept for hit in hits}
    if named.models:
        found.add("model")
    if named.paths and found & {"read", "write", "create"}:
        found.add("file")
    return frozenset(found)


def _holds(rule: _Rule, found: frozenset[str], named: Entities) -> bool:
    if rule.target and not (named.paths or named.hosts or named.pids):
        return False
    return all(set(need.split("|")) & found for need in rule.needs) and not rule.lacks & found
