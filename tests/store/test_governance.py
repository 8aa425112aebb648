"""Each event lands in its table with the columns of agent governance, and `show` has every effect."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from intact.model.effects import Kind
from intact.model.facts import HostMetric
from intact.model.slice import Slice
from intact.query.effects import effects_of
from intact.store.database import Database
from intact.store.ingest import ingest_run
from intact.store.runs import DataDirectory, Run
from intact.store.segments import SegmentWriter
from tests.store.slices import HOST, T0, effects

MS = 1_000_000
ME: dict[str, Any] = {"process_id": 7, "pid": 100, "tid": 101, "uid": 1000, "gid": 1000, "at_ns": T0, "end_ns": T0}


def every_event() -> dict[str, pa.RecordBatch]:
    files = [
        (Kind.FILE_CREATE, "/a/b/c.txt", 0, 0),
        (Kind.FILE_CREATE, "/a/b/c.txt", 0, 0),  # again
        (Kind.FILE_CHOWN, "/a/b/c.txt", 0, 0),
        (Kind.FILE_CHMOD, "c.txt", 0o600, 0),
        (Kind.FILE_CHMOD, "c.txt", 0o600, 0),
        (Kind.FILE_DELETE, "/x", 0, -13),
        (Kind.FILE_OPEN, "/a/b/c.txt", 0, 0),
    ]
    times = [T0 + place for place in range(len(files))]
    chowned = [kind is Kind.FILE_CHOWN for kind, *_ in files]
    return {
        **effects(
            "file", len(files), kind=[int(kind) for kind, *_ in files], path=[path for _, path, *_ in files],
            mode=[mode for *_, mode, _ in files], result=[result for *_, result in files], inode=5,
            new_uid=[1001 * is_one for is_one in chowned], new_gid=[1002 * is_one for is_one in chowned],
            **{**ME, "at_ns": times, "end_ns": times},
        ),
        **effects(
            "io", 2, kind=int(Kind.FILE_READ), path="/srv/in", bytes=1024, count=1, fd_kind=1,
            **{**ME, "at_ns": [T0, T0 + MS], "end_ns": [T0, T0 + MS]},
        ),
        **effects(
            "process", 3, kind=[int(Kind.FORK), int(Kind.EXEC), int(Kind.EXIT)], child_id=[8, 0, 0], child_pid=[4321, 0, 0],
            parent_id=[0, 7, 7], ppid=[0, 100, 100], exe=["", "/usr/bin/python3.11", ""], comm="python3.11",
            argv=[[], ["python3.11", "batch_processor.py", "--interval=300"], []],
            **{**ME, "process_id": [7, 8, 8], "pid": [100, 4321, 4321]},
        ),
        **effects("credential", 1, kind=int(Kind.CREDENTIAL_CHANGE), call="setreuid", old_uid=0, new_uid=1000, new_euid=1001,
                  old_caps=(1 << 40) - 1, **ME),
        **effects("signal", 1, kind=int(Kind.SIGNAL), target_id=9, target_pid=200, signal=9, **ME),
        **effects(
            "block", 1, kind=int(Kind.BLOCKED), rule_id="block-reboot", target_type="exec", action="deny",
            mechanism="fanotify", guarantee="prevented", outcome="prevented", errno=1, exe="/bin/sh", path="/sbin/reboot",
            argv=[["reboot", "now"]], ppid=99, policy_epoch=3, **ME,
        ),
        **effects("net", 1, kind=int(Kind.CONNECT), address="::1", family=10, port=443, **ME),
    }  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Run]]:
    data = DataDirectory(tmp_path_factory.mktemp("data"))
    run = data.new_run(HOST, name="r", command=["x"], started_ns=T0)
    metric = HostMetric(id=1, name="cpu", value=0.5, unit="ratio", at_ns=T0, labels={"core": "0"})
    with SegmentWriter(run.segments, HOST) as writer:
        writer.write(Slice(until_ns=T0 + 1, facts=(metric,), effects=every_event()))
    with Database(data) as database:
        ingest_run(database, run, lambda pieces, _: iter(pieces), raw_reads=True)
        yield database, run


def rows(store: tuple[Database, Run], sql: str) -> list[dict[str, Any]]:
    return store[0].rows(sql).to_pylist()


def test_every_event_has_its_table(store: tuple[Database, Run]) -> None:
    counts = {
        table: rows(store, f"SELECT count() AS n FROM {table}")[0]["n"]
        for table in (
            *(
                "file_event",
                "file_agg_event",
                "file_mgmt_event",
                "file_open_event",
                "proc_perm_event",
                "proc_ops_event",
            ),
            *("proc_block_event", "proc_signal_event", "net_event", "host_metric"),
        )
    }
    assert counts == {
        "file_event": 2, "file_agg_event": 1, "file_mgmt_event": 5, "file_open_event": 2, "proc_perm_event": 1,
        "proc_ops_event": 3, "proc_block_event": 1, "proc_signal_event": 1, "net_event": 1, "host_metric": 1,
    }  # fmt: skip


def test_no_row_is_without_its_process_and_root(store: tuple[Database, Run]) -> None:
    for table in (
        "file_agg_event",
        "file_mgmt_event",
        "proc_perm_event",
        "proc_ops_event",
        "proc_block_event",
        "net_event",
    ):
        found = rows(store, f"SELECT DISTINCT root_pid, root_process_id, gprocess_id = 0 AS bad FROM {table}")
        assert found == [{"root_pid": 100, "root_process_id": store[1].root_process_id, "bad": 0}], table


def test_targets_of_file_management(store: tuple[Database, Run]) -> None:
    sql = (
        "SELECT event_type, file_dir, file_name, target_uid, target_gid, target_mode, access_permission, uid, result "
        "FROM file_mgmt_event ORDER BY at_ns"
    )
    assert [tuple(row.values()) for row in rows(store, sql)] == [
        ("create", "/a/b/", "c.txt", 0, 0, 0, 0, 1000, 0),
        ("chown", "/a/b/", "c.txt", 1001, 1002, 0, 0, 1000, 0),
        ("chmod", "", "c.txt", 0, 0, 0o600, 0o600, 1000, 0),
        ("chmod", "", "c.txt", 0, 0, 0o600, 0o600, 1000, 0),
        ("delete", "/", "x", 0, 0, 0, 0, 1000, -13),
    ]


def test_reads_are_put_together_and_raw_ones_are_beside_them(store: tuple[Database, Run]) -> None:
    [row] = rows(store, "SELECT event_type, event_count, bytes, length(effect_ids) AS n FROM file_agg_event")
    assert row == {"event_type": "read", "event_count": 2, "bytes": 2048, "n": 2}
    assert rows(store, "SELECT event_type, bytes FROM file_event") == [{"event_type": "read", "bytes": 1024}] * 2


def test_life_of_processes(store: tuple[Database, Run]) -> None:
    sql = "SELECT event_type, pid, parent_pid, cmdline, exec_path, gprocess_id FROM proc_ops_event ORDER BY kind"
    assert [tuple(row.values()) for row in rows(store, sql)] == [
        ("proclifecycleexec", 4321, 100, "python3.11 batch_processor.py --interval=300", "/usr/bin/python3.11", 8),
        ("proclifecycleexit", 4321, 100, "python3.11 batch_processor.py --interval=300", "/usr/bin/python3.11", 8),
        ("proclifecyclefork", 4321, 100, "", "", 7),
    ]


def test_credentials_have_columns_of_their_own(store: tuple[Database, Run]) -> None:
    [row] = rows(store, "SELECT event_type, uid, old_uid, new_uid, new_euid, new_gid, old_caps FROM proc_perm_event")
    assert tuple(row.values()) == ("permopsetreuid", 1000, 0, 1000, 1001, 0, (1 << 40) - 1)


def test_a_block_says_what_came_of_it(store: tuple[Database, Run]) -> None:
    sql = (
        "SELECT event_type, rule_id, action, mechanism, guarantee, outcome, errno, parent_pid, cmdline, path, is_ipv4 "
        "FROM proc_block_event"
    )
    [row] = rows(store, sql)
    assert tuple(row.values()) == (
        "exec", "block-reboot", "deny", "fanotify", "prevented", "prevented", 1, 99, "reboot now", "/sbin/reboot", 1,
    )  # fmt: skip


def test_signal_sources_do_not_collide(store: tuple[Database, Run]) -> None:
    tables = ("file_agg_event", "file_mgmt_event", "proc_perm_event", "proc_ops_event", "proc_block_event", "net_event")
    codes = [
        rows(store, f"SELECT any(signal_source) AS s FROM {table}")[0]["s"] for table in (*tables, "proc_signal_event")
    ]
    assert codes == [2, 6, 7, 4, 5, 8, 9]
    assert rows(store, "SELECT is_ipv4 FROM net_event") == [{"is_ipv4": 0}]
    assert rows(store, "SELECT DISTINCT is_ipv4 FROM file_mgmt_event") == [{"is_ipv4": 1}]


def test_show_has_every_effect_also_of_aggregates_and_repeats(store: tuple[Database, Run]) -> None:
    database, run = store
    found = effects_of(database, run.id)
    given = every_event()
    assert sorted(int(row["id"]) for row in found) == sorted(
        i for b in given.values() for i in b.column("id").to_pylist()
    )
    kinds = [row["kind"] for row in found]
    assert kinds.count("file_create") == kinds.count("file_read") == 2
    by_kind = {row["kind"]: row for row in found}
    assert by_kind["credential_change"]["detail"]["call"] == "setreuid"
    assert by_kind["credential_change"]["new_uid"] == 1000
    assert by_kind["signal"]["detail"] == {"pid": 100, "tid": 101, "signal": 9, "target_pid": 200, "target_id": "9"}
    assert by_kind["blocked"]["path"] == "/sbin/reboot"
    assert by_kind["blocked"]["detail"]["outcome"] == "prevented"


def test_a_slice_without_events_gives_no_rows(store: tuple[Database, Run]) -> None:
    data = store[0].data
    run = data.new_run(HOST, name="empty", command=["x"], started_ns=T0)
    with SegmentWriter(run.segments, HOST) as writer:
        writer.write(Slice(until_ns=T0))
    ingest_run(store[0], run, lambda pieces, _: iter(pieces))
    assert effects_of(store[0], run.id) == []
