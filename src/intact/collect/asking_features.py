"""What of this host can be looked at for whoever asks: logs, services, counters; yes, no, or could not tell."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

from intact.collect.features import Answer, Feature
from intact.collect.host_logs import SYSTEM_LOGS, LogReader
from intact.model.host import Within

COMMAND_S = 1.5
_JOURNALS = (Path("/run/log/journal"), Path("/var/log/journal"))
_KERNEL_LOG = Path("/dev/kmsg")
_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_IN_GROUP = "run as root, or as a member of the groups adm and systemd-journal"


def asking_features() -> tuple[Feature, ...]:
    """One answer for each of PROBES; none needs a privilege, and each says what may not be read."""
    return tuple(_asked(probe) for probe in PROBES)


def _asked(probe: Callable[[], Feature]) -> Feature:
    try:
        return probe()
    except (OSError, psutil.Error, subprocess.SubprocessError) as error:
        name = probe.__name__.removeprefix("_").replace("_", " ")
        return Feature(name=name, answer=Answer.UNKNOWN, reason=f"the probe failed: {error}")


def _counters() -> Feature:
    name = "counters of the host"
    read = {
        "CPU": psutil.cpu_times(),
        "memory": psutil.virtual_memory(),
        "disks": psutil.disk_io_counters(),
        "network": psutil.net_io_counters(),
        "processes": psutil.pids(),
    }
    absent = [what for what, found in read.items() if not found]
    if absent:
        reason = f"none of {', '.join(absent)}"
        return Feature(name=name, answer=Answer.NO, reason=reason, remedy="mount /proc and /sys")
    return Feature(name=name, answer=Answer.YES, reason=f"{', '.join(read)} are read")


def _log_files() -> Feature:
    name = "log files"
    if not SYSTEM_LOGS.is_dir():
        return Feature(name=name, answer=Answer.NO, reason=f"there is no {SYSTEM_LOGS}", remedy="mount it where we run")
    files = LogReader(Within()).files()
    if not files:
        reason = f"{SYSTEM_LOGS} holds none that may be listed"
        return Feature(name=name, answer=Answer.UNKNOWN, reason=reason, remedy=_IN_GROUP)
    readable = [path for path in files if os.access(path, os.R_OK)]
    reason = f"{len(readable)} of {len(files)} below {SYSTEM_LOGS} may be read"
    answer = Answer.YES if len(readable) == len(files) else Answer.NO if not readable else Answer.UNKNOWN
    return Feature(name=name, answer=answer, reason=reason, remedy=_IN_GROUP)


def _kernel_log() -> Feature:
    name = "kernel log"
    try:
        os.close(os.open(_KERNEL_LOG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        reason = f"{_KERNEL_LOG}: {error.strerror}"
        return Feature(name=name, answer=Answer.NO, reason=reason, remedy="run as root, or set kernel.dmesg_restrict=0")
    return Feature(name=name, answer=Answer.YES, reason=f"{_KERNEL_LOG} may be read")


def _journal() -> Feature:
    name = "journal"
    program = shutil.which("journalctl")
    there = [path for path in _JOURNALS if path.exists()]
    if program is None or not there:
        reason = "journalctl is not installed" if program is None else "journald keeps none here"
        return Feature(name=name, answer=Answer.NO, reason=reason, remedy="log files are read instead")
    command = [program, "--quiet", "--no-pager", "--lines=1", "--output=cat"]
    done = subprocess.run(
        command, capture_output=True, timeout=COMMAND_S, check=False, stdin=subprocess.DEVNULL, env={"LC_ALL": "C"}
    )
    if done.returncode:
        return Feature(name=name, answer=Answer.NO, reason="it may not be read", remedy=_IN_GROUP)
    if not done.stdout:
        reason = "it is empty, or nothing in it is for us"
        return Feature(name=name, answer=Answer.UNKNOWN, reason=reason, remedy=_IN_GROUP)
    return Feature(name=name, answer=Answer.YES, reason=f"{there[0]} is read by journalctl")


def _services() -> Feature:
    name = "services"
    if shutil.which("systemctl") is None or not _BOOTED.is_dir():
        remedy = "nothing to do: processes and ports are told without it"
        return Feature(name=name, answer=Answer.NO, reason="systemd does not run here", remedy=remedy)
    return Feature(name=name, answer=Answer.YES, reason="systemd runs here")


# A probe is added by its function and one line here.
PROBES: tuple[Callable[[], Feature], ...] = (_counters, _log_files, _kernel_log, _journal, _services)
