"""What follows from what, what nobody can tell, and what is unusual: over samplings that are written down here."""

from dataclasses import replace
from typing import Any

import pytest

from intact.assist.diagnosis.hypothesis import Fault
from intact.assist.diagnosis.thresholds import THRESHOLDS
from intact.assist.diagnosis.verdict import CANNOT_TELL, FOUND, NOTHING_WRONG, PROBES, Verdict, diagnose
from intact.model.host import (
    CgroupState,
    Connections,
    Listener,
    LogClass,
    LogTrouble,
    Measure,
    Mount,
    OpenFile,
    ProcessState,
    Sampling,
    Service,
    Snapshot,
    Unread,
    Unreadable,
    Within,
)

MIB = 1 << 20
SECOND = 1_000_000_000


def process(pid: int = 100, **more: Any) -> ProcessState:
    values: dict[str, Any] = {
        "pid": pid, "ppid": 1, "started_ns": 0, "name": "worker", "argv": "worker --fast", "uid": 0, "state": "S",
        "threads": 1, "rss_bytes": 10 * MIB, "cpu_ns": 0, "wait_ns": 0, "cpus_allowed": 2, "children": 0, "zombies": 0,
        "fds": 10, "fds_limit": 1024, "read_bytes": 0, "write_bytes": 0, "written_bytes": 0,
    }  # fmt: skip
    return ProcessState(**{**values, **more})


def sampling(
    *series: list[ProcessState], measures: tuple[Measure, ...] = (), cgroups: tuple[CgroupState, ...] = (), **more: Any
) -> Sampling:
    """Five snapshots, a quarter of a second apart; each series gives one process in each."""
    snapshots = tuple(
        Snapshot(
            at_ns=100 * SECOND + step * SECOND // 4,
            clock_ns=step * SECOND // 4,
            processes=tuple(each[min(step, len(each) - 1)] for each in series),
            measures=measures,
            cgroups=cgroups,
        )
        for step in range(5)
    )
    return Sampling(host="h", within=Within(), cpus=2, memory_bytes=8 << 30, snapshots=snapshots, **more)


def mount(path: str = "/data", used: float = 50.0, **more: Any) -> Mount:
    size = 100 * MIB
    values: dict[str, Any] = {
        "path": path, "device": "d", "filesystem": "ext4", "size_bytes": size, "used_bytes": int(size * used / 100),
        "free_bytes": int(size * (100 - used) / 100), "inodes": 1000, "inodes_used": 10, "is_read_only": False,
        "is_image": False,
    }  # fmt: skip
    return Mount(**{**values, **more})


def faults(verdict: Verdict) -> list[tuple[Fault, str]]:
    return [(each.fault, each.object) for each in verdict.causes]


QUIET = [process()]


def test_quiet_is_nothing_wrong() -> None:
    assert diagnose(sampling(QUIET, mounts=(mount(),))).kind == NOTHING_WRONG


def test_seeing_nothing_is_not_knowing() -> None:
    assert diagnose(sampling()).kind == CANNOT_TELL


def test_seeing_less_than_half_is_not_knowing() -> None:
    hidden = (Unread(what=Unreadable.DESCRIPTORS, count=1),)
    assert diagnose(sampling(QUIET, mounts=(mount(),), unread=hidden)).kind == CANNOT_TELL
    assert diagnose(sampling(QUIET, [process(7)], [process(8)], unread=hidden)).kind == NOTHING_WRONG


def test_a_log_that_fills_a_disk_is_the_cause() -> None:
    log = OpenFile(
        pid=100, path="/data/app.log", bytes=30 * MIB, is_deleted=False, is_written=True, mount="/data",
        growth_bytes=5 * MIB,
    )  # fmt: skip
    verdict = diagnose(sampling(QUIET, mounts=(mount(used=99.0),), files=(log,)))
    assert faults(verdict) == [(Fault.LOG_STORM, "/data/app.log")]
    assert [(each.fault, cause.fault) for each, cause in verdict.symptoms] == [(Fault.DISK_FULL, Fault.LOG_STORM)]


def test_a_log_on_another_disk_explains_nothing() -> None:
    log = OpenFile(
        pid=100, path="/var/log/app.log", bytes=30 * MIB, is_deleted=False, is_written=True, mount="/",
        growth_bytes=5 * MIB,
    )  # fmt: skip
    verdict = diagnose(sampling(QUIET, mounts=(mount(used=99.0), mount("/")), files=(log,)))
    assert set(faults(verdict)) == {(Fault.LOG_STORM, "/var/log/app.log"), (Fault.DISK_FULL, "/data")}


@pytest.mark.parametrize("more", [{"is_image": True}, {"is_read_only": True}, {"free_bytes": 30 << 30}])
def test_what_is_made_full_or_large_is_no_trouble(more: dict[str, Any]) -> None:
    assert diagnose(sampling(QUIET, mounts=(replace(mount(used=100.0), **more),))).kind == NOTHING_WRONG


def test_waiting_for_a_processor_is_wanting_it() -> None:
    steps = [process(cpu_ns=step * SECOND // 8, wait_ns=step * SECOND // 8) for step in range(5)]
    assert faults(diagnose(sampling(steps))) == [(Fault.CPU_HOG, "worker[100]")]
    alone = [process(cpu_ns=step * SECOND // 8) for step in range(5)]
    assert diagnose(sampling(alone)).kind == NOTHING_WRONG


def test_a_core_of_many_is_no_trouble() -> None:
    steps = [process(cpu_ns=step * SECOND // 4, cpus_allowed=64) for step in range(5)]
    assert diagnose(replace(sampling(steps), cpus=64)).kind == NOTHING_WRONG


def test_growth_within_a_limit_is_a_leak_and_a_start_is_not() -> None:
    steps = [process(rss_bytes=(100 + 10 * step) * MIB) for step in range(5)]
    group = CgroupState(path="/g", memory_bytes=300 * MIB, memory_limit_bytes=600 * MIB)
    assert faults(diagnose(sampling(steps, cgroups=(group,)))) == [(Fault.MEMORY_LEAK, "worker[100]")]
    young = [replace(each, started_ns=99 * SECOND) for each in steps]
    assert diagnose(sampling(young)).kind == NOTHING_WRONG
    stable = [process(rss_bytes=2 << 30)]
    assert diagnose(sampling(stable)).kind == NOTHING_WRONG


def test_kills_are_explained_by_a_leak_of_the_same_group() -> None:
    steps = [process(rss_bytes=(100 + 10 * step) * MIB) for step in range(5)]
    made = sampling(steps)
    snapshots = tuple(
        replace(
            each, cgroups=(CgroupState(path="/g", memory_bytes=580 * MIB, memory_limit_bytes=600 * MIB, oom_kills=n),)
        )
        for n, each in enumerate(made.snapshots)
    )
    verdict = diagnose(replace(made, snapshots=snapshots))
    assert faults(verdict) == [(Fault.MEMORY_LEAK, "worker[100]")]
    assert {each.fault for each, _ in verdict.symptoms} == {Fault.OOM_KILL, Fault.MEMORY_PRESSURE}


def test_old_kills_are_history() -> None:
    group = CgroupState(path="/g", memory_bytes=10 * MIB, memory_limit_bytes=600 * MIB, oom_kills=7)
    assert diagnose(sampling(QUIET, cgroups=(group,))).kind == NOTHING_WRONG


def test_connections_that_leak_explain_descriptors() -> None:
    many = Connections(pid=100, name="worker", state="CLOSE_WAIT", count=900)
    verdict = diagnose(sampling([process(fds=950)], connections_before=(many,), connections=(many,)))
    assert faults(verdict) == [(Fault.CONNECTION_LEAK, "worker[100]")]
    assert verdict.symptoms[0][0].fault is Fault.DESCRIPTOR_LEAK


def test_a_stopped_server_explains_its_full_queue() -> None:
    listener = Listener(address="127.0.0.1", port=80, protocol="tcp", pid=100, name="worker", queued=9, backlog=8)
    verdict = diagnose(sampling([process(state="T")], listeners_before=(listener,), listeners=(listener,)))
    assert faults(verdict) == [(Fault.STUCK_PROCESS, "worker[100]")]
    assert verdict.symptoms[0][0].object == "127.0.0.1:80"


def test_a_stopped_job_is_told_once() -> None:
    verdict = diagnose(sampling([process(state="T")], [process(101, ppid=100, state="T")]))
    assert faults(verdict) == [(Fault.STUCK_PROCESS, "worker[100]")]


def refusals(**more: Any) -> LogTrouble:
    values: dict[str, Any] = {
        "source": "/l", "kind": LogClass.REFUSED, "count": 9, "recent": 5, "last_ns": None, "last_line": "x",
        "endpoints": ("127.0.0.1:5432",),
    }  # fmt: skip
    return LogTrouble(**{**values, **more})


def test_a_refused_port_until_somebody_listens() -> None:
    assert faults(diagnose(sampling(QUIET, troubles=(refusals(),)))) == [(Fault.REFUSED_PORT, "127.0.0.1:5432")]
    assert diagnose(sampling(QUIET, troubles=(refusals(),), ports=(5432,))).kind == NOTHING_WRONG
    assert diagnose(sampling(QUIET, troubles=(refusals(recent=0, endpoints=()),))).kind == NOTHING_WRONG


def test_a_file_system_is_read_only_to_who_writes_below_it() -> None:
    trouble = refusals(kind=LogClass.READ_ONLY, endpoints=(), paths=("/data/state.json",))
    read_only = mount(is_read_only=True)
    assert faults(diagnose(sampling(QUIET, mounts=(read_only,), troubles=(trouble,)))) == [
        (Fault.READ_ONLY_MOUNT, "/data")
    ]
    assert diagnose(sampling(QUIET, mounts=(read_only,))).kind == NOTHING_WRONG


def test_a_failed_service() -> None:
    service = Service(name="a.service", load="loaded", active="failed", sub="failed")
    assert faults(diagnose(sampling(QUIET, services=(service,)))) == [(Fault.SERVICE_FAILED, "a.service")]


def test_what_is_far_from_usual_is_told_with_its_beginning() -> None:
    measures = (Measure(name="processes.count", value=900.0, unit="count"),)
    history = [(at, 100.0 + at % 3) for at in range(100)]
    verdict = diagnose(sampling(QUIET, measures=measures), {("processes.count", ""): history})
    assert [(each.metric, each.middle) for each in verdict.unusual] == [("processes.count", 101.0)]
    assert verdict.kind == NOTHING_WRONG
    assert not diagnose(sampling(QUIET, measures=measures), {("processes.count", ""): history[:5]}).unusual


def test_two_faults_are_both_told_the_surer_first() -> None:
    verdict = diagnose(
        sampling([process(zombies=40, children=40)], mounts=(mount(used=99.5), mount("/q", inodes_used=999)))
    )
    assert verdict.kind == FOUND
    assert faults(verdict) == [
        (Fault.DISK_FULL, "/data"),
        (Fault.INODES_EXHAUSTED, "/q"),
        (Fault.ZOMBIE_FLOOD, "worker[100]"),
    ]


def test_one_look_is_enough_for_what_does_not_move() -> None:
    made = sampling([process(zombies=40, children=40)], mounts=(mount(used=99.5),))
    assert (Fault.DISK_FULL, "/data") in faults(diagnose(replace(made, snapshots=made.snapshots[:1])))


def test_every_threshold_has_a_reason_and_every_probe_is_listed_once() -> None:
    assert all(each.reason and each.value > 0 for each in THRESHOLDS.values())
    assert len(set(PROBES)) == len(PROBES)
