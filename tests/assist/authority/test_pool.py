"""One client for all: nobody is ever taken for somebody else, and a server may go and come back."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from intact.assist.asking import Asker
from intact.assist.connections import Refused, ToolInfo
from intact.assist.expert import ToolFailed
from intact.assist.identity import Signer
from intact.assist.pool import ToolPool
from tests.assist.authority.made import ALICE, Used
from tests.assist.authority.probe import pooled, serving

USERS = [Asker(name=f"user-{n}", tenant_id=n, hosts=(f"web-{n}",)) for n in range(50)]
MANY = Asker(name="many", run_ids=tuple(f"{'r' * 60}{n}" for n in range(1000)))  # more than a token holds


def test_two_thousand_interleaved_calls_of_fifty_users(tmp_path: Path) -> None:
    async def ask() -> int:
        async with pooled(tmp_path) as pool:
            draw = random.Random(4)
            right = 0

            async def one(asker: Asker, number: int) -> None:
                nonlocal right
                await asyncio.sleep(draw.random() / 100)
                server = draw.choice(("probe", "other"))
                answer = await pool.call(asker, f"{server}.who", {"number": number, "host": asker.hosts[0]})  # type: ignore[index]
                right += answer.rows == ((asker.name, asker.tenant_id, number),)

            jobs = [(asker, number) for asker in USERS for number in range(40)]
            draw.shuffle(jobs)
            bound = asyncio.Semaphore(60)

            async def bounded(asker: Asker, number: int) -> None:
                async with bound:
                    await one(asker, number)

            await asyncio.gather(*(bounded(*job) for job in jobs))
            return right

    assert asyncio.run(ask()) == 2_000


def test_who_cannot_be_signed_is_refused_and_hurts_nobody(tmp_path: Path) -> None:
    async def ask() -> list[object]:
        async with pooled(tmp_path) as pool:
            calls = [pool.call(USERS[n % 5], "probe.sleep", {"number": 20}) for n in range(20)]
            calls += [pool.call(MANY, "probe.who", {}) for _ in range(5)]
            return await asyncio.gather(*calls, return_exceptions=True)

    found = asyncio.run(ask())
    assert [str(each) for each in found[20:]] == ["probe refused the request"] * 5
    assert [each.rows[0][0] for each in found[:20]] == [f"user-{n % 5}" for n in range(20)]  # type: ignore[attr-defined]


def test_a_call_that_is_given_up_hurts_nobody(tmp_path: Path) -> None:
    async def ask() -> None:
        async with pooled(tmp_path) as pool:
            long = [asyncio.create_task(pool.call(ALICE, "probe.sleep", {"number": 300})) for _ in range(3)]
            await asyncio.sleep(0.05)
            long[0].cancel()
            with pytest.raises(ToolFailed, match=r"^probe did not answer within 0\.1 s$"):
                await pool.call(ALICE, "probe.sleep", {"number": 200}, timeout_s=0.1)
            assert (await pool.call(ALICE, "probe.who", {})).rows == (("alice", 3, 3),)
            done = await asyncio.gather(*long, return_exceptions=True)
            assert isinstance(done[0], asyncio.CancelledError)
            assert [each.rows[0][0] for each in done[1:]] == ["alice", "alice"]  # type: ignore[union-attr]

    asyncio.run(ask())


@asynccontextmanager
async def over_http(signer: Signer, used: Used, listening: socket.socket) -> AsyncIterator[None]:
    async with serving(signer, used) as apps:
        settings = uvicorn.Config(apps.asgi("probe"), lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(settings)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield
        server.should_exit = True
        await running


def listen(port: int = 0) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made


def test_a_server_of_its_own_goes_and_comes_back(tmp_path: Path) -> None:
    signer = Signer.load(tmp_path)

    async def ask() -> None:
        listening, used = listen(), Used()
        port = listening.getsockname()[1]
        async with ToolPool({"probe": f"http://127.0.0.1:{port}/mcp"}, signer) as pool:
            async with over_http(signer, used, listening):
                names = {(await pool.call(asker, "probe.who", {})).rows[0][0] for asker in USERS}
                assert names == {asker.name for asker in USERS}
                assert len(await pool.list_tools(ALICE)) == 6
            with pytest.raises(ToolFailed, match=r"^probe "):
                await pool.call(ALICE, "probe.who", {}, timeout_s=5)
            assert await pool.list_tools(USERS[0]) == []  # nobody else's list is shown instead
            for _ in range(2):
                async with over_http(signer, used, listen(port)):
                    answers = await asyncio.gather(*(pool.call(asker, "probe.who", {}) for asker in USERS[:20]))
                    assert [answer.rows[0][0] for answer in answers] == [asker.name for asker in USERS[:20]]

    asyncio.run(ask())


def test_who_is_refused_takes_a_server_from_nobody_else(tmp_path: Path) -> None:
    class Picky:
        async def list_tools(self, asker: Asker) -> tuple[ToolInfo, ...]:
            if asker.name == "mallory":
                raise Refused("out refused the request")
            return (ToolInfo(server="out", name="who", about="", schema={}, is_ours=False),)

        async def close(self) -> None:
            pass

    async def ask() -> None:
        async with ToolPool({}, Signer.load(tmp_path)) as pool:
            pool._servers["out"] = Picky()  # type: ignore[assignment]
            assert await pool.list_tools(Asker(name="mallory")) == []
            assert [tool.full_name for tool in await pool.list_tools(Asker(name="alice"))] == ["out.who"]
            assert await pool.list_tools(Asker(name="mallory")) == []
            assert pool.problems == ()

    asyncio.run(ask())
