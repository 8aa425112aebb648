"""What is asked of /proc, of a proc root of the test's own."""

from pathlib import Path

from intact.collect.processes import TICK_NS, environment_of, is_running, start_ns_of
from intact.model.identity import ProcessKey

STAT = b"999999 (a name ) with (brackets)) S " + b"0 " * 18 + b"4711 0 0\n"


def proc_of(folder: Path) -> Path:
    entry = folder / "999999"
    entry.mkdir()
    (entry / "stat").write_bytes(STAT)
    (entry / "environ").write_bytes(b"MY_AGENT=1\0EMPTY=\0no pair\0RAW=\xff\0")
    return folder


def test_a_process_of_another_proc_root_is_found(tmp_path: Path) -> None:
    proc = proc_of(tmp_path)
    assert start_ns_of(999_999, proc) == 4711 * TICK_NS
    key = ProcessKey(999_999, 4711 * TICK_NS + 3)
    assert is_running(key, proc)
    assert environment_of(key, proc) == {"MY_AGENT": "1", "EMPTY": "", "RAW": "\udcff"}


def test_another_process_with_its_pid_is_not_it(tmp_path: Path) -> None:
    proc = proc_of(tmp_path)
    later = ProcessKey(999_999, 4800 * TICK_NS)
    assert not is_running(later, proc)
    assert environment_of(later, proc) == {}


def test_what_is_gone_or_no_process_is_none(tmp_path: Path) -> None:
    assert start_ns_of(1, tmp_path) is None
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "stat").write_bytes(b"2 (x) S 1")
    assert start_ns_of(2, tmp_path) is None
    assert environment_of(ProcessKey(2, 0), tmp_path) == {}
