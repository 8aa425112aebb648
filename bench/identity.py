"""Many users through one client a server: whose rows come, who is refused, what it costs: python -m bench identity [CALLS]."""

import asyncio
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from bench.outcome import Outcome
from intact.assist.answers import ToolAnswer
from intact.assist.asking import Asker, Language
from intact.assist.expert import ToolFailed
from intact.assist.identity import Signer
from intact.assist.keep.opening import open_keep
from intact.assist.pool import ToolPool
from intact.assist.servers.apps import ServerApps, offered_tools
from intact.assist.settings import AssistSettings
from intact.assist.tool import Arguments, Parts, Tool, ToolRefused
from intact.query.readers import Readers
from intact.query.row_limits import Role
from intact.store.database import Database
from intact.store.runs import DataDirectory
from intact.store.tables import BY_NAME

CALLS = 10_000
USERS = 50
AT_ONCE = 50
SQL_SHARE = 0.2  # of the calls; the others go to a tool that is as small as a tool can be
ROWS_EACH = 5
TIMED = 1_500
BAD_EACH = 100
OVERHEAD_MS = 3.0
T0 = 1_760_000_000_000_000_000
SQL = "SELECT run_id, host, path, bytes FROM file_agg_event ORDER BY path LIMIT 100"


class Probe(Arguments):
    """What the smallest tool takes."""

    host: str = Field(description="Of whom.", max_length=100)
    number: int = Field(description="Comes back.")


def probe(_: Parts, asker: Asker, given: Probe) -> ToolAnswer:
    """Who asks, if the host may be seen."""
    if not asker.may_see_host(given.host):
        raise ToolRefused("there is no such host")
    row = (asker.name, asker.tenant_id, given.host, given.number)
    return ToolAnswer(
        query="probe", arguments=given.model_dump(), columns=("name", "tenant", "host", "number"), rows=(row,)
    )


_TEXT = {Language.EN: "Who asks.", Language.ZH: "谁在问。"}
PROBE = Tool(name="probe", about=_TEXT, says=_TEXT, arguments=Probe, run=probe)


def users() -> list[Asker]:
    """Each of a tenant of its own; half of them members, who see one of two runs."""
    return [
        Asker(
            name=f"user-{n}",
            tenant_id=n + 1,
            role=Role.MEMBER if n % 2 else Role.ADMIN,
            run_ids=(f"run-{n}-a",) if n % 2 else (),
            hosts=(f"host-{n}",),
        )
        for n in range(USERS)
    ]


def rows() -> pa.Table:
    """Reads of two runs of each tenant, which tell whose they are."""
    made = [(n, run, r) for n in range(USERS) for run in "ab" for r in range(ROWS_EACH)]
    size = len(made)
    return pa.table(
        {
            "run_id": [f"run-{n}-{run}" for n, run, _ in made],
            "tenant_id": pa.array([n + 1 for n, _, _ in made], pa.uint32()),
            "id": pa.array(range(1, size + 1), pa.uint64()),
            "kind": ["file_read"] * size,
            "at_ns": pa.array([T0 + r for _, _, r in made], pa.int64()),
            "end_ns": pa.array([T0 + r for _, _, r in made], pa.int64()),
            "result": pa.array([0] * size, pa.int32()),
            "bytes": pa.array([n * 1_000 + r for n, _, r in made], pa.uint64()),
            "event_count": pa.array([1] * size, pa.uint32()),
            "full_path": [f"/srv/tenant-{n + 1}/{run}/{r}" for n, run, r in made],
            "host": [f"host-{n}" for n, _, _ in made],
        }
    )


async def ask(pool: ToolPool, asker: Asker, number: int, *, sql: bool) -> int:
    """1 if what came back is the asker's and all of it, else 0."""
    at = int(asker.name.removeprefix("user-"))
    if not sql:
        foreign = number % 7 == 0
        host = f"host-{(at + 1) % USERS if foreign else at}"
        try:
            answer = await pool.call(asker, "probe.probe", {"host": host, "number": number})
        except ToolFailed as error:
            return int(foreign and str(error) == "there is no such host")
        return int(not foreign and answer.rows == ((asker.name, asker.tenant_id, host, number),))
    answer = await pool.call(asker, "query.sql", {"sql": SQL}, timeout_s=60)
    runs = "a" if asker.role is Role.MEMBER else "ab"
    want = {
        (f"run-{at}-{run}", f"host-{at}", f"/srv/tenant-{at + 1}/{run}/{r}") for run in runs for r in range(ROWS_EACH)
    }
    return int({row[:3] for row in answer.rows} == want and len(answer.rows) == len(want))


async def bad(apps: ServerApps, signer: Signer, kind: str, asker: Asker) -> str:
    """How a token that is worth nothing is answered."""
    now = time.time_ns()
    token = signer.mint(asker, "probe", now)
    if kind == "forged":
        token = Signer(Ed25519PrivateKey.generate()).mint(asker, "probe", now)
    elif kind == "tampered":
        head, _, seal = token.split(".")
        told = jwt.decode(token, options={"verify_signature": False}) | {"tenant": asker.tenant_id % USERS + 1}
        token = f"{head}.{jwt.encode(told, 'x' * 32, 'HS256').split('.')[1]}.{seal}"
    elif kind == "no_algorithm":
        token = jwt.encode(jwt.decode(token, options={"verify_signature": False}), None, "none")
    elif kind == "expired":
        token = signer.mint(asker, "probe", now - 120_000_000_000)
    elif kind == "wrong_audience":
        token = signer.mint(asker, "query", now)
    elif kind == "missing":
        token = ""
    if kind == "replayed":
        await _post(apps, token)
    return await _post(apps, token)


async def _post(apps: ServerApps, token: str) -> str:
    call = {"name": "probe", "arguments": {"host": "x", "number": 1}}
    headers = {
        "accept": "application/json, text/event-stream", "content-type": "application/json",
        "mcp-protocol-version": "2025-11-25",
    } | ({"authorization": f"Bearer {token}", "x-ai": token} if token else {})  # fmt: skip
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=apps.asgi("probe"))) as client:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        answer = await client.post("http://intact.local/mcp", content=json.dumps(body), headers=headers)
    return "let in" if answer.status_code != 401 else str(answer.json()["error"]["code"])


BAD = {
    "forged": "forged", "tampered": "forged", "no_algorithm": "forged", "expired": "expired",
    "wrong_audience": "wrong_audience", "replayed": "replayed", "missing": "missing",
}  # fmt: skip


async def interleaved(pool: ToolPool, apps: ServerApps, signer: Signer, calls: int) -> dict[str, Any]:
    """All calls and all bad tokens, mixed, `AT_ONCE` at a time."""
    draw = random.Random(4)
    everybody = users()
    bound = asyncio.Semaphore(AT_ONCE)
    right, refused, broken = 0, dict.fromkeys(BAD, 0), 0

    async def good(asker: Asker, number: int, sql: bool) -> None:
        nonlocal right, broken
        async with bound:
            try:
                got = await ask(pool, asker, number, sql=sql)
            except ToolFailed:
                broken += 1
            else:
                right += got  # not before it has come: others count meanwhile

    async def wrong(kind: str, asker: Asker) -> None:
        async with bound:
            said = await bad(apps, signer, kind, asker)
            refused[kind] += said == BAD[kind]

    jobs: list[Any] = [good(everybody[n % USERS], n, draw.random() < SQL_SHARE) for n in range(calls)]
    jobs += [wrong(kind, draw.choice(everybody)) for kind in BAD for _ in range(BAD_EACH)]
    draw.shuffle(jobs)
    began = time.perf_counter()
    await asyncio.gather(*jobs)
    took = time.perf_counter() - began
    return {
        "calls": calls, "users": USERS, "at_once": AT_ONCE, "clients": 2, "right": right, "unanswered": broken,
        "leaks_or_wrong": calls - right - broken, "bad_tokens_each": BAD_EACH, "refused": refused,
        "calls_a_second": round(calls / took),
    }  # fmt: skip


async def overhead(pool: ToolPool, parts: Parts) -> dict[str, float]:
    """The same tool called through the pool and directly, turn about."""
    asker = users()[0]
    through, direct = [], []
    busy = time.process_time()
    for number in range(TIMED):
        began = time.perf_counter()
        await pool.call(asker, "probe.probe", {"host": "host-0", "number": number})
        between = time.perf_counter()
        PROBE.run(parts, asker, Probe(host="host-0", number=number))
        through.append(between - began)
        direct.append(time.perf_counter() - between)
    busy = time.process_time() - busy
    extra = sorted(a - b for a, b in zip(through, direct, strict=True))
    return {
        "through_p50_ms": round(statistics.median(through) * 1e3, 3),
        "direct_p50_ms": round(statistics.median(direct) * 1e3, 4),
        "overhead_p50_ms": round(statistics.median(extra) * 1e3, 3),
        "processor_ms": round(busy / TIMED * 1e3, 3),  # of both ends; whatever else the machine does
        "overhead_p99_ms": round(extra[int(len(extra) * 0.99)] * 1e3, 3),
    }


def measure(argv: Sequence[str]) -> Outcome:
    """Fill a store with rows of fifty tenants, and ask for them through one client a server."""
    calls = int(argv[0]) if argv else CALLS
    place = Path(tempfile.mkdtemp(prefix="intact-bench-"))
    try:
        report = asyncio.run(_measure(place, calls))
    finally:
        shutil.rmtree(place)
    few = report["overhead_p50_ms"] <= OVERHEAD_MS
    safe = report["right"] == calls and all(count == BAD_EACH for count in report["refused"].values())
    print(f"identity: {report['right']:,} of {calls:,} interleaved calls of {USERS} users right, "
          f"{report['leaks_or_wrong']} leaks{'' if safe else ' MISSED'}; "
          f"bad tokens refused of {BAD_EACH} each: {report['refused']}")  # fmt: skip
    print(f"identity: a call costs {report['overhead_p50_ms']} ms more than the function (p50), "
          f"bar {OVERHEAD_MS} ms{'' if few else ' MISSED'}; {report['calls_a_second']} calls a second")  # fmt: skip
    return Outcome(reached=safe and few, report={**report, "bar_ms": OVERHEAD_MS})


async def _measure(place: Path, calls: int) -> dict[str, Any]:
    with Database(DataDirectory(place)) as database:
        database.insert(BY_NAME["file_agg_event"], rows(), "rows")
        readers = Readers(database)
        async with open_keep(AssistSettings(), place) as keep:
            parts = Parts(readers=readers, readings=keep.readings)
            signer = Signer.load(place)
            offered = {"probe": {"probe": PROBE}, "query": offered_tools(("query",))["query"]}
            async with (
                ServerApps(parts, public_key=signer.public_key, use_once=keep.use_once, offered=offered) as apps,
                ToolPool({name: apps.asgi(name) for name in apps.names}, signer) as pool,
            ):
                cost = await overhead(pool, parts)
                found = await interleaved(pool, apps, signer, calls)
        readers.close()
    return {**found, **cost}
