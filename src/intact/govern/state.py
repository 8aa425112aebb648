"""What was asked for and what is in effect, as files of the data directory, and the log of who asked.

    govern/desired.json           the policies asked for, with a revision that only grows
    govern/effective/<scope>.json what one running scope holds, rewritten as it changes
    govern/log.jsonl              who applied or removed what, and when

A scope takes a new revision only from a file that root or its own user wrote. A file that is gone, older or not readable
changes nothing: rules are taken off by asking for it, never by losing a file.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from intact.govern.policy import Policy, parse_policy
from intact.model.errors import IntactError

MAX_STATE_BYTES = 16 << 20
# A scope writes its state at least this often; what is older is of a process that is gone.
FRESH_NS = 10_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One policy that was asked for."""

    text: str
    by: str
    at_ns: int
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """All that is asked for."""

    revision: int = 0
    policies: Mapping[str, Applied] = field(default_factory=dict)

    def read(self) -> tuple[Policy, ...]:
        """The policies, in order of their names."""
        return tuple(parse_policy(self.policies[name].text.encode(), name) for name in sorted(self.policies))


class State:
    """The `govern` directory of a data directory."""

    def __init__(self, data: Path) -> None:
        self.path = data / "govern"
        self._desired = self.path / "desired.json"
        self._log = self.path / "log.jsonl"
        self._effective = self.path / "effective"

    def apply(self, name: str, applied: Applied) -> Desired:
        """Ask for a policy; one of the same name is replaced."""
        with self._locked():
            before = self.desired()
            after = replace(before, revision=before.revision + 1, policies={**before.policies, name: applied})
            self._write(self._desired, asdict(after))
            change = "replaced" if name in before.policies else "applied"
            self._append(
                {"at_ns": applied.at_ns, "by": applied.by, "did": change, "policy": name, "text": applied.text}
            )
        return after

    def remove(self, name: str, *, by: str, at_ns: int) -> Desired:
        """Ask for a policy no longer.

        Raises:
            IntactError: it was not asked for.
        """
        with self._locked():
            before = self.desired()
            if name not in before.policies:
                known = ", ".join(sorted(before.policies)) or "none"
                raise IntactError(f"no policy {name!r} is applied; applied: {known}")
            left = {key: value for key, value in before.policies.items() if key != name}
            after = replace(before, revision=before.revision + 1, policies=left)
            self._write(self._desired, asdict(after))
            self._append({"at_ns": at_ns, "by": by, "did": "removed", "policy": name})
        return after

    def desired(self) -> Desired:
        """What is asked for.

        Raises:
            IntactError: the file cannot be trusted or read.
        """
        try:
            with self._desired.open("rb") as file:
                owner = os.fstat(file.fileno())
                if owner.st_uid not in (0, os.geteuid()) or owner.st_mode & 0o022:
                    raise IntactError(
                        f"{self._desired} can be written by others; policies are taken from root's or our own file"
                    )
                body = json.loads(file.read(MAX_STATE_BYTES))
            policies = {str(name): Applied(**entry) for name, entry in body["policies"].items()}
            return Desired(revision=int(body["revision"]), policies=policies)
        except FileNotFoundError:
            return Desired()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntactError(f"cannot read {self._desired}: {error}") from None

    def newer(self, revision: int) -> Desired | None:
        """What is asked for, if that is newer than `revision` and can be trusted."""
        try:
            found = self.desired()
        except IntactError:
            return None  # nothing is loosened by a broken file; `policy status` tells of it
        return found if found.revision > revision else None

    def tell(self, scope: str, body: dict[str, Any]) -> None:
        """Write what a scope holds."""
        self._make(self._effective)
        self._write(self._effective / f"{scope}.json", body)

    def forget(self, scope: str) -> None:
        """A scope has ended."""
        (self._effective / f"{scope}.json").unlink(missing_ok=True)

    def effective(self, now_ns: int) -> dict[str, dict[str, Any]]:
        """What the scopes that run hold, by scope."""
        found = {}
        for file in sorted(self._effective.glob("*.json")):
            try:
                body = json.loads(file.read_bytes()[:MAX_STATE_BYTES])
                if now_ns - int(body["at_ns"]) < FRESH_NS:
                    found[file.stem] = body
            except (OSError, ValueError, KeyError, TypeError):
                continue  # being written or removed, or not ours
        return found

    def log(self) -> list[dict[str, Any]]:
        """Who asked for what, oldest first."""
        try:
            lines = self._log.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line]

    def _make(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o755)
        except OSError as error:
            raise IntactError(f"cannot make {path}: {error.strerror}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._make(self.path)
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _append(self, entry: dict[str, Any]) -> None:
        with self._log.open("a") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _write(self, path: Path, body: dict[str, Any]) -> None:
        try:
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(body, indent=1).encode())
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            raise IntactError(f"cannot write {path}: {error.strerror}") from None
