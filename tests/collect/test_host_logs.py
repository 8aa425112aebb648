"""Lines of logs by kind, time and endpoint; only what is new or of now counts as recent."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.collect import host_logs
from intact.collect.host_logs import LogReader, endpoints_in, kind_of, time_of
from intact.model.host import LogClass, Unreadable, Within

NOW = 1_795_000_000_000_000_000


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Out of memory: Killed process 612 (python)", LogClass.OOM),
        ("OSError: [Errno 28] No space left on device", LogClass.DISK_FULL),
        ("OSError: [Errno 30] Read-only file system: '/data/x'", LogClass.READ_ONLY),
        ("accept: Too many open files", LogClass.TOO_MANY_FILES),
        ("dial tcp 127.0.0.1:5432: connect: connection refused", LogClass.REFUSED),
        ("Temporary failure in name resolution", LogClass.NAME_RESOLUTION),
        ("read: connection reset by peer", LogClass.RESET),
        ("upstream timed out", LogClass.TIMEOUT),
        ("app[1]: segfault at 0 ip 0", LogClass.SEGFAULT),
        ("blk_update_request: I/O error, dev sda", LogClass.IO_ERROR),
        ("open: Permission denied", LogClass.PERMISSION),
        ("kernel panic - not syncing", LogClass.CRASH),
        ("ERROR something else", LogClass.OTHER),
        ("GET /index.html 200 in 12 ms", None),
        ("session time 12", None),
    ],
)
def test_kinds(line: str, kind: LogClass | None) -> None:
    assert kind_of(line) is kind


@given(st.text(max_size=300))
def test_any_line_has_at_most_one_kind_and_one_time(line: str) -> None:
    assert kind_of(line) in (None, *LogClass)
    found = time_of(line, NOW)
    assert found is None or isinstance(found, int)
    assert all(0 < int(each.rpartition(":")[2]) < 65_536 for each in endpoints_in(line))


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)), st.sampled_from(["T", " "]))
def test_times_in_utc(at: datetime, separator: str) -> None:
    line = f"{at.strftime(f'%Y-%m-%d{separator}%H:%M:%S')}.5Z ERROR x"
    assert time_of(line, NOW) == int(at.replace(tzinfo=UTC, microsecond=0).timestamp()) * 10**9 + 5 * 10**8


def test_syslog_of_december_read_in_january_is_of_last_year() -> None:
    now = datetime(2027, 1, 1, 0, 5).astimezone()
    found = time_of("Dec 31 23:59:00 web-1 app: x", int(now.timestamp()) * 10**9)
    assert found is not None
    assert now.timestamp() - found / 1e9 == 360


def test_endpoints() -> None:
    assert endpoints_in("connect to ('127.0.0.1', 5432) and localhost:80, [::1]:443") == [
        "127.0.0.1:5432", "127.0.0.1:80", "::1:443",
    ]  # fmt: skip


def test_old_lines_are_history_and_new_ones_are_recent(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("error without a time\n2001-01-01T00:00:00Z ERROR old 127.0.0.1:9: connection refused\n")
    reader = LogReader(Within(paths=(str(tmp_path),)))
    reader.mark()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with log.open("a") as out:
        out.write(f"{now} ERROR 127.0.0.1:5432: Connection refused\nerror again without a time\n")
    rows = {row.kind: row for row in reader.read(time.time_ns()).rows}
    refused, other = rows[LogClass.REFUSED], rows[LogClass.OTHER]
    assert (refused.count, refused.recent, refused.endpoints) == (2, 1, ("127.0.0.1:5432",))
    assert (other.count, other.recent) == (2, 1)
    assert reader.sources[0].growth_bytes > 40


def test_secrets_and_control_characters_do_not_get_out(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"error \x1b[2Jlogin token=abcdef123 failed\xff\n")
    line = LogReader(Within(paths=(str(tmp_path),))).read(NOW).rows[0].last_line
    assert "abcdef123" not in line
    assert "\x1b" not in line


def test_only_logs_of_the_scope_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("error\n")
    assert LogReader(Within(pids=(1,))).files() == []
    assert [path.name for path in LogReader(Within(paths=(str(tmp_path),))).files()] == ["a.log"]


def test_what_takes_too_long_is_left_out_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (tmp_path / f"{number}.log").write_text("error\n")
    monkeypatch.setattr(host_logs, "READ_S", -1.0)
    look = LogReader(Within(paths=(str(tmp_path),))).read(NOW)
    assert [(each.what, each.count) for each in look.unread] == [(Unreadable.REST, 5)]


def test_a_log_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.log").write_text("error\n")
    reader = LogReader(Within(paths=(str(tmp_path),)))

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reader, "_tail", refused)
    assert [each.what for each in reader.read(NOW).unread] == [Unreadable.LOG_FILE]


def test_a_pipe_or_a_link_in_the_place_of_a_log_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("fatal error: of somebody else\n")
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "link.log").symlink_to(tmp_path / "private")
    look = LogReader(Within(paths=(str(tmp_path),))).read(NOW)
    assert look.rows == ()
    assert {each.what for each in look.unread} == {Unreadable.LOG_FILE}
    assert LogReader(Within(paths=(str(tmp_path / "private"),))).read(NOW).rows == ()
