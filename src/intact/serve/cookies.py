"""Who asks by a cookie: verified by the auth centre of the house, or signed by us; and only for pages of ours."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import importlib
import inspect
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit

from intact.assist.identity import place_private
from intact.assist.settings import AuthCentre as Settings
from intact.model.errors import IntactError, UsageError
from intact.serve.auth import Tokens, User, check_user

_LOG = logging.getLogger("intact.serve")
COOKIES = ("sessionid", "JSESSIONID")
COOKIE_HOURS = 8.0
KEY_FILE = "cookie.key"
MAX_HEADER = 16 << 10
MAX_VALUE = 4_096
CENTRE_S = 2.0
MOST_AT_ONCE = 16
_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")
_SAFE = {"GET", "HEAD", "OPTIONS"}
_ABOUT = b"intact-cookie-1."  # what the signature is of, so that it is of nothing else
_KEY = re.compile(rb"[0-9a-f]{64}")

# given the name and the value of a cookie; None: it is nobody's
AuthCentre: TypeAlias = Callable[[str, str], Awaitable[User | None] | User | None]
Headers: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class SignedCookies:
    """The auth centre that ships: a cookie says who asks and until when, and is signed with a key of ours."""

    _key: bytes

    @classmethod
    def load(cls, directory: Path, key_file: Path | None = None) -> Self:
        """The key of a data directory, made when it is asked for first; or that of a file, which is not made.

        Raises:
            IntactError: it cannot be read, others can read it, or it is none.
        """
        path = key_file or directory / KEY_FILE
        if key_file is None and not path.exists():
            place_private(path, secrets.token_hex(32).encode())
        try:
            mode, text = path.stat().st_mode, path.read_bytes()[:200].strip()
        except OSError as error:
            raise IntactError(f"cannot read {path}: {error.strerror}") from error
        if mode & 0o077:
            raise IntactError(f"others can read {path}; set its mode to 0600")
        if not _KEY.fullmatch(text):
            raise IntactError(f"{path} holds no key: 64 hex digits, as `openssl rand -hex 32` gives")
        return cls(bytes.fromhex(text.decode()))

    def sign(self, user: User, expires: float) -> str:
        """A value for the cookie.

        Raises:
            UsageError: the user cannot be one, or too much is to be said of it.
        """
        check_user(user)
        body = json.dumps({**asdict(user), "exp": int(expires)}, ensure_ascii=True, separators=(",", ":"))
        value = f"{_encoded(body.encode())}.{_encoded(self._seal(body.encode()))}"
        if len(value) > MAX_VALUE:
            raise UsageError("too many runs or hosts for a cookie; make a token")
        return value

    async def __call__(self, name: str, value: str) -> User | None:  # noqa: ARG002
        body, _, seal = value.partition(".")
        try:
            said, sealed = _decoded(body), _decoded(seal)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(self._seal(said), sealed):
            return None
        claims = json.loads(said)
        if time.time() >= claims.pop("exp"):
            return None
        hosts = claims["hosts"]
        claims |= {"run_ids": tuple(claims["run_ids"]), "hosts": None if hosts is None else tuple(hosts)}
        return User(**claims)

    def _seal(self, body: bytes) -> bytes:
        return hmac.new(self._key, _ABOUT + body, hashlib.sha256).digest()


class CookieUsers:
    """Asks the auth centre whose a cookie is; whatever goes wrong, it is nobody's."""

    def __init__(self, centre: AuthCentre, *, timeout_s: float = CENTRE_S) -> None:
        self._centre = centre
        self._timeout_s = timeout_s
        # of their own: one that hangs is to keep nothing else from being done
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="auth-centre")
        self._inside = 0

    async def user(self, headers: Headers) -> User | None:
        """Whose request it is by its cookies."""
        cookies = session_cookies(headers.get("cookie", ""))
        if not cookies or not is_same_site(headers):
            return None
        if self._inside >= MOST_AT_ONCE:
            _LOG.warning("the auth centre is asked too much at once")
            return None
        self._inside += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                for name, value in cookies:
                    user = await self._ask(name, value)
                    if user is not None:
                        check_user(user)
                        return user
        except Exception as error:  # of whoever wrote the callback: what it says may hold the cookie
            _LOG.warning("the auth centre gave no answer: %s", type(error).__name__)
        finally:
            self._inside -= 1
        return None

    async def _ask(self, name: str, value: str) -> User | None:
        if inspect.iscoroutinefunction(self._centre) or isinstance(self._centre, SignedCookies):
            found: Any = self._centre(name, value)
        else:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, self._centre, name, value)
        user = await found if inspect.isawaitable(found) else found
        if user is not None and not isinstance(user, User):
            raise TypeError("an auth centre gives a User or None")
        return user


def identify_by(tokens: Tokens, cookies: CookieUsers | None) -> Callable[[Headers], Awaitable[User | None]]:
    """Who asks: by a token where one is sent, else by a cookie; one that is wrong is not made good by the other."""

    async def identify(headers: Headers) -> User | None:
        if "authorization" in headers:
            return tokens.user(headers["authorization"])
        return None if cookies is None else await cookies.user(headers)

    return identify


def cookie_users(settings: Settings | None, directory: Path) -> CookieUsers:
    """What the settings say verifies cookies; without any, the signed ones.

    Raises:
        IntactError: the callback or the key cannot be used.
    """
    if settings is not None and settings.callback is not None:
        return CookieUsers(load_centre(settings.callback))
    return CookieUsers(SignedCookies.load(directory, None if settings is None else settings.key_file))


def load_centre(place: str) -> AuthCentre:
    """The callback that `module:function` names.

    Raises:
        UsageError: there is none.
    """
    module, _, name = place.partition(":")
    where = f"assist.auth_centre.callback: {ascii(place)[1:-1]}"
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise UsageError(f"{where}: write module:function")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # of whoever wrote the module
        raise UsageError(f"{where}: the module cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise UsageError(f"{where}: the module has no function of this name")
    try:
        inspect.signature(found).bind("sessionid", "value")
    except (TypeError, ValueError):
        raise UsageError(f"{where}: it has to take the name and the value of a cookie") from None
    centre: AuthCentre = found
    return centre


def session_cookies(header: str) -> list[tuple[str, str]]:
    """The cookies of a session, in the order of COOKIES; none if the header is not as one of ours would be."""
    if len(header) > MAX_HEADER:
        return []
    found: dict[str, str] = {}
    for part in header.split(";"):
        name, equals, value = part.strip(" \t").partition("=")
        if name not in COOKIES:
            continue
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if not equals or name in found or not value or len(value) > MAX_VALUE or not _VALUE.fullmatch(value):
            return []  # which of two is meant, nobody can tell
        found[name] = value
    return [(name, found[name]) for name in COOKIES if name in found]


def is_same_site(headers: Headers) -> bool:
    """Whether no page of another site can have made the request, which the browser sends our cookie along with.

    Every browser says where a request that changes something comes from; what says neither is no browser.
    """
    if headers.get(":method", "") in _SAFE:
        return True
    fetched = headers.get("sec-fetch-site")
    if fetched is not None:
        return fetched in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return bool(urlsplit(origin).netloc) and urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False


def _encoded(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
