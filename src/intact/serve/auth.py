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

from intact.model.errors import IntactError, UsageError

TOKENS_FILE = "tokens.json"
ADMIN, READER = "admin", "reader"
DEFAULT_TENANT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN = re.compile(r"intact_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_MAX_FILE = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who asks, whose runs are shown, and what may be changed."""

    name: str
    tenant_id: int = DEFAULT_TENANT
    role: str = READER


DEV = User(name="dev", role=ADMIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    id: str
    name: str
    tenant_id: int
    role: str
    salt: str
    hash: str


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
        return User(name=token.name, tenant_id=token.tenant_id, role=token.role)

    def add(self, name: str, *, role: str = READER, tenant_id: int = DEFAULT_TENANT) -> str:
        """Make a token; what is returned is kept nowhere.

        Raises:
            UsageError: the name cannot be one, or has a token.
        """
        if not _NAME.fullmatch(name):
            raise UsageError("the name of a token is 1 to 64 letters, digits, dots, @ or dashes")
        self._refresh()
        if any(token.name == name for token in self._tokens.values()):
            raise UsageError(f"there is a token of {name}; remove it first: intact token remove {name}")
        identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        salt = base64.b64encode(secrets.token_bytes(12)).decode("ascii")
        token = _Token(id=identity, name=name, tenant_id=tenant_id, role=role, salt=salt, hash=_hash(secret, salt))
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
        return [User(name=each.name, tenant_id=each.tenant_id, role=each.role) for each in self._tokens.values()]

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
            self._tokens = {row["id"]: _Token(**row) for row in body["tokens"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
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


def _hash(secret: str, salt: str) -> str:
    # A secret is 256 random bits: there is nothing to guess, so a fast hash is as good as a slow one.
    return hashlib.blake2b(secret.encode("ascii"), salt=base64.b64decode(salt), digest_size=32).hexdigest()
