"""A program that keeps things until it is killed, and tells each that was acknowledged: `writing.py DIRECTORY NAME`."""

import asyncio
import sys
from pathlib import Path

from intact.assist.asking import Message
from intact.assist.keep.keep import ResponseRow
from intact.assist.keep.sqlite import SqliteKeep
from intact.assist.keep.sqlite_file import FILE

NOW = 1_800_000_000 * 10**9


async def write(keep: SqliteKeep, name: str) -> None:
    session = await keep.new_session(name, f"session-of-{name}", at_ns=NOW)
    assert session is not None
    row = ResponseRow(id=f"rsp-{name}", session_id=session.id, owner=name, question={}, asker={}, started_ns=NOW)
    assert await keep.open_response(row)
    for i in range(1_000):
        assert await keep.log(row.id, i, [f"event {i}"])
        await keep.add_message(
            name, session.id, Message(role="user", content=f"message {i}", at_ns=NOW + i, response_id=row.id)
        )
        is_first = await keep.use_once(f"id {i}", NOW + 10**15)
        print(i, int(is_first), flush=True)


asyncio.run(write(SqliteKeep(Path(sys.argv[1]) / FILE, clock=lambda: NOW), sys.argv[2]))
