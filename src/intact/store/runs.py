"""The data directory and the runs in it: where things are, whose they are, and which run is meant."""

import contextlib
import json
import os
import pwd
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from intact import __version__
from intact.model.errors import IntactError, UsageError
from intact.model.identity import host_hash, process_id, text_id
from intact.model.slice import Host
from intact.store.segments import has_writer, segments_in

FORMAT = 1
DEFAULT_TENANT = 1
RUN_FILE = "run.json"
MAX_RUN_FILE_BYTES = 4 << 20  # a command line is at most 2 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One recording, as `run.json` keeps it."""

    id: str
    name: str
    command: tuple[str, ...]
    host: Host
    started_ns: int
    ended_ns: int | None = None
    exit_code: int | None = None
    problem: str | None = None
    tenant_id: int = DEFAULT_TENANT
    raw_reads: bool = False  # reads and writes are stored also as they came, in `file_event`
    intact_version: str = __version__
    directory: Path = Path()

    @property
    def segments(self) -> Path:
        return self.directory / "segments"

    @property
    def root_process_id(self) -> int:
        """The recorded command; 0 if the whole host was observed."""
        if not self.host.root_tgid:
            return 0
        return process_id(host_hash(self.host.boot_id), self.host.root_tgid, self.host.root_start_ns)

    @property
    def is_recording(self) -> bool:
        """Whether one command was recorded, on purpose; else the sensor watched."""
        return self.host.root_tgid != 0

    @property
    def is_going(self) -> bool:
        """Whether its recorder is alive."""
        return self.ended_ns is None and any(has_writer(segment) for segment in segments_in(self.segments)[-2:])


class DataDirectory:
    """`--data`, else `INTACT_DATA`, else `~/.local/share/intact`; private to its owner.

    Made by root for another user (`sudo`), all that is in it belongs to that user.
    """

    def __init__(self, path: Path, *, owner: Sequence[int] | None = None) -> None:
        self.path = path.absolute()
        self._owner = None if owner is None else (owner[0], owner[1])

    @classmethod
    def locate(cls, data: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> "DataDirectory":
        """The data directory a command is to use. Under sudo it is the calling user's."""
        owner, home = _calling_user(environ)
        if data is None and environ.get("INTACT_DATA"):
            data = Path(environ["INTACT_DATA"])
        return cls(data or home / ".local" / "share" / "intact", owner=owner)

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def store_lock(self) -> Path:
        return self.path / "store.lock"

    def make(self, *parts: str) -> Path:
        """A directory inside, made if need be, with mode 0700 and the right owner.

        Raises:
            IntactError: it cannot be made.
        """
        path = self.path.joinpath(*parts)
        missing = [directory for directory in (path, *path.parents) if not directory.exists()]
        try:
            for directory in reversed(missing):
                directory.mkdir(mode=0o700, exist_ok=True)
                self.own(directory)
        except OSError as error:
            raise IntactError(f"cannot make the data directory {path}: {error.strerror}") from error
        return path

    def own(self, path: Path) -> None:
        """Give a file to the user the data belongs to."""
        if self._owner is not None:
            os.chown(path, *self._owner, follow_symlinks=False)

    def become_owner(self) -> None:
        """Give up being root for good where the data is another user's.

        A command that only reads needs no privilege, and what the store writes has to stay that user's.
        """
        if self._owner is not None and os.geteuid() == 0:
            os.setgroups([])
            os.setgid(self._owner[1])
            os.setuid(self._owner[0])

    def cache(self) -> Path:
        """Where what can be found out again is kept."""
        return self.make("cache")

    def redaction_key(self) -> bytes:
        """The secret of this data directory with which the places of removed secrets are told apart."""
        self.make()
        path = self.path / "redaction.key"
        with contextlib.suppress(FileNotFoundError):
            key = path.read_bytes()
            if len(key) == 32:
                return key
        self._replace(path, os.urandom(32))
        return path.read_bytes()

    def new_run(self, host: Host, *, name: str | None, command: Sequence[str], started_ns: int | None = None) -> Run:
        """Make the directory of a new run and its `run.json`."""
        started_ns = time.time_ns() if started_ns is None else started_ns
        name = name or (Path(command[0]).name if command else "run")
        day = datetime.fromtimestamp(started_ns / 1e9, UTC).strftime("%Y%m%d-%H%M%S")
        word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24] or "run"
        self.make("runs")
        for attempt in range(1000):
            tail = text_id(host.boot_id, host.root_tgid, host.root_start_ns, started_ns, attempt) & 0xFFFF
            directory = self.path / "runs" / f"{day}-{word}-{tail:04x}"
            with contextlib.suppress(FileExistsError):
                directory.mkdir(mode=0o700)
                break
        else:
            raise IntactError(f"no free name for a run in {self.path / 'runs'}")
        self.own(directory)
        self.make("runs", directory.name, "segments")
        run = Run(
            id=directory.name, name=name, command=tuple(command), host=host, started_ns=started_ns, directory=directory
        )
        self.save(run)
        return run

    def save(self, run: Run) -> None:
        """Write `run.json` whole or not at all.

        Raises:
            IntactError: it cannot be written.
        """
        body = {"format": FORMAT, **asdict(run), "root_process_id": str(run.root_process_id)}
        del body["directory"]
        try:
            self._replace(run.directory / RUN_FILE, json.dumps(body, indent=1).encode("ascii"))
        except OSError as error:
            raise IntactError(f"cannot write {run.directory / RUN_FILE}: {error.strerror}") from error

    def runs(self) -> list[Run]:
        """The runs, oldest first. Directories that hold no readable run are left out."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.path / "runs"):
                run = _read_run(Path(entry.path))
                if run is not None:
                    found.append(run)
        return sorted(found, key=lambda run: (run.started_ns, run.id))

    def reload(self, run: Run) -> Run:
        """The run as its `run.json` tells it now."""
        return _read_run(run.directory) or run

    def run(self, wanted: str | None = None) -> Run:
        """The run of this id, of this name, or whose id or name begins so; the latest if None or `latest`.

        Raises:
            IntactError: there is no such run.
            UsageError: there are several.
        """
        runs = self.runs()
        if not runs:
            raise IntactError(f"no run is recorded in {self.path}; record one with: intact record -- CMD")
        if wanted in (None, "latest"):
            return runs[-1]
        exact = [run for run in runs if run.id == wanted]
        named = [run for run in runs if run.name == wanted][-1:]  # of equal names the latest is meant
        begun = [run for run in runs if run.id.startswith(wanted) or run.name.startswith(wanted)]
        matches = exact or named or begun
        if len(matches) == 1:
            return matches[0]
        if not matches:
            raise IntactError(f"no run {wanted[:80]!r} in {self.path}; list them with: intact runs")
        some = ", ".join(run.id for run in matches[-3:])
        raise UsageError(f"{wanted[:80]!r} begins the names of {len(matches)} runs, e.g. {some}; say more of it")

    def _replace(self, path: Path, content: bytes) -> None:
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self.own(Path(temporary))
            os.replace(temporary, path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise


def _read_run(directory: Path) -> Run | None:
    try:
        with open(directory / RUN_FILE, "rb") as file:
            body = json.loads(file.read(MAX_RUN_FILE_BYTES))
        return _run_of(body, directory)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # being made or removed, or not ours


def _run_of(body: dict[str, Any], directory: Path) -> Run:
    return Run(
        id=directory.name,
        name=str(body["name"]),
        command=tuple(map(str, body["command"])),
        host=Host(**body["host"]),
        started_ns=int(body["started_ns"]),
        ended_ns=body["ended_ns"],
        exit_code=body["exit_code"],
        problem=body["problem"],
        intact_version=str(body["intact_version"]),
        tenant_id=int(body.get("tenant_id", DEFAULT_TENANT)),
        raw_reads=body.get("raw_reads") is True,
        directory=directory,
    )


def _calling_user(environ: Mapping[str, str]) -> tuple[tuple[int, int] | None, Path]:
    """Owner of what is made, None for ourselves; and whose home it is."""
    if os.geteuid() == 0 and environ.get("SUDO_UID", "").isdigit():
        try:
            person = pwd.getpwuid(int(environ["SUDO_UID"]))
        except KeyError:
            raise IntactError(f"SUDO_UID={environ['SUDO_UID']} is not a user of this machine") from None
        if person.pw_uid:
            return (person.pw_uid, person.pw_gid), Path(person.pw_dir)
    home = environ.get("HOME")
    return None, Path(home) if home else Path.home()
