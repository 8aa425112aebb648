"""A command says the same whether it opens the store itself or a serve lends it."""

import threading
from pathlib import Path

import pytest

from intact.store.database import StoreError
from intact.store.remote import serve_of
from intact.store.runs import DataDirectory
from tests.query import recording as made
from tests.serve.running import command, record, serving
from tests.store.slices import T0

COMMANDS = [
    ("runs", "--json"), ("show",), ("show", "small", "--json"), ("show", "other", "--full"), ("show", "nothing"),
    ("why", "/srv/out.txt"), ("why", "api.example.org", "small", "--json"), ("why", "/nowhere"), ("agents", "--json"),
    ("query", "SELECT name, count() FROM tool_call GROUP BY name"), ("query", "SELECT * FROM run", "--format", "json"),
    ("query", "SELECT id, argv FROM process ORDER BY id", "--format", "csv"), ("query", "SELECT nope FROM run"),
    ("query", "SELECT id FROM process ORDER BY id, revision", "--format", "arrow"), ("query", "SHOW TABLES"),
    ("query", "SELECT * FROM url('http://127.0.0.1/')"), ("export", "small", "--format", "jsonl"),
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("a" * 60) / ("deep" * 15)  # longer than a socket's address may be
    record(path)
    record(path, made.slices()[:2], name="other", started_ns=T0 - 5)
    return path


def test_with_and_without_serve_is_the_same(data: Path) -> None:
    with serving(data, "--auth", "dev") as server:
        lent = [command(*words, "--data", str(data)) for words in COMMANDS]
        server.end()
    own = [command(*words, "--data", str(data)) for words in COMMANDS]
    for words, one, two in zip(COMMANDS, lent, own, strict=True):
        assert (one.returncode, one.stderr) == (two.returncode, two.stderr), words
        assert one.stdout == two.stdout, words
    assert sum(one.returncode == 0 for one in own) >= 12


def test_a_run_just_recorded_is_in_the_answer(data: Path) -> None:
    with serving(data, "--auth", "dev"):
        for number in range(3):
            run = record(data, name=f"fresh{number}", started_ns=T0 + number + 1)
            shown = command(
                "query", f"SELECT count() FROM proc_ops_event WHERE run_id = '{run.id}'", "--data", str(data)
            )
            assert shown.stdout.split() == [b"count()", b"3"], shown.stderr


def test_the_socket_is_its_owners_alone_and_takes_many(data: Path) -> None:
    directory = DataDirectory(data)
    assert serve_of(directory) is None
    with serving(data, "--auth", "dev") as server:
        assert (data / "serve.sock").stat().st_mode & 0o777 == 0o600
        remote = serve_of(directory)
        assert remote is not None
        assert remote.bring_in(None)
        with pytest.raises(StoreError, match="nope"):
            remote.rows("SELECT nope FROM run")
        found: list[int] = []
        threads = [
            threading.Thread(
                target=lambda: found.append(remote.rows("SELECT count() AS n FROM process").column(0)[0].as_py())
            )
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 12
        assert len(set(found)) == 1
        server.kill()
    assert serve_of(directory) is None  # the socket of a dead serve is nobody's
    assert command("runs", "--data", str(data)).returncode == 0
    assert command("show", "small", "--data", str(data)).returncode == 0
