"""A tool server lets nobody in without an identity, shows each what is theirs, and says no more than it must."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from intact.assist.asking import Asker
from intact.assist.expert import ToolFailed
from intact.assist.identity import Signer
from intact.assist.servers.offer import Calls, schema
from intact.query.row_limits import Role
from tests.assist.authority.made import ALICE, Used, mint
from tests.assist.authority.probe import Number, pooled, serving

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "who", "arguments": {}}}
META = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}


async def post(app: ASGIApp, headers: Any, body: Any = None) -> httpx2.Response:
    sent = body if body is not None else {**CALL, "params": {**CALL["params"], **META}}  # type: ignore[dict-item]
    fixed = [
        ("accept", "application/json, text/event-stream"), ("content-type", "application/json"),
        ("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "who"),
    ]  # fmt: skip
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
        content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        return await client.post("http://x/mcp", headers=[*fixed, *headers], content=content)


def bearer(token: str, **more: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}"), *more.items()]


def test_nobody_is_let_in_without_a_good_identity(tmp_path: Path) -> None:
    signer, other = Signer.load(tmp_path), Signer.load(_new(tmp_path / "other"))

    async def ask() -> dict[str, tuple[int, str]]:
        async with serving(signer) as apps:
            app = apps.asgi("probe")
            good, used = mint(signer, audience="probe"), mint(signer, audience="probe")
            cases: dict[str, list[tuple[str, str]]] = {
                "none": [],
                "good": bearer(good, **{"x-ai": good}),
                "replayed": bearer(good),
                "used first": bearer(used),
                "forged": bearer(mint(other, audience="probe")),
                "audience": bearer(mint(signer, audience="other")),
                "expired": bearer(mint(signer, audience="probe", ago_s=60)),
                "early": bearer(mint(signer, audience="probe", ago_s=-60)),
                "no bearer": [("authorization", mint(signer, audience="probe"))],
                "basic": [("authorization", "Basic dTpw")],
                "x-ai only": [("x-ai", mint(signer, audience="probe"))],
                "two": [*bearer(mint(signer, audience="probe")), *bearer(mint(signer, audience="probe"))],
                "two names": bearer(mint(signer, audience="probe"), **{"x-ai": mint(signer, audience="probe")}),
                "plain x-ai": bearer(mint(signer, audience="probe"), **{"x-ai": "eyJ1c2VyIjogInJvb3QifQ=="}),
            }
            answers = {}
            for name, headers in cases.items():
                answer = await post(app, headers)
                said = answer.json().get("error", {}).get("code", "")
                answers[name] = (answer.status_code, said)
                assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)
            return answers

    found = asyncio.run(ask())
    assert found == {
        "none": (401, "missing"), "good": (200, ""), "replayed": (401, "replayed"), "used first": (200, ""),
        "forged": (401, "forged"), "audience": (401, "wrong_audience"), "expired": (401, "expired"),
        "early": (401, "early"), "no bearer": (401, "malformed"), "basic": (401, "malformed"),
        "x-ai only": (401, "malformed"), "two": (401, "malformed"), "two names": (401, "malformed"),
        "plain x-ai": (401, "malformed"),
    }  # fmt: skip


def test_of_fifty_with_the_same_token_one_is_let_in(tmp_path: Path) -> None:
    signer = Signer.load(tmp_path)

    async def ask() -> list[int]:
        async with serving(signer) as apps:
            token = mint(signer, audience="probe")
            answers = await asyncio.gather(*(post(apps.asgi("probe"), bearer(token)) for _ in range(50)))
            return sorted(answer.status_code for answer in answers)

    assert asyncio.run(ask()) == [200, *[401] * 49]


def test_who_cannot_be_checked_is_not_let_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    signer = Signer.load(tmp_path)

    class Broken(Used):
        async def once(self, used_id: str, expires_ns: int) -> bool:
            raise OSError("the store of used ids is away")

    async def ask() -> int:
        async with serving(signer, Broken()) as apps:
            return (await post(apps.asgi("probe"), bearer(mint(signer, audience="probe")))).status_code

    with caplog.at_level(logging.CRITICAL):
        assert asyncio.run(ask()) == 503


def test_a_body_has_a_size(tmp_path: Path) -> None:
    signer = Signer.load(tmp_path)

    async def ask() -> int:
        async with serving(signer) as apps:
            long = b'{"x": "' + b"a" * (1 << 20) + b'"}'
            return (await post(apps.asgi("probe"), bearer(mint(signer, audience="probe")), long)).status_code

    assert asyncio.run(ask()) == 413


def test_what_a_tool_takes_is_told_in_few_words() -> None:
    assert schema(Number) == {
        "type": "object",
        "properties": {
            "number": {
                "default": 3,
                "description": "Comes back.",
                "maximum": 10_000_000,
                "minimum": 0,
                "type": "integer",
            },
            "host": {"description": "Of whom.", "maxLength": 20, "type": "string"},
        },
        "additionalProperties": False,
    }


def test_everybody_sees_their_own_tools_and_hosts(tmp_path: Path) -> None:
    chief = Asker(name="chief", role=Role.ADMIN)

    async def ask() -> None:
        async with pooled(tmp_path) as pool:
            lists = [[tool.full_name for tool in await pool.list_tools(who)] for who in (ALICE, chief, ALICE, chief)]
            everybody = [f"probe.{name}" for name in ("fail", "much", "odd", "refuse", "sleep", "who")]
            assert lists[0] == lists[2] == [*everybody, "other.who"]
            assert lists[1] == lists[3] == ["probe.chief", *everybody, "other.who"]
            assert (await pool.call(chief, "probe.chief", {})).rows == (("chief", 1, 3),)
            refusals = {}
            for name in ("probe.chief", "probe.nothing", "nowhere.who", "probe.who.x", "probe"):
                with pytest.raises(ToolFailed) as caught:
                    await pool.call(ALICE, name, {})
                refusals[name] = str(caught.value)
            assert refusals["probe.chief"] == "there is no tool 'chief'"
            assert refusals["probe.nothing"] == "there is no tool 'nothing'"
            assert (await pool.call(ALICE, "probe.who", {"host": "web-1"})).rows[0][0] == "alice"
            with pytest.raises(ToolFailed, match=r"^there is no such host$"):
                await pool.call(ALICE, "probe.who", {"host": "web-2"})

    asyncio.run(ask())


def test_what_goes_wrong_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> dict[str, str]:
        said = {}
        async with pooled(tmp_path, Calls(timeout_s=0.2)) as pool:
            for name, arguments in (
                ("who", {"number": "many"}), ("who", {"number": -1}), ("who", {"nubmer": 1}), ("refuse", {}), ("fail", {}),
                ("sleep", {"number": 600}), ("much", {"number": 5000}), ("who", {"host": ["a"]}),
            ):  # fmt: skip
                with pytest.raises(ToolFailed) as caught:
                    await pool.call(ALICE, f"probe.{name}", arguments)
                said[f"{name} {json.dumps(arguments)}"] = str(caught.value)
        return said

    with caplog.at_level(logging.INFO):
        said = asyncio.run(ask())
    assert said['who {"nubmer": 1}'] == "nubmer: Extra inputs are not permitted; it takes: number, host"
    assert said['who {"number": "many"}'].startswith("number: Input should be a valid integer")
    assert said["refuse {}"] == "not this [31m way"
    assert said["fail {}"] == "a fault of intact's own; the log says more"
    assert "longer than 0.2 s" in said['sleep {"number": 600}']
    assert "too long" in said['much {"number": 5000}']
    assert all("\n" not in line and len(line) < 300 for line in said.values())
    assert "secret" not in caplog.text
    assert "KeyError" in caplog.text


def test_an_answer_comes_as_it_was_given(tmp_path: Path) -> None:
    async def ask() -> None:
        async with pooled(tmp_path) as pool:
            odd = await pool.call(ALICE, "probe.odd", {})
            assert odd.rows == (("?\u202e\x1b[2J张", 1 << 62, 0.1),)
            assert odd.untrusted == ("name",)
            assert len((await pool.call(ALICE, "probe.much", {"number": 1000})).rows) == 500

    asyncio.run(ask())


def test_there_is_only_so_much_at_once(tmp_path: Path) -> None:
    async def ask() -> list[str]:
        async with pooled(tmp_path, Calls(most=2, waiting=2)) as pool:
            calls = (pool.call(ALICE, "probe.sleep", {"number": 150}) for _ in range(12))
            found = await asyncio.gather(*calls, return_exceptions=True)
            again = await pool.call(ALICE, "probe.who", {})
            assert again.rows[0][0] == "alice"
            return [str(each) for each in found if isinstance(each, ToolFailed)]

    refused = asyncio.run(ask())
    assert len(refused) == 8
    assert set(refused) == {"too many tools are at work; ask again in a moment"}


def test_one_asker_leaves_room_for_others(tmp_path: Path) -> None:
    async def ask() -> None:
        async with pooled(tmp_path) as pool:
            greedy = [asyncio.create_task(pool.call(ALICE, "probe.sleep", {"number": 50})) for _ in range(60)]
            await asyncio.sleep(0.2)
            assert (await pool.call(Asker(name="bob"), "probe.who", {})).rows[0][0] == "bob"
            found = await asyncio.gather(*greedy, return_exceptions=True)
            assert sum(isinstance(each, ToolFailed) for each in found) >= 1
            assert (await pool.call(ALICE, "probe.who", {})).rows[0][0] == "alice"

    asyncio.run(ask())


def test_the_wire_says_read_only_and_text_for_text_readers(tmp_path: Path) -> None:
    signer = Signer.load(tmp_path)

    async def ask() -> tuple[Any, Any]:
        async with serving(signer) as apps:
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            headers = [("mcp-protocol-version", "2025-11-25")]
            listed = await _legacy(apps.asgi("probe"), bearer(mint(signer, audience="probe")), body, headers)
            call = {**CALL, "params": {"name": "odd", "arguments": {}}}
            called = await _legacy(apps.asgi("probe"), bearer(mint(signer, audience="probe")), call, headers)
            return listed.json()["result"]["tools"], called.json()["result"]

    tools, called = asyncio.run(ask())
    assert all(set(tool) <= {"name", "description", "inputSchema", "annotations"} for tool in tools)
    assert {json.dumps(tool["annotations"], sort_keys=True) for tool in tools} == {
        '{"destructiveHint": false, "idempotentHint": true, "openWorldHint": false, "readOnlyHint": true}'
    }
    text = called["content"][0]["text"]
    assert '"untrusted": ["name"]' in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "张" in text
    assert called["structuredContent"]["rows_hash"] in text


async def _legacy(app: ASGIApp, who: Any, body: Any, headers: Any) -> httpx2.Response:
    fixed = [("accept", "application/json, text/event-stream"), ("content-type", "application/json")]
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
        return await client.post("http://x/mcp", headers=[*fixed, *headers, *who], content=json.dumps(body).encode())


def _new(path: Path) -> Path:
    path.mkdir()
    return path
