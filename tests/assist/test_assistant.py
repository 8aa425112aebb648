"""The assistant whole, on a store that is busy: the answer says so, and the next one is as it should be."""

import asyncio
import threading
from pathlib import Path

from intact.assist.asking import Asker, Language
from intact.assist.assistant import Assistant, Wiring
from intact.assist.plain_events import Plain
from intact.assist.responses import Asked
from intact.assist.settings import AssistSettings
from intact.query.readers import Readers
from intact.query.row_limits import Role
from intact.store.database import Database
from intact.store.runs import DataDirectory

ANN = Asker(name="ann", role=Role.OWNER)


def test_a_busy_store_is_told_and_ends_nothing(tmp_path: Path) -> None:
    with Database(DataDirectory(tmp_path)) as database:
        readers = Readers(database, most=1, wait_s=0.1)
        busy, free = threading.Event(), threading.Event()

        def hold(_: Database) -> None:
            busy.set()
            assert free.wait(60)

        holding = threading.Thread(target=lambda: readers.ask(hold))
        holding.start()
        assert busy.wait(60)
        wiring = Wiring(directory=tmp_path, readers=readers, host=None, place="ask")
        try:
            refused, answered = asyncio.run(_two(wiring, free))
        finally:
            free.set()
            holding.join()
            readers.close()
    assert [event["type"] for event in refused].count("done") == 1
    assert [event["problem"] for event in refused if event["type"] == "tool_result"] == [
        "too many questions at once; ask again in a moment"
    ]
    assert "error" in [event["type"] for event in refused]
    assert refused[-1]["verdict"] == "cannot_tell"
    assert "evidence" in [event["type"] for event in answered]


async def _two(wiring: Wiring, free: threading.Event) -> tuple[list[Plain], list[Plain]]:
    async with Assistant.opened(AssistSettings(), wiring) as assistant:
        refused = await _heard(assistant)
        free.set()
        await asyncio.sleep(0.2)
        return refused, await _heard(assistant)


async def _heard(assistant: Assistant) -> list[Plain]:
    asked = Asked(text="how many runs are there?", language=Language.EN)
    identity = await assistant.responses.start(ANN, asked)
    return [event async for _, event in assistant.responses.listen(ANN, identity)]
