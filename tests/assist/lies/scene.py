"""The evidence that true statements and lies are told about."""

from datetime import UTC, datetime
from typing import Any

from intact.assist.answers import Evidence, ToolAnswer
from intact.assist.asking import Language, Question
from intact.assist.verify.verifier import Checked, Grounds, check_text

GIB = 1 << 30


def epoch_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def _evidence(number: int, tool: str, columns: str, *rows: tuple[Any, ...], **more: Any) -> Evidence:
    answer = ToolAnswer(query=tool, arguments={}, columns=tuple(columns.split()), rows=rows, **more)
    return Evidence(id=f"e{number}", tool=tool, answer=answer)


SPACE = _evidence(
    1, "host.space", "mount filesystem size used used_percent",
    ("/", "ext4", 100 * GIB, 104_475_079_475, 97.3),
    ("/home", "ext4", 500 * GIB, 60 * GIB, 12.0),
    ("/mnt/data", "xfs", 2048 * GIB, 1536 * GIB, 75.0),
    units={"size": "bytes", "used": "bytes", "used_percent": "%"}, untrusted=("mount",), total=3,
)  # fmt: skip
PROCESSES = _evidence(
    2, "host.processes", "pid name cpu_percent rss state started threads",
    (4242, "python", 93.5, 1_610_612_736, "running", epoch_ns("2026-11-20T08:15:30"), 17),
    (1337, "nginx", 4.25, 52_428_800, "sleeping", epoch_ns("2026-11-18T23:59:05"), 8),
    (9001, "defunct", 0.0, 0, "zombie", epoch_ns("2026-11-20T09:00:00"), 1),
    (9002, "defunct", 0.0, 0, "zombie", epoch_ns("2026-11-20T09:30:00"), 1),
    units={"cpu_percent": "%", "rss": "bytes", "started": "epoch_ns"}, untrusted=("name",),
)  # fmt: skip
COST = _evidence(
    3, "agents.cost", "model calls input_tokens output_tokens cost_usd",
    ("gpt-x", 42, 123_456, 7_890, 1.2345),
    ("qwen3", 7, 2_000, 350, 0.0123),
    units={"input_tokens": "tokens", "output_tokens": "tokens", "cost_usd": "usd"},
)  # fmt: skip
NO_ERRORS = _evidence(
    4, "host.errors", "at unit message count",
    from_ns=epoch_ns("2026-11-19T10:00:00"), to_ns=epoch_ns("2026-11-20T10:00:00"), units={"at": "epoch_ns"},
)  # fmt: skip
ERRORS = _evidence(
    5, "host.errors", "at unit message count",
    (epoch_ns("2026-11-20T07:12:44"), "nginx.service", "upstream 10.0.0.7 timed out after 30 s (status 504)", 61),
    (epoch_ns("2026-11-20T07:45:10"), "sshd.service", "connection reset by 192.168.4.20 port 50122", 13),
    units={"at": "epoch_ns"}, untrusted=("unit", "message"),
    from_ns=epoch_ns("2026-11-20T07:00:00"), to_ns=epoch_ns("2026-11-20T08:00:00"),
)  # fmt: skip
RUN = _evidence(
    6, "agents.run", "run files_written files_deleted errors warnings duration wait_ms sent received",
    ("run-3f2a91", 14, 2, 0, 5, 3_200_000_000, 250, 5_000_000, 40_000_000),
    units={"duration": "ns", "wait_ms": "ms", "sent": "bytes/s", "received": "bytes/s"},
)  # fmt: skip
ALTERED = _evidence(7, "host.memory", "total used used_percent", (16 * GIB, 8 * GIB, 50.0),
                    units={"total": "bytes", "used": "bytes", "used_percent": "%"})  # fmt: skip
CUT = _evidence(
    8, "agents.effects", "path bytes", ("/etc/passwd", 2_711), ("/srv/app/config.yaml", 812), ("/tmp/x-77", 5),
    units={"bytes": "bytes"}, untrusted=("path",), truncated=True, total=1_234,
)  # fmt: skip
WRITTEN = Evidence(id="e9", tool="query.sql", answer=ToolAnswer(
    query="SELECT 777 AS errors", arguments={}, columns=("errors",), rows=((777,),)))  # fmt: skip
HALF_WRITTEN = Evidence(id="e14", tool="query.sql", answer=ToolAnswer(
    query="", arguments={"sql": "SELECT 888 AS errors, 'web-8' AS host, count() AS n, 7 + 992 AS more FROM call"},
    columns=("errors", "host", "n", "more"), rows=((888, "web-8", 31, 999),)))  # fmt: skip
NESTED_SQL = "WITH x AS (SELECT 555 AS errors) SELECT errors FROM x"
NESTED = Evidence(id="e15", tool="query.sql", answer=ToolAnswer(
    query="", arguments={"sql": NESTED_SQL}, columns=("errors",), rows=((555,),)))  # fmt: skip
BEFORE = _evidence(10, "host.metric", "load", (2.5,))
AFTER = _evidence(11, "host.metric", "load", (10.0,))

BLIND = _evidence(12, "host.services", "service state", notes=("not read: service manager",))

FOUND = {each.id: each for each in (
    SPACE, PROCESSES, COST, NO_ERRORS, ERRORS, RUN, ALTERED, CUT, WRITTEN, BEFORE, AFTER, BLIND,
    HALF_WRITTEN, NESTED)}  # fmt: skip
HOLDS = {name: each for name, each in FOUND.items() if name != "e7"}


def checked(
    text: str, *, language: Language = Language.EN, asked: str = "why is pid 31415 slow, above 85%?"
) -> Checked:
    question = Question(id="r", session_id="s", text=asked, language=language, asked_ns=epoch_ns("2026-11-20T10:00:00"))
    return check_text(text, Grounds(question=question, evidence=FOUND, holds=HOLDS))
