"""The store is held by one process, which the others can name."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from intact.model.errors import IntactError
from intact.store.database import Database, StoreBusy, StoreError, escape
from intact.store.runs import DataDirectory

HOLDER = """
import sys, time
from pathlib import Path
from intact.store.database import Database
from intact.store.runs import DataDirectory
with Database(DataDirectory(Path(sys.argv[1]))):
    print("open", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path: Path, seconds: float) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path, str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_who_waits_in_vain_is_told_by_whom_it_is_held(tmp_path: Path) -> None:
    with holder(tmp_path, 60) as process:
        started = time.monotonic()
        with pytest.raises(StoreBusy, match=rf"in use by process {process.pid} \(-c") as caught:
            Database(DataDirectory(tmp_path), wait_s=0.2)
        assert time.monotonic() - started < 2
        assert "\n" not in str(caught.value)
        process.kill()
    with Database(DataDirectory(tmp_path), wait_s=5) as database:  # a killed holder holds nothing
        assert database.rows("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_a_holder_that_ends_in_time_is_waited_for(tmp_path: Path) -> None:
    with holder(tmp_path, 0.3), Database(DataDirectory(tmp_path), wait_s=10):
        pass


def test_a_store_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    with Database(DataDirectory(tmp_path)) as database:
        database.execute("INSERT INTO event.schema_version (version) VALUES (999)")
    with pytest.raises(IntactError, match="later version"):
        Database(DataDirectory(tmp_path))
    assert json.loads((tmp_path / "store.lock").read_text())["command"]


@pytest.mark.parametrize("text", ["plain", "a\tb", "a\nb\r\0c", "C:\\new\\t", "x' or 1=1 --", "naïve ✓", "\\N", ""])
def test_parameters_arrive_as_they_are(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with Database(DataDirectory(tmp_path_factory.mktemp("p"))) as database:
        assert database.rows("SELECT {x:String} AS x", x=text).to_pylist() == [{"x": text}]
    assert "\n" not in escape(text)


def test_the_engines_errors_are_one_line(tmp_path: Path) -> None:
    with Database(DataDirectory(tmp_path)) as database:
        with pytest.raises(StoreError) as caught:
            database.rows("SELECT\n\n nothing\x1b[2J FROM nowhere")
        assert str(caught.value).isprintable()
    assert issubclass(StoreError, IntactError)
