"""This machine as it is now: processes, files, network, logs and services, whole or only a part of it."""

import ipaddress
import os
import shutil
import subprocess
import time
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from intact.collect.host_descriptors import Descriptors, grown, read_descriptors
from intact.collect.host_logs import LogReader
from intact.collect.host_metrics import HostMeter
from intact.collect.host_network import Socket, connect, connections, interfaces, listeners, sockets
from intact.collect.host_processes import ProcessReader, cgroup_states
from intact.collect.host_space import mounts_by_device, read_mounts
from intact.model.host import (
    Interface,
    Listener,
    Look,
    Mount,
    Part,
    ProcessState,
    Sampling,
    Service,
    Snapshot,
    Unread,
    Unreadable,
    Within,
)

ALL = Within()
COMMAND_S = 2.0
MOST_SERVICES = 1_000
MOST_PORTS = 4_000


@dataclass(slots=True)
class _Ends:
    """What is looked at once when a sampling begins and once when it ends."""

    descriptors: Descriptors
    sockets: list[Socket]


class LocalHost:
    """The machine we run on; needs no privilege, and tells what it may not read.

    Args:
        within: the part that is looked at.
        name: of the host, as measurements of it are kept.
    """

    def __init__(self, within: Within = ALL, *, name: str | None = None) -> None:
        self.name = name or os.uname().nodename
        self.scope = within

    def within(self, within: Within) -> "LocalHost":
        """The same machine, of which less is looked at."""
        return LocalHost(within, name=self.name)

    def connect(self, address: str, port: int) -> tuple[str, int]:
        """Try a port of this machine: `open`, `refused`, `timeout` or `error`, and the errno.

        Raises:
            ValueError: the address is another machine's.
        """
        if not ipaddress.ip_address(address).is_loopback:  # a name is no address: it may be anybody's
            raise ValueError("only addresses of this machine are tried")
        return connect(address, port)

    def sample(self, parts: Collection[Part], *, window_s: float = 0.0, steps: int = 0) -> Sampling:
        """Look at these parts, `steps` more times within the window; what is looked at once is so at its end."""
        began = time.monotonic()
        wanted = frozenset(parts)
        look = _Looking(self.scope, wanted)
        with ThreadPoolExecutor(max_workers=4, thread_name_prefix="look") as pool:
            services = pool.submit(_services) if Part.SERVICES in wanted and self.scope.is_all else None
            look.begin()
            for step in range(1, steps + 1):
                time.sleep(max(began + window_s * step / steps - time.monotonic(), 0.0))
                look.snap()
            sampling = look.end(pool, services)
        return replace(
            sampling,
            host=self.name,
            window_s=window_s,
            reading_s=round(time.monotonic() - began - window_s, 4),
        )


class _Looking:
    """One sampling while it is made."""

    def __init__(self, within: Within, parts: frozenset[Part]) -> None:
        self._within = within
        self._parts = parts
        self._reader = ProcessReader(within)
        self._meter = HostMeter()
        self._logs = LogReader(within)
        self._snapshots: list[Snapshot] = []
        self._unread: list[Unread] = []
        self._process_unread: tuple[Unread, ...] = ()
        self._mounts = mounts_by_device() if Part.FILES in parts else {}
        self._first: _Ends | None = None

    def begin(self) -> None:
        if Part.LOGS in self._parts:
            self._logs.mark()
        if self._parts & {Part.FILES, Part.NETWORK}:
            self._first = self._ends()
        self.snap()

    def snap(self) -> None:
        processes: tuple[ProcessState, ...] = ()
        if Part.PROCESSES in self._parts:
            look = self._reader.read()
            processes, self._process_unread = look.rows, look.unread
        self._snapshots.append(
            Snapshot(
                at_ns=time.time_ns(),
                clock_ns=time.monotonic_ns(),
                processes=processes,
                measures=self._meter.measure() if Part.CORE in self._parts else (),
                cgroups=cgroup_states(self._within, [each.pid for each in processes]) if processes else (),
            )
        )

    def end(self, pool: ThreadPoolExecutor, services: "Future[Look[Service]] | None") -> Sampling:
        now_ns = time.time_ns()
        wants_logs = Part.LOGS in self._parts
        # Only the logs of the whole machine are asked of other programs, for which it is worth to wait elsewhere.
        logs = pool.submit(self._logs.read, now_ns) if wants_logs and self._within.is_all else None
        mounts: Look[Mount] = read_mounts(self._within) if Part.SPACE in self._parts else Look(rows=())
        self._unread += [*self._process_unread, *mounts.unread]
        made = Sampling(
            host="",
            within=self._within,
            cpus=psutil.cpu_count() or 1,
            memory_bytes=psutil.virtual_memory().total,
            snapshots=tuple(self._snapshots),
            mounts=mounts.rows,
        )
        if self._first is not None:
            made = self._with_descriptors(made, self._first, self._ends())
        if wants_logs:
            told = self._logs.read(now_ns) if logs is None else logs.result()
            self._unread += told.unread
            made = replace(made, troubles=told.rows, logs=self._logs.sources)
        if services is not None:
            found = services.result()
            self._unread += found.unread
            made = replace(made, services=found.rows)
        return replace(made, unread=tuple(self._unread))

    def _ends(self) -> _Ends:
        network = Part.NETWORK in self._parts
        return _Ends(
            descriptors=read_descriptors(self._reader.pids(), self._mounts),
            sockets=sockets() if network else [],
        )

    def _with_descriptors(self, made: Sampling, first: _Ends, last: _Ends) -> Sampling:
        if last.descriptors.refused:
            self._note(Unreadable.DESCRIPTORS, last.descriptors.refused)
        if last.descriptors.left_out:
            self._note(Unreadable.REST, last.descriptors.left_out)
        if Part.FILES in self._parts:
            made = replace(made, files=grown(first.descriptors, last.descriptors))
        if Part.NETWORK in self._parts:
            names = _names({*first.descriptors.sockets.values(), *last.descriptors.sockets.values()})
            whole = self._within.is_all
            before, after = first.descriptors.sockets, last.descriptors.sockets
            found: tuple[Listener, ...] = listeners(last.sockets, after, names, all_of_them=whole)
            cards: tuple[Interface, ...] = interfaces() if whole else ()
            made = replace(
                made,
                listeners_before=listeners(first.sockets, before, names, all_of_them=whole),
                listeners=found,
                ports=tuple(sorted({each.port for each in last.sockets if each.state == "LISTEN"})[:MOST_PORTS]),
                connections_before=connections(first.sockets, before, names, all_of_them=whole),
                connections=connections(last.sockets, after, names, all_of_them=whole),
                interfaces=cards,
            )
        return made

    def _note(self, what: Unreadable, count: int) -> None:
        if all(each.what is not what for each in self._unread):
            self._unread.append(Unread(what=what, count=count))


def _names(pids: set[int]) -> dict[int, str]:
    found = {}
    for pid in pids:
        try:
            found[pid] = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
        except OSError:
            continue
    return found


def _services() -> Look[Service]:
    program = shutil.which("systemctl")
    if program is None or not Path("/run/systemd/system").is_dir():  # sd_booted(3)
        return Look(rows=(), unread=(Unread(what=Unreadable.SERVICES, detail="systemd does not run here"),))
    command = [program, "list-units", "--type=service", "--all", "--plain", "--no-legend", "--no-pager", "--full"]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=COMMAND_S, check=True, stdin=subprocess.DEVNULL, env={"LC_ALL": "C"}
        )
    except (OSError, subprocess.SubprocessError):
        return Look(rows=(), unread=(Unread(what=Unreadable.SERVICES, detail="it does not answer"),))
    rows = []
    for line in done.stdout.decode("utf-8", "replace").splitlines()[:MOST_SERVICES]:
        words = line.split(None, 4)
        if len(words) >= 4:
            rows.append(Service(name=words[0], load=words[1], active=words[2], sub=words[3]))
    return Look(rows=tuple(rows))
