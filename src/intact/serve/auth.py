"""Who asks: bearer tokens of which only hashes are kept, in a file of the data directory."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from intact.model.errors import IntactError, UsageError
from intact.query.row_limits import Reader, Role

TOKENS_FILE = "tokens.json"
# A reader sees what an admin sees and changes nothing; a member sees the runs that are told; an auditor not what was said.
ADMIN, READER, MEMBER, AUDITOR = "admin", "reader", "member", "auditor"
ROLES = {ADMIN: Role.ADMIN, READER: Role.ADMIN, MEMBER: Role.MEMBER, AUDITOR: Role.AUDITOR}
DEFAULT_TENANT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN = re.compile(r"intact_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_RUN = re.compile(r"[\w-]{1,64}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
MAX_NAMED = 16_000  # characters of runs and hosts, each with what stands around it: they travel in a header
_AROUND = 4
MAX_COUNT = 1_000  # of either: a reader of the query room takes no more
_MAX_FILE = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who asks, whose runs are shown, and what may be changed.

    Args:
        run_ids: of a member: the runs that are shown.
        hosts: whose measurements are shown; None: every host of the tenant.
    """

    name: str
    tenant_id: int = DEFAULT_TENANT
    role: str = READER
    run_ids: tuple[str, ...] = ()
    hosts: tuple[str, ...] | None = None

    def reader(self, language: str = "en") -> Reader:
        """The same as the query layer knows it."""
        return Reader(
            role=ROLES[self.role], tenant_id=self.tenant_id, run_ids=self.run_ids, hosts=self.hosts, language=language
        )

    def may_see_run(self, run_id: str) -> bool:
        """Whether it is one of those that are shown, if it is of the tenant."""
        return self.role != MEMBER or run_id in self.run_ids


DEV = User(name="dev", role=ADMIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    id: str
    name: str
    tenant_id: int
    role: str
    salt: str
    hash: str
    run_ids: tuple[str, ...] = ()  # files of before have neither
    hosts: tuple[str, ...] | None = None

    @property
    def user(self) -> User:
        return User(name=self.name, tenant_id=self.tenant_id, role=self.role, run_ids=self.run_ids, hosts=self.hosts)


class Tokens:
    """The tokens of a data directory; a change of the file counts from the next request on."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / TOKENS_FILE
        self._read_as: tuple[int, int, int] | None = None
        self._tokens: dict[str, _Token] = {}

    def user(self, authorization: str | None) -> User | None:
        """Whose `Authorization` header this is; None if nobody's."""
        kind, _, given = (authorization or "").partition(" ")
        match = _TOKEN.fullmatch(given.strip()) if kind.lower() == "bearer" else None
        if match is None:
            return None
        self._refresh()
        token = self._tokens.get(match[1])
        # an unknown id takes as long as a wrong secret
        salt, expected = (token.salt, token.hash) if token else ("", "")
        if not hmac.compare_digest(_hash(match[2], salt), expected) or token is None:
            return None
        return token.user

    def add(
        self,
        name: str,
        *,
        role: str = READER,
        tenant_id: int = DEFAULT_TENANT,
        run_ids: tuple[str, ...] = (),
        hosts: tuple[str, ...] | None = None,
    ) -> str:
        """Make a token; what is returned is kept nowhere.

        Raises:
            UsageError: the user cannot be one, or has a token.
        """
        user = User(name=name, tenant_id=tenant_id, role=role, run_ids=run_ids, hosts=hosts)
        check_user(user)
        self._refresh()
        if any(token.name == name for token in self._tokens.values()):
            raise UsageError(f"there is a token of {name}; remove it first: intact token remove {name}")
        identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        salt = base64.b64encode(secrets.token_bytes(12)).decode("ascii")
        token = _Token(id=identity, salt=salt, hash=_hash(secret, salt), **asdict(user))
        self._write([*self._tokens.values(), token])
        return f"intact_{identity}_{secret}"

    def remove(self, name: str) -> None:
        """Let a token be worth nothing from now on.

        Raises:
            UsageError: there is none of this name.
        """
        self._refresh()
        kept = [token for token in self._tokens.values() if token.name != name]
        if len(kept) == len(self._tokens):
            raise UsageError(f"there is no token of {name[:64]!r}")
        self._write(kept)

    def users(self) -> list[User]:
        """Who has a token."""
        self._refresh()
        return [token.user for token in self._tokens.values()]

    def _refresh(self) -> None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._tokens, self._read_as = {}, None
            return
        seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        if seen == self._read_as:
            return
        try:
            body = json.loads(self.path.read_bytes()[:_MAX_FILE])
            self._tokens = {row["id"]: _read(row) for row in body["tokens"]}
        except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
            self._tokens, self._read_as = {}, None  # nobody comes in on a file that cannot be read
            raise IntactError(f"the file of tokens {self.path} cannot be read: {type(error).__name__}") from error
        self._read_as = seen

    def _write(self, tokens: list[_Token]) -> None:
        text = json.dumps({"format": 1, "tokens": [asdict(token) for token in tokens]}, indent=1)
        fd, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{TOKENS_FILE}.")
        try:
            with os.fdopen(fd, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise IntactError(f"cannot write {self.path}: {error.strerror}") from error
        self._refresh()


def check_user(user: User) -> None:
    """Let nobody through who cannot be a user.

    Raises:
        UsageError: says what is wrong.
    """
    if not isinstance(user.name, str) or not _NAME.fullmatch(user.name):
        raise UsageError("the name of a token is 1 to 64 letters, digits, dots, @ or dashes")
    if user.role not in ROLES:
        raise UsageError(f"the role {ascii(user.role)[:40]} is none; there are: {', '.join(ROLES)}")
    if type(user.tenant_id) is not int or not 0 <= user.tenant_id < 1 << 32:
        raise UsageError("a tenant is a number from 0 to 4294967295")
    hosts = user.hosts or ()
    if not all(isinstance(run, str) and _RUN.fullmatch(run) for run in user.run_ids):
        raise UsageError("these are not ids of runs; intact runs lists them")
    if not all(isinstance(host, str) and _HOST.fullmatch(host) for host in hosts):
        raise UsageError("these are not names of hosts")
    if (
        max(len(user.run_ids), len(hosts)) > MAX_COUNT
        or sum(len(name) + _AROUND for name in (*user.run_ids, *hosts)) > MAX_NAMED
    ):
        raise UsageError("too many runs or hosts for one user")
    if user.role == MEMBER and not user.run_ids:
        raise UsageError("a member sees the runs that are told; give --run ID")
    if user.role != MEMBER and user.run_ids:
        raise UsageError("runs are told to a member only: --role member")


def _read(row: dict[str, Any]) -> _Token:
    hosts = row.get("hosts")
    token = _Token(
        **{**row, "run_ids": tuple(row.get("run_ids", ())), "hosts": None if hosts is None else tuple(hosts)}
    )
    check_user(token.user)
    return token


def _hash(secret: str, salt: str) -> str:
    # A secret is 256 random bits: there is nothing to guess, so a fast hash is as good as a slow one.
    return hashlib.blake2b(secret.encode("ascii"), salt=base64.b64decode(salt), digest_size=32).hexdigest()
