"""What a question names: paths, hosts, pids, models, runs, quoted names and how many are wanted; by shape, in a table."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from intact.assist.understand.numerals import NUMBER_EN, NUMBER_ZH, number_of

MAX_CHARACTERS = 4_000
MAX_EACH = 20
_MAX_PID = 1 << 22
_MAX_WANTED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Entities:
    """What was named, each list in the order of the question and without doubles.

    Args:
        paths: absolute or relative paths and names of files: `/etc/passwd`, `src/main.py`, `primes.txt`.
        hosts: names of hosts, addresses and addresses with a port: `api.example.org`, `10.0.0.7`, `10.0.0.7:443`, `web-1`.
        pids: numbers of processes.
        models: `claude-opus-4`, `gpt-5`, `qwen3-max`.
        runs: ids of runs.
        quoted: what stands in quotation marks, and identifiers such as `read_file`.
        numbers: every other number.
        limit: how many are wanted: top 5, 前五个.
        spans: the places of all of them.
    """

    paths: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    quoted: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    limit: int | None = None
    spans: tuple[tuple[int, int], ...] = field(default=(), repr=False)


_EDGE = r"(?<![A-Za-z0-9_.\-/])"
_MODEL = (
    r"(?:claude|gpt|gemini|qwen|qwq|deepseek|llama|mistral|mixtral|codestral|glm|kimi|moonshot|ernie|doubao|hunyuan|yi|phi|grok"
    r"|command-r|gemma|text-embedding|chatglm|baichuan|minimax|o[134])"
)
# extensions that names of hosts do not end in
_EXTENSION = (
    r"(?:txt|log|py|js|ts|tsx|jsx|json|jsonl|ya?ml|toml|ini|cfg|conf|md|html?|css|csv|tsv|sql|db|sqlite|sh|c|h|cc|cpp|rs|go|java"
    r"|so|lock|pem|key|crt|env|out|tmp|bak|zip|gz|tar|xml|png|jpe?g|pdf|ipynb|service|socket|pid|exe|bin|dat|parquet)"
)
_WANTED_ZH = (
    rf"前(?P<n>{NUMBER_ZH})(?:个|名|条|位|次|项|大)|(?P<n3>{NUMBER_ZH})个?最|最\S{{1,4}}的(?P<n2>{NUMBER_ZH})[个条次名]"
)
# In the order of trust: what a pattern took is not looked at by later ones.
_SHAPES: tuple[tuple[str, str], ...] = (
    ("quoted", r"\"(?P<v>[^\"\n]{1,200})\"|“(?P<v2>[^”\n]{1,200})”|「(?P<v3>[^」\n]{1,200})」|`(?P<v4>[^`\n]{1,200})`"),
    ("runs", _EDGE + r"(?P<v>\d{8}-\d{6}-[\w-]{1,40})"),
    ("paths", r"(?<![A-Za-z0-9_.\-:/])(?P<v>(?:~|\.{1,2})?/[^\s,，。；;?？!！'\"()（）<>、：]{1,1000})"),
    ("paths", _EDGE + r"(?P<v>(?:[\w.+-]+/)+[\w.+-]+)"),
    ("hosts", _EDGE + r"(?P<v>\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?)(?![\d.]*\d)"),
    ("hosts", _EDGE + r"(?P<v>\[?[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}\]?(?::\d{1,5})?)(?![\w:])"),
    ("models", _EDGE + rf"(?P<v>{_MODEL}(?:[-_.:]?[a-z0-9]+(?:\.\d+)?)*-?\d[\w.:-]*|{_MODEL}-[a-z0-9][\w.:-]*)"),
    ("paths", _EDGE + rf"(?P<v>[\w+-][\w.+-]*\.{_EXTENSION})(?![A-Za-z0-9_])"),
    ("hosts", _EDGE + r"(?P<v>(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}(?::\d{1,5})?)(?![A-Za-z0-9_])"),
    ("hosts", r"\b(?:hosts?|machine|server|node)\s+(?P<v>[a-z0-9][a-z0-9-]*-?\d[a-z0-9-]*|[a-z0-9]+-[a-z0-9-]+)\b"),
    ("hosts", r"(?:主机|机器|服务器|节点)\s*(?P<v>[A-Za-z0-9][A-Za-z0-9-]*)"),
    ("pids", r"\b(?:pid|process(?:\s+(?:number|id))?|tgid)\s*[=:#]?\s*(?P<v>\d{1,7})\b"),
    ("pids", r"(?:进程号?|pid)\s*(?:为|是|=|:|：)?\s*(?P<v>\d{1,7})(?!\d)"),
    (
        "limit",
        rf"\b(?:top|first|last|biggest|largest|newest)\s+(?P<n>{NUMBER_EN})\b"
        r"(?!\s*(?:seconds?|minutes?|mins?|hours?|days?|weeks?|months?))",
    ),
    ("limit", r"\b(?P<n>\d{1,3})\s+(?:most|biggest|largest|slowest|newest|latest|longest|dearest|recent)\b"),
    ("limit", _WANTED_ZH),
    ("quoted", _EDGE + r"(?P<v>[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+)(?![A-Za-z0-9_])"),
    ("numbers", r"(?<![A-Za-z0-9_.\-:])(?P<v>\d{1,15}(?:\.\d{1,6})?)(?![A-Za-z0-9_\-:])"),
)  # fmt: skip
_COMPILED = tuple((kind, re.compile(pattern, re.IGNORECASE | re.ASCII)) for kind, pattern in _SHAPES)


def entities(text: str) -> Entities:
    """What a question names.

    >>> found = entities("why did pid 42 delete /srv/a.txt on host web-1?")
    >>> found.pids, found.paths, found.hosts
    ((42,), ('/srv/a.txt',), ('web-1',))
    """
    text = text[:MAX_CHARACTERS]
    found: dict[str, dict[str, None]] = {kind: {} for kind, _ in _SHAPES}
    places: list[tuple[int, str, str]] = []
    taken: list[tuple[int, int]] = []
    for kind, pattern in _COMPILED:
        for match in pattern.finditer(text):
            name, value = next((name, value) for name, value in match.groupdict().items() if value)
            start, end = match.span(name)
            value, end = _trimmed(value, end) if kind in ("paths", "hosts") else (value, end)
            if value and not any(start < until and begin < end for begin, until in taken):
                taken.append((start, end))
                places.append((start, kind, value))
    for _, kind, value in sorted(places):
        if len(found[kind]) < MAX_EACH:
            found[kind].setdefault(value)
    pids = tuple(int(value) for value in found["pids"] if int(value) < _MAX_PID)
    wanted = [int(number) for value in found["limit"] if (number := number_of(value)) and number >= 1]
    return Entities(
        paths=tuple(found["paths"]),
        hosts=tuple(found["hosts"]),
        pids=pids,
        models=tuple(value.lower().rstrip(".") for value in found["models"]),
        runs=tuple(found["runs"]),
        quoted=tuple(found["quoted"]),
        numbers=tuple(float(value) if "." in value else int(value) for value in found["numbers"]),
        limit=min(wanted[0], _MAX_WANTED) if wanted else None,
        spans=tuple(sorted(taken)),
    )


def names_in(text: str, known: Iterable[str]) -> tuple[str, ...]:
    """Those of the known names that a question names, the longest first where they overlap, in the question's order.

    >>> names_in("what did the demo run cost", ["demo", "demo-2", "cost"])
    ('demo', 'cost')
    """
    text = text[:MAX_CHARACTERS]
    found: list[tuple[int, int, str]] = []
    for name in sorted({each for each in known if each.strip()}, key=lambda each: (-len(each), each)):
        pattern = rf"(?<![A-Za-z0-9_.\-/]){re.escape(name)}(?![A-Za-z0-9_\-/])"
        for match in re.finditer(pattern, text, re.IGNORECASE | re.ASCII):
            if not any(match.start() < end and start < match.end() for start, end, _ in found):
                found.append((match.start(), match.end(), name))
    return tuple(dict.fromkeys(name for _, _, name in sorted(found)))


def without_entities(text: str, found: Entities) -> str:
    """The question with blanks in the place of what it names, so that names are not read as words."""
    for start, end in found.spans:
        text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
    return text


def _trimmed(value: str, end: int) -> tuple[str, int]:
    """Without the punctuation and the Chinese words that follow a name without a blank."""
    kept = re.split(r"[一-鿿]", value, maxsplit=1)[0].rstrip(".,:;-")
    return kept, end - (len(value) - len(kept))
