"""The server: its keys and their ends, and what is said when it is away."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from intact.assist.keep.keep import Keep, KeepUnavailable, Rating
from intact.model.errors import UsageError
from tests.assist.keep.places import NOW, PASSWORD, Place, Valkey
from tests.assist.keep.test_keep import ANN, answer, answered, new, said


@pytest.fixture
def place(valkey: Valkey, tmp_path: Path) -> Place:
    valkey.empty()
    return Place(valkey.url, tmp_path)


def test_keys_are_plain_and_all_of_them_end(place: Place, valkey: Valkey) -> None:
    async def work(keep: Keep) -> str:
        session = await new(keep)
        await keep.add_message(ANN, session.id, said("x"))
        await answered(keep, session, "rsp_1", expert="e")
        assert await keep.open_response(answer(session, "rsp_2"))
        await keep.log("rsp_1", 0, ["{}"])
        await keep.rate(ANN, "rsp_1", Rating.UP, at_ns=NOW)
        await keep.use_once("jti", NOW + 60 * 10**9)
        keep.readings.put(ANN, {})
        return session.id

    session_id = place.run(work)
    with redis.Redis.from_url(valkey.url, decode_responses=True) as main:
        kinds: dict[str, Any] = {key: main.type(key) for key in main.keys()}  # noqa: SIM118
        assert kinds[f"session:{session_id}"] == "hash"
        assert kinds[f"messages:{session_id}"] == "list"
        assert main.hget(f"session:{session_id}", "owner") == ANN
        ends = {key: main.ttl(key) for key in kinds}
        # the list of what runs is that of one program, not of its users
        assert [key for key, end in ends.items() if end < 0] == ["running:serve"]
        assert ends[f"session:{session_id}"] == pytest.approx(32 * 86_400, abs=60)
        assert ends["events:rsp_1"] == pytest.approx(86_400, abs=60)
        assert {ends[key] <= 60 for key in kinds if key.startswith("used:")} == {True}
        assert not any("feedback" in key for key in kinds)
    with redis.Redis.from_url(valkey.url, decode_responses=True) as main:
        main.connection_pool.disconnect()
        main.connection_pool.connection_kwargs["db"] = 1
        assert main.hget("feedback:rsp_1", "rating") == "up"
        assert main.smembers(f"session_feedbacks:{session_id}") == {"rsp_1"}
        assert all(main.ttl(key) > 0 for key in main.keys())  # noqa: SIM118


def test_what_hangs_on_a_session_in_use_does_not_end(place: Place, valkey: Valkey) -> None:
    async def work(keep: Keep) -> None:
        session = await new(keep)
        await answered(keep, session, "rsp_1")
        await keep.rate(ANN, "rsp_1", Rating.UP, at_ns=NOW)
        with redis.Redis.from_url(valkey.url) as main:
            main.expire("response:rsp_1", 1_000)
            main.execute_command("SELECT", 1)
            main.expire("feedback:rsp_1", 1_000)
            place.clock.now_ns += 2 * 86_400 * 10**9
            await keep.open_response(answer(session, "rsp_2", started_ns=place.clock()))
            assert main.ttl("feedback:rsp_1") > 1_000
            main.execute_command("SELECT", 0)
            assert main.ttl("response:rsp_1") > 1_000

    place.run(work)


def test_it_works_again_when_the_server_is_back(tmp_path: Path) -> None:
    server = Valkey(tmp_path)
    place = Place(server.url, tmp_path)

    async def work(keep: Keep) -> None:
        session = await new(keep)
        reading = await asyncio.to_thread(keep.readings.put, ANN, {"a": 1})
        server.stop()
        began = time.monotonic()
        for attempt in (
            lambda: keep.session(ANN, session.id),
            lambda: keep.new_session(ANN, at_ns=NOW),
            lambda: keep.add_message(ANN, session.id, said("x")),
            lambda: keep.log("rsp_1", 0, ["{}"]),
            lambda: keep.use_once("jti", NOW + 10**9),
            lambda: keep.unfinished(),
            lambda: asyncio.to_thread(keep.readings.get, ANN, reading),
            lambda: keep.expire(),
        ):
            with pytest.raises(KeepUnavailable, match=rf"the Redis at 127.0.0.1:{server.port} cannot be used") as error:
                await attempt()
            assert PASSWORD not in str(error.value)
            assert "\n" not in str(error.value)
        assert time.monotonic() - began < 10
        assert keep.counts()["unavailable"] == 1
        server.start()
        assert await keep.session(ANN, session.id) is None  # this server keeps nothing over its end
        fresh = await new(keep)
        assert await keep.add_message(ANN, fresh.id, said("x"))
        assert await asyncio.to_thread(keep.readings.get, ANN, reading) is None
        assert keep.counts()["unavailable"] == 0

    try:
        place.run(work)
    finally:
        server.stop()


def test_a_server_that_does_not_answer_is_given_two_seconds(tmp_path: Path) -> None:
    server = Valkey(tmp_path)

    async def work(keep: Keep) -> None:
        session = await new(keep)
        server._process.send_signal(19)  # SIGSTOP
        began = time.monotonic()
        with pytest.raises(KeepUnavailable):
            await keep.session(ANN, session.id)
        assert time.monotonic() - began < 4
        server._process.send_signal(18)  # SIGCONT
        assert await keep.session(ANN, session.id) == session

    try:
        Place(server.url, tmp_path).run(work)
    finally:
        server.stop()


def test_a_server_that_is_away_from_the_beginning_is_no_reason_not_to_start(tmp_path: Path) -> None:
    async def work(keep: Keep) -> None:
        with pytest.raises(KeepUnavailable, match=r"127\.0\.0\.1:9"):
            await new(keep)

    Place(f"redis://:{PASSWORD}@127.0.0.1:9/0", tmp_path).run(work)
    Place(f"rediss://:{PASSWORD}@127.0.0.1:9/0", tmp_path).run(work)


def test_a_wrong_password_is_one_line_without_it(valkey: Valkey, tmp_path: Path) -> None:
    async def work(keep: Keep) -> None:
        with pytest.raises(KeepUnavailable) as error:
            await new(keep)
        assert "wrong-password" not in str(error.value)

    Place(valkey.url.replace(PASSWORD, "wrong-password"), tmp_path).run(work)


@pytest.mark.parametrize(
    "address",
    [
        "redis",
        "http://x",
        "redis://",
        "redis://:secret@h:port/0",
        "redis://:secret@h:1/zero?x=y",
        "unix:///x",
        "sqlite3",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"assist\.sessions") as error:
        Place(address, tmp_path).run(new)
    assert "secret" not in str(error.value)


def test_foreign_values_in_our_keys_are_one_line(place: Place, valkey: Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as main:
        main.set("session:theirs", "a string")

    async def work(keep: Keep) -> None:
        with pytest.raises(KeepUnavailable, match="WRONGTYPE"):
            await keep.session(ANN, "theirs")

    place.run(work)


def test_the_client_of_redis_is_loaded_only_where_it_is_asked_for(tmp_path: Path) -> None:
    code = "import sys, intact.assist.keep.opening; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
