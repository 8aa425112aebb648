"""What the config of the sensor says of sums of reads and writes, and of how much of a message is kept."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from intact.model.effects import Kind
from intact.pipeline import back
from intact.store.database import Database
from intact.store.ingest import ingest_run
from tests.kernel.tls_server import TlsServer
from tests.kernel.watching import Watch

CHAT = "/v1/chat/completions"
BOUND = 10_000
SIZE = 150_000
WORK = (
    'set -e; cd "$0"; : > made; for i in 1 2 3; do echo "$i"; done > written; read x < written; /bin/rm made written; :'
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TlsServer]:
    with TlsServer(tmp_path) as made:
        yield made


def configured(folder: Path, *, raw_reads: bool = False, **agent: object) -> Watch:
    return Watch(folder, {"inputs": {"proc": {"ai_agent": agent}}, "spool": {"raw_reads": raw_reads}})


def work(watch: Watch, folder: Path) -> None:
    folder.mkdir()
    assert watch.run("/bin/bash", "-c", WORK, str(folder)).end() == ""


def effects_below(watch: Watch, folder: Path) -> Counter[tuple[str, int]]:
    """Effects on the files of a folder, by family and kind."""
    found: Counter[tuple[str, int]] = Counter()
    for piece in watch.slices():
        for family, batch in piece.effects.items():
            if "path" in batch.schema.names:
                rows = batch.select(["path", "kind"]).to_pylist()
                found.update((family, row["kind"]) for row in rows if row["path"].startswith(f"{folder}/"))
    return found


def ends(watch: Watch) -> int:
    batches = (piece.effects["process"] for piece in watch.slices() if "process" in piece.effects)
    return sum(batch.column("kind").to_pylist().count(int(Kind.EXIT)) for batch in batches)


def test_without_sums_nothing_else_is_missing(tmp_path: Path) -> None:
    with configured(tmp_path, file_io_enabled=False) as watch:
        watch.start()
        work(watch, tmp_path / "off")
        watch.wait(lambda: ends(watch) == 2)  # what was before the reload is through
        config = json.loads(watch.path.read_text())
        config["inputs"]["proc"]["ai_agent"]["file_io_enabled"] = True
        watch.path.write_text(json.dumps(config))
        watch.reload()
        work(watch, tmp_path / "on")
        assert watch.stop() == 0
        off, on = effects_below(watch, tmp_path / "off"), effects_below(watch, tmp_path / "on")
        sums = {key: count for key, count in on.items() if key[0] == "io"}
        assert sums
        assert {key: count for key, count in on.items() if key not in sums} == dict(off)
        assert {family for family, _ in off} == {"file"}
        assert ends(watch) == 4  # of bash and rm, twice


@pytest.mark.parametrize(("asked", "kept"), [(BOUND, BOUND), (0, None)])
def test_of_a_message_so_much_is_kept(server: TlsServer, tmp_path: Path, asked: int, kept: int | None) -> None:
    with configured(tmp_path, max_payload_size=asked) as watch:
        watch.start()
        watch.client(server.port, CHAT, "", size=SIZE).end()
        word = "x" * 1000
        watch.wait(lambda: any(each.ended_ns for each in watch.exchanges_with(word)))
        (exchange,) = watch.exchanges_with(word)
        assert watch.stop() == 0
    length = next(int(value) for name, value in exchange.request_headers if name.lower() == "content-length")
    assert length > SIZE
    # The server answers with what it was asked: the bound is of each of the two messages.
    assert (len(exchange.request_body), len(exchange.response_body)) == (kept or length, kept or length)
    assert 2 * (kept or length) + exchange.missing_bytes == 2 * length
    assert exchange.complete is (kept is None)


@pytest.mark.parametrize("wanted", [True, False])
def test_reads_are_stored_as_they_came_where_wanted(tmp_path: Path, wanted: bool) -> None:
    with configured(tmp_path, raw_reads=wanted) as watch:
        watch.start()
        work(watch, tmp_path / "work")
        assert watch.stop() == 0
        run = watch.recorded
        with Database(watch.data) as database:
            ingest_run(database, run, back)
            counted = {
                table: database.rows(f"SELECT count() AS n FROM {table}").to_pylist()[0]["n"]
                for table in ("file_event", "file_agg_event")
            }
    assert run.raw_reads is wanted
    assert counted["file_agg_event"] > 0
    assert (counted["file_event"] >= counted["file_agg_event"]) is wanted
