"""What an agent does for itself: code it loads, its config, cache, logs, telemetry, and the way to its model."""

import re
from posixpath import basename, dirname
from typing import TypeVar

from intact.model.effects import Kind

Key = TypeVar("Key")

_RUNTIME = re.compile(
    r"""^/(?:proc|sys|dev)(?:/|$)
    | ^/(?:lib|lib32|lib64|bin|sbin|usr|opt|snap|nix/store|run/(?:nscd|systemd|resolvconf))(?:/|$)
    | ^/var/(?:run|lib|cache)/(?:nscd|sss|fontconfig|ca-certificates)
    | ^/etc/(?:ld\.so|nsswitch|resolv|hosts?(?:\.conf)?$|gai|passwd$|group$|localtime|timezone|ssl(?:/|$)|pki/|ca-cert
        |crypto-pol|protocols|services|[a-z]*-?release|machine-id|locale|mime|gitconfig|inputrc|bash|profile|skel|debian_version|openssl|python|npmrc|fonts|terminfo|alternatives)
    | /(?:node_modules|site-packages|dist-packages|__pycache__)(?:/|$)
    | \.so(?:\.\d+)*$ | \.py[co]$ | /lib/python\d | /pyvenv\.cfg$ | \.(?:dist|egg)-info(?:/|$)
    """,
    re.X,
)
_OWN = re.compile(
    r"""/\.(?:claude|gemini|codex|qwen|opencode|aider|cursor|continue|goose|cline|droid|amp|copilot|crewai|langchain|langgraph|openai
        |anthropic|config|cache|local|npm|nvm|bun|yarn|pnpm|node|mozilla|pki|nv)[^/]*(?:/|$)
    | ^(?:/root|/home/[^/]+)/\.
        (?!ssh|aws|gnupg|kube|netrc|git-credentials|docker|azure|env|pgpass|password|bash_history|zsh_history)[^/]+
    """,
    re.X,
)
_NOISE = re.compile(
    r"""\.log(?:[.-][^/]*)?$ | \.jsonl$ | \.lock$ | \.pid$ | \.sqlite\d?(?:-\w+)?$ | \.db(?:-(?:wal|shm|journal))?$
    | (?:^|[/._-])(?:logs?|cache[sd]?|telemetry|statsig|sentry|analytics|metrics|sessions?|history|heartbeat
        |checkpoints?|state|traces?|debug)(?:[/._-]|$)
    """,
    re.X | re.I,
)
_TEMPORARY = ("/tmp/", "/var/tmp/", "/dev/shm/")
_ROOTS = {"/", "/tmp", "/var", "/var/tmp", "/home", "/root", "/dev/shm"}
_WRITES = {
    Kind.FILE_WRITE, Kind.FILE_CREATE, Kind.FILE_DELETE, Kind.FILE_RENAME, Kind.FILE_LINK, Kind.FILE_CHMOD, Kind.FILE_CHOWN,
    Kind.FILE_TRUNCATE, Kind.DIR_CREATE, Kind.DIR_DELETE,
}  # fmt: skip


def is_write(kind: int) -> bool:
    """Whether a file effect changes something."""
    return kind in _WRITES


def is_runtime(path: str, kind: int) -> bool:
    """Whether the path belongs to the system or the language, and is only read."""
    if is_write(kind):
        return path.startswith(("/proc/", "/dev/")) or "/__pycache__" in path
    # On the way to its work it opens the directories above it.
    return path in _ROOTS or _RUNTIME.search(path) is not None


def is_own(path: str) -> bool:
    """Whether the path is where programs keep their config and state."""
    return _OWN.search(path) is not None


def is_noise(path: str, cwd: str) -> bool:
    """Whether the path looks like a log, a cache or other state; below `cwd` only the name counts, not its directories."""
    inside = path.startswith(cwd.rstrip("/") + "/")
    return _NOISE.search(path[len(cwd) :] if inside else path) is not None


def is_temporary(path: str, cwd: str) -> bool:
    """Whether the path is in a place for temporary files and not in the work."""
    return path.startswith(_TEMPORARY) and not path.startswith(cwd.rstrip("/") + "/")


class Learnt:
    """What an agent touched before its first tool call: that much it does of itself."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._paths: dict[str, int] = {}
        self._directories: dict[str, int] = {}
        self._peers: dict[tuple[str, int], int] = {}
        self._commands: dict[tuple[str, ...], int] = {}
        self._work: dict[str, tuple[int, int]] = {}
        self.refused = 0

    def see_path(self, path: str, kind: int, at_ns: int, cwd: str) -> None:
        """The agent touched a path at that time."""
        self._note(self._paths, path, at_ns)
        place = dirname(path)
        if place in _ROOTS or (cwd + "/").startswith(place.rstrip("/") + "/"):
            return
        if is_write(kind) or not place.startswith(cwd.rstrip("/") + "/"):
            self._note(self._directories, place, at_ns)

    def see_work(self, path: str, at_ns: int, cause_id: int) -> None:
        """The words of a tool call named that path, and it was touched at that time."""
        known = self._work.get(path)
        if known is None and len(self._work) >= self._capacity:
            self.refused += 1
        elif known is None or at_ns < known[0]:
            self._work[path] = (at_ns, cause_id)

    def worked_on(self, path: str, before_ns: int) -> int | None:
        """The tool call that first touched the path, if that was before that time."""
        known = self._work.get(path)
        return known[1] if known is not None and known[0] < before_ns else None

    def see_peer(self, address: str, port: int, at_ns: int) -> None:
        """The agent reached a peer at that time."""
        self._note(self._peers, (address, port), at_ns)

    def see_command(self, argv: tuple[str, ...], at_ns: int) -> None:
        """A process of the agent ran that command at that time, outside any tool call."""
        if argv:
            self._note(self._commands, _gist(argv), at_ns)

    def knows_path(self, path: str, before_ns: int) -> bool:
        """Whether the path, or its directory, was touched before that time."""
        never = before_ns
        return (
            self._paths.get(path, never) < before_ns
            or self._directories.get(dirname(path), never) < before_ns
            or self._directories.get(path, never) < before_ns
        )

    def knows_peer(self, address: str, port: int, before_ns: int) -> bool:
        """Whether the peer was reached before that time."""
        return self._peers.get((address, port), before_ns) < before_ns

    def knows_command(self, argv: tuple[str, ...], before_ns: int) -> bool:
        """Whether such a command ran before that time outside any tool call."""
        return bool(argv) and self._commands.get(_gist(argv), before_ns) < before_ns

    def _note(self, times: dict[Key, int], key: Key, at_ns: int) -> None:
        known = times.get(key)
        if known is None:
            if len(times) >= self._capacity:
                self.refused += 1
                return
            times[key] = at_ns
        elif at_ns < known:
            times[key] = at_ns


def _gist(argv: tuple[str, ...]) -> tuple[str, ...]:
    return (basename(argv[0]), *argv[1:3])
