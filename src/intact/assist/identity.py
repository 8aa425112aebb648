"""Who asks, as a short-lived signed token that is worth one request to one server."""

import contextlib
import json
import os
import secrets
import tempfile
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from intact.assist.asking import Asker
from intact.model.errors import IntactError
from intact.query.row_limits import Role

ISSUER = "intact"
ALGORITHM = "EdDSA"
KEY_FILE, PUBLIC_KEY_FILE = "identity.key", "identity.pub"
LIFETIME_S = 30
MAX_LIFETIME_S = 60
SKEW_S = 5
MAX_TOKEN = 24 << 10  # it is sent twice, and a server takes 64 KiB of headers
MAX_KEY_FILE = 4 << 10
_NEEDED = ("iss", "sub", "aud", "iat", "nbf", "exp", "jti", "tenant", "role", "runs", "hosts")

UseOnce = Callable[[str, int], Awaitable[bool]]  # an id and when it expires (ns); False: it was used before


class Reason(StrEnum):
    """Why a token is worth nothing."""

    MISSING = "missing"
    MALFORMED = "malformed"
    FORGED = "forged"
    WRONG_AUDIENCE = "wrong_audience"
    EARLY = "early"
    EXPIRED = "expired"
    REPLAYED = "replayed"


class Forbidden(IntactError):
    """A token that lets nobody in."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"this identity is worth nothing here: {reason.value}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs who asks, with the key of a data directory."""

    _key: Ed25519PrivateKey

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The key pair of a data directory, made when it is asked for first.

        Raises:
            IntactError: the files cannot be read, or others can read the key.
        """
        path = directory / KEY_FILE
        if not path.exists():
            _make(directory)
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise IntactError(f"others can read {path}; remove it, a new one is made")
                key = serialization.load_pem_private_key(file.read(MAX_KEY_FILE), None)
        except OSError as error:
            raise IntactError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            raise IntactError(f"{path} holds no key; remove it, a new one is made") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise IntactError(f"{path} holds another kind of key; remove it, a new one is made")
        return cls(key)

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self._key.public_key()

    def mint(self, asker: Asker, audience: str, now_ns: int, ttl_s: int = LIFETIME_S) -> str:
        """A token that says who asks, for one request to one server.

        Raises:
            IntactError: more is to be said of the asker than a token may hold.
        """
        now = now_ns // 1_000_000_000
        claims = {
            "iss": ISSUER, "sub": asker.name, "aud": audience, "iat": now, "nbf": now,
            "exp": now + min(ttl_s, MAX_LIFETIME_S), "jti": secrets.token_urlsafe(18), "tenant": asker.tenant_id,
            "role": asker.role.value, "runs": list(asker.run_ids), "hosts": None if asker.hosts is None else list(asker.hosts),
        }  # fmt: skip
        token = jwt.encode(claims, self._key, ALGORITHM)
        if len(token) > MAX_TOKEN:
            raise IntactError("too many runs or hosts for one identity")
        return token


def load_public_key(directory: Path) -> Ed25519PublicKey:
    """The key by which tokens are checked, for servers that sign nothing.

    Raises:
        IntactError: it cannot be read.
    """
    path = directory / PUBLIC_KEY_FILE
    try:
        with path.open("rb") as file:
            key = serialization.load_pem_public_key(file.read(MAX_KEY_FILE))
    except OSError as error:
        raise IntactError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise IntactError(f"{path} holds no key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise IntactError(f"{path} holds another kind of key")
    return key


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks tokens for one server; nothing of a token is kept but the id that was used.

    Args:
        public_key: of the one who signs.
        audience: the server.
        use_once: notes an id; False if it was noted before, by whichever process.
        now: seconds since the epoch.
    """

    public_key: Ed25519PublicKey
    audience: str
    use_once: UseOnce
    now: Callable[[], float] = time.time

    async def verify(self, token: str) -> Asker:
        """Who asks.

        Raises:
            Forbidden: the token is worth nothing, and why.
        """
        claims = self._signed(token)
        asker = _asker(claims)  # its form first: the checks below rely on it
        if claims["aud"] != self.audience:
            raise Forbidden(Reason.WRONG_AUDIENCE)
        now = self.now()
        if now < max(claims["nbf"], claims["iat"]) - SKEW_S:
            raise Forbidden(Reason.EARLY)
        if claims["exp"] - claims["iat"] > MAX_LIFETIME_S or now >= claims["exp"] + SKEW_S:
            raise Forbidden(Reason.EXPIRED)
        if not await self.use_once(claims["jti"], (claims["exp"] + SKEW_S) * 1_000_000_000):
            raise Forbidden(Reason.REPLAYED)
        return asker

    def _signed(self, token: str) -> dict[str, Any]:
        parts = token.split(".") if len(token) <= MAX_TOKEN and token.isascii() else []
        if len(parts) != 3 or not all(parts[:2]):
            raise Forbidden(Reason.MALFORMED)
        try:
            header = json.loads(urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)))
        except (ValueError, RecursionError):
            raise Forbidden(Reason.MALFORMED) from None
        # What the header names is not believed: one algorithm is ours, and nothing in a token chooses a key.
        if not isinstance(header, dict) or set(header) != {"alg", "typ"} or header["alg"] != ALGORITHM:
            raise Forbidden(Reason.FORGED)
        try:
            claims = jwt.decode(
                token, self.public_key, algorithms=[ALGORITHM],
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False,
                         "verify_iss": False, "verify_sub": False, "verify_jti": False},
            )  # fmt: skip
        except jwt.InvalidSignatureError:
            raise Forbidden(Reason.FORGED) from None
        except (jwt.PyJWTError, RecursionError, ValueError):
            raise Forbidden(Reason.MALFORMED) from None
        return dict(claims)


def _asker(claims: dict[str, Any]) -> Asker:
    texts = all(isinstance(claims.get(name), str) and claims[name] for name in ("iss", "sub", "aud", "jti", "role"))
    numbers = all(type(claims.get(name)) is int for name in ("iat", "nbf", "exp", "tenant"))
    runs, hosts = claims.get("runs"), claims.get("hosts", 0)
    if set(claims) != set(_NEEDED) or not texts or not numbers or claims["iss"] != ISSUER or len(claims["jti"]) < 22:
        raise Forbidden(Reason.MALFORMED)
    if not _is_texts(runs) or not (hosts is None or _is_texts(hosts)) or claims["role"] not in set(Role):
        raise Forbidden(Reason.MALFORMED)
    return Asker(
        name=claims["sub"],
        tenant_id=claims["tenant"],
        role=Role(claims["role"]),
        run_ids=tuple(runs or ()),
        hosts=None if hosts is None else tuple(hosts),
    )


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _make(directory: Path) -> None:
    """Write both files whole or not at all; whoever else makes them at the same moment keeps the first."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    place_private(directory / KEY_FILE, private)
    with (directory / KEY_FILE).open("rb") as file:
        kept = serialization.load_pem_private_key(file.read(MAX_KEY_FILE), None)
    public = kept.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    place_private(directory / PUBLIC_KEY_FILE, public, replace=True)


def place_private(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Make a file that only the owner of its directory can read; one that is there stays, unless it is to be replaced.

    Raises:
        IntactError: it cannot be made.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                owner = path.parent.stat()
                if os.geteuid() == 0:  # as root for somebody: the directory is theirs
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            if replace:
                os.replace(temporary, path)
            else:
                with contextlib.suppress(FileExistsError):
                    os.link(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        raise IntactError(f"cannot make {path}: {error.strerror}") from error
