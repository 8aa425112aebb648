"""Other agents ask over /mcp with a token of theirs: each is who the door says, and no page of another site gets through."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI

from intact.assist.identity import Signer
from intact.assist.protocol import Client, StreamableHttpTransport
from intact.assist.servers.apps import ALL, ServerApps
from intact.serve.auth import Tokens
from intact.serve.cookies import CookieUsers, SignedCookies, identify_by
from intact.serve.door import Door
from intact.serve.errors import answer_errors
from intact.serve.mcp import mcp_routes
from intact.serve.metrics import Metrics
from tests.assist.authority.made import ALICE, Used
from tests.assist.authority.probe import PARTS, TOOLS

OFFERED = {
    "probe": TOOLS, "other": {"who": TOOLS["who"]},
    ALL: {**{f"probe_{name}": tool for name, tool in TOOLS.items()}, "other_who": TOOLS["who"]},
}  # fmt: skip
BODY = {
    "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "probe_who", "arguments": {}},
}  # fmt: skip
LEGACY = {
    "mcp-protocol-version": "2025-11-25", "accept": "application/json, text/event-stream", "content-type": "application/json",
}  # fmt: skip


@dataclass
class Assistant:
    servers: ServerApps
    signer: Signer


@dataclass
class Made:
    assistant: Assistant


@dataclass
class Gateway:
    url: str
    tokens: Tokens
    used: Used
    cookies: SignedCookies


@asynccontextmanager
async def gateway(directory: Path) -> AsyncIterator[Gateway]:
    signer, tokens, used = Signer.load(directory), Tokens(directory), Used()
    cookies = SignedCookies.load(directory)
    async with ServerApps(PARTS, public_key=signer.public_key, use_once=used.once, offered=OFFERED) as apps:
        inner = FastAPI()
        answer_errors(inner)
        inner.include_router(mcp_routes(Made(Assistant(apps, signer))))  # type: ignore[arg-type]
        door = Door(inner, identify=identify_by(tokens, CookieUsers(cookies)), metrics=Metrics(dict))
        settings = uvicorn.Config(door, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(settings)
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            running = asyncio.create_task(server.serve(sockets=[listening]))
            while not server.started:
                await asyncio.sleep(0.01)
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            yield Gateway(url=url, tokens=tokens, used=used, cookies=cookies)
            server.should_exit = True
            await running


async def ask(url: str, token: str, tool: str, mode: str, **arguments: Any) -> Any:
    transport = StreamableHttpTransport(url, headers={"Authorization": f"Bearer {token}"})
    async with Client(transport, mode=mode) as client:
        tools = [each.name for each in await client.list_tools()]
        return tools, (await client.call_tool_mcp(tool, arguments)).structured_content


def test_other_agents_are_who_the_door_says(tmp_path: Path) -> None:
    async def check() -> None:
        async with gateway(tmp_path) as made:
            names = {f"user-{n}": made.tokens.add(f"user-{n}", tenant_id=n, hosts=(f"web-{n}",)) for n in range(8)}
            jobs = [
                ask(f"{made.url}{path}", token, tool, mode, host=f"web-{name.partition('-')[2]}")
                for name, token in names.items()
                for path, tool in (("/mcp", "probe_who"), ("/mcp/probe", "who"), ("/mcp/other", "who"))
                for mode in ("auto", "legacy")
            ]
            found = await asyncio.gather(*jobs)
            seen = [(answer["rows"][0][0], answer["rows"][0][1]) for _, answer in found]
            assert seen == [(f"user-{n}" if n == 1 else f"{n}/user-{n}", n) for n in range(8) for _ in range(6)]
            assert set(found[0][0]) == set(OFFERED[ALL])
            assert all("other_who" in tools for tools, answer in found[::6])
            assert made.used.ids  # an identity of its own for every request
            member = made.tokens.add("member", role="member", run_ids=("r1",))
            tools, _ = await ask(f"{made.url}/mcp", member, "probe_who", "auto")
            assert "probe_chief" not in tools

    asyncio.run(check())


def test_nobody_else_gets_through(tmp_path: Path) -> None:
    async def check() -> None:
        async with gateway(tmp_path) as made, httpx2.AsyncClient(base_url=made.url) as client:
            token = made.tokens.add("one")
            bearer = {"authorization": f"Bearer {token}"}
            identity = Signer.load(tmp_path).mint(ALICE, "all", time.time_ns())
            cookie = made.cookies.sign(made.tokens.user(bearer["authorization"]), time.time() + 60)  # type: ignore[arg-type]

            async def status(path: str = "/mcp", **headers: str) -> int:
                sent = {**LEGACY, **{name.replace("_", "-"): value for name, value in headers.items()}}
                return (await client.post(path, json=BODY, headers=sent)).status_code

            assert await status(**bearer) == 200
            assert await status() == 401
            assert await status(authorization="Bearer nobody") == 401
            assert await status(authorization=f"Bearer {identity}") == 401  # what is signed for the inside
            assert await status(**{"x-ai": identity}) == 401
            assert await status(**bearer, **{"x-ai": "eyJ1c2VyIjoicm9vdCJ9"}) == 200  # is not what the servers get
            assert await status(**bearer, origin="http://evil.org") == 403
            assert await status(**bearer, origin="null") == 403
            assert await status(**bearer, origin=made.url) == 200
            assert await status(**bearer, sec_fetch_site="cross-site") == 403
            assert await status("/mcp/all", **bearer) == 404
            assert await status("/mcp/nowhere", **bearer) == 404
            assert await status("/mcp/probe/mcp", **bearer) == 404
            assert await status(cookie=f"sessionid={cookie}") == 200
            assert await status(cookie=f"sessionid={cookie}", origin="http://evil.org") == 401
            assert await status(cookie=f"sessionid={cookie}; sessionid={cookie}") == 401
            for method in ("GET", "DELETE", "PUT"):
                assert (await client.request(method, "/mcp", headers={**LEGACY, **bearer})).status_code == 405
            long = await client.post("/mcp", content=b"[" * (2 << 20), headers={**LEGACY, **bearer})
            assert long.status_code == 413
            wrong = await client.post("/mcp", content=b"{", headers={**LEGACY, **bearer})
            assert wrong.status_code == 400

    asyncio.run(check())
