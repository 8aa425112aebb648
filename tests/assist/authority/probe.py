"""A tool server of the tests: it tells who asks, refuses, fails, sleeps and talks too much."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import Field

from intact.assist.answers import ToolAnswer
from intact.assist.asking import Asker, Language
from intact.assist.identity import Signer
from intact.assist.pool import ToolPool
from intact.assist.servers.apps import ServerApps
from intact.assist.servers.offer import Calls
from intact.assist.tool import Arguments, Parts, Tool, ToolRefused
from tests.assist.authority.made import Used

PARTS = Parts(readers=None, readings=None)  # type: ignore[arg-type]


class Number(Arguments):
    """What no reader needs to be told."""

    number: int = Field(3, description="Comes back.", ge=0, le=10_000_000)
    host: str | None = Field(None, description="Of whom.", max_length=20)


def answer(*rows: tuple[Any, ...], **more: Any) -> ToolAnswer:
    return ToolAnswer(query="probe", arguments={}, columns=("name", "tenant", "number"), rows=rows, **more)


def _who(parts: Parts, asker: Asker, given: Number) -> ToolAnswer:
    if given.host is not None and not asker.may_see_host(given.host):
        raise ToolRefused("there is no such host")
    return answer((asker.name, asker.tenant_id, given.number))


def _refuse(parts: Parts, asker: Asker, given: Number) -> ToolAnswer:
    raise ToolRefused("not\nthis\x1b[31m way")


def _fail(parts: Parts, asker: Asker, given: Number) -> ToolAnswer:
    raise KeyError("a secret of the machine")


def _sleep(parts: Parts, asker: Asker, given: Number) -> ToolAnswer:
    time.sleep(given.number / 1000)
    return answer((asker.name, asker.tenant_id, given.number))


def _much(parts: Parts, asker: Asker, given: Number) -> ToolAnswer:
    return answer(*((("x" * given.number), 1, n) for n in range(500)))


def _odd(parts: Parts, asker: Asker, given: Number) -> ToolAnswer:
    return answer(("\udcff\u202e\x1b[2J张", 1 << 62, 0.1), untrusted=("name",))


def tool(name: str, run: Any, **more: Any) -> Tool:
    about = {Language.EN: f"Does {name}.", Language.ZH: f"做 {name}。"}
    return Tool(name=name, about=about, says=about, arguments=Number, run=run, **more)


TOOLS = {
    each.name: each
    for each in (
        tool("who", _who), tool("refuse", _refuse), tool("fail", _fail), tool("sleep", _sleep), tool("much", _much),
        tool("odd", _odd), tool("chief", _who, roles=("admin",)),
    )
}  # fmt: skip
OFFERED = {"probe": TOOLS, "other": {"who": TOOLS["who"]}}


@asynccontextmanager
async def serving(signer: Signer, used: Used | None = None, calls: Calls | None = None) -> AsyncIterator[ServerApps]:
    once = (used or Used()).once
    async with ServerApps(PARTS, public_key=signer.public_key, use_once=once, offered=OFFERED, calls=calls) as apps:
        yield apps


@asynccontextmanager
async def pooled(directory: Path, calls: Calls | None = None) -> AsyncIterator[ToolPool]:
    signer = Signer.load(directory)
    async with serving(signer, calls=calls) as apps, ToolPool({n: apps.asgi(n) for n in apps.names}, signer) as pool:
        yield pool
