"""A cookie lets in whom the auth centre names, and nobody else: not on any doubt, and for no page of another site."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.assist.settings import AuthCentre as Settings
from intact.model.errors import IntactError, UsageError
from intact.serve.auth import Tokens, User
from intact.serve.cookies import (
    COOKIES,
    CookieUsers,
    SignedCookies,
    cookie_users,
    identify_by,
    is_same_site,
    load_centre,
    session_cookies,
)
from tests.serve import centre
from tests.serve.running import command

ANNA = User(name="anna", tenant_id=2, role="member", run_ids=("r1", "r2"), hosts=("web-1",))


def who(users: CookieUsers, cookie: str, **headers: str) -> User | None:
    return asyncio.run(users.user({":method": "GET", "cookie": cookie, **headers}))


@pytest.fixture
def signed(tmp_path: Path) -> SignedCookies:
    return SignedCookies.load(tmp_path)


def test_a_signed_cookie_says_who_asks(tmp_path: Path, signed: SignedCookies) -> None:
    users = CookieUsers(SignedCookies.load(tmp_path))
    for user in (ANNA, User(name="x", role="admin"), User(name="y", role="auditor")):
        value = signed.sign(user, time.time() + 60)
        for name in COOKIES:
            assert who(users, f"a=b; {name}={value}; c=d") == user
            assert who(users, f'{name}="{value}"') == user
    assert (tmp_path / "cookie.key").stat().st_mode & 0o777 == 0o600


def test_any_change_of_a_signed_cookie_is_nobodys(tmp_path: Path, signed: SignedCookies) -> None:
    users = CookieUsers(signed)
    value = signed.sign(ANNA, time.time() + 60)
    body, _, seal = value.partition(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    more = base64.urlsafe_b64encode(json.dumps({**said, "role": "admin"}).encode()).decode().rstrip("=")
    (tmp_path / "b").mkdir()
    other = SignedCookies.load(tmp_path / "b")
    bare = hmac.new(signed._key, base64.urlsafe_b64decode(body + "=="), hashlib.sha256).digest()
    for wrong in (
        signed.sign(ANNA, time.time() - 1), other.sign(ANNA, time.time() + 60), f"{more}.{seal}", f"{body}.", body,
        f".{seal}", ".",
        f"{body}.{base64.urlsafe_b64encode(bare).decode().rstrip('=')}", f"{value}x", value[:-2], "eyJ1c2VyIjoieCJ9",
    ):  # fmt: skip
        assert who(users, f"sessionid={wrong}") is None, wrong


@given(st.text(max_size=60))
def test_no_text_is_a_cookie(text: str) -> None:
    assert who(CookieUsers(KEPT), f"sessionid={text}") is None
    assert len(session_cookies(text)) <= 2


KEPT = SignedCookies(b"k" * 32)


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, signed: SignedCookies) -> None:
    (tmp_path / "cookie.key").chmod(0o640)
    with pytest.raises(IntactError, match="others can read"):
        SignedCookies.load(tmp_path)
    short = tmp_path / "short"
    short.write_text("abc")
    short.chmod(0o600)
    with pytest.raises(IntactError, match="holds no key"):
        SignedCookies.load(tmp_path, short)
    with pytest.raises(IntactError, match="cannot read"):
        SignedCookies.load(tmp_path, tmp_path / "nowhere")


def test_a_header_that_is_in_doubt_is_nobodys() -> None:
    assert session_cookies("sessionid=a; JSESSIONID=b") == [("sessionid", "a"), ("JSESSIONID", "b")]
    assert session_cookies('x=1;sessionid="a.b-c_d="') == [("sessionid", "a.b-c_d=")]
    for header in (
        "", "sessionid", "sessionid=", 'sessionid=""', "sessionid=a; sessionid=a", "sessionid=a; x=1; sessionid=b",
        "sessionid=a b", 'sessionid="a', 'sessionid=a"b', "sessionid=a\\b", "sessionid=ä", "sessionid=a,b", "SESSIONID=a",
        "sessionid =a", f"sessionid={'a' * 4097}", f"sessionid=a; x={'y' * 20_000}", "sessionid=a\x00",
    ):  # fmt: skip
        assert session_cookies(header) == [], header


@pytest.mark.parametrize("callback", [centre.by_waiting, centre.by_thread])
def test_an_auth_centre_of_the_house_is_asked(callback: Callable[..., Any]) -> None:
    users = CookieUsers(callback)
    user = who(users, "JSESSIONID=good-anna")
    assert user is not None
    assert "anna" in user.name
    assert who(users, "sessionid=bad; JSESSIONID=good-anna") == user
    assert who(users, "sessionid=bad") is None
    assert who(users, "other=good-anna") is None


@pytest.mark.parametrize(
    "callback",
    [
        centre.fails, centre.hangs, centre.blocks, centre.gives_a_text, centre.gives_a_wrong_user, centre.gives_a_wrong_role,
    ],
)  # fmt: skip
def test_an_auth_centre_that_fails_lets_nobody_in(
    callback: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert who(CookieUsers(callback, timeout_s=0.1), "sessionid=a-secret") is None
    assert time.monotonic() - began < 3
    assert "gave no answer" in caplog.text
    assert "a-secret" not in caplog.text


def test_an_auth_centre_that_hangs_is_not_asked_without_end() -> None:
    users = CookieUsers(centre.hangs, timeout_s=0.2)

    async def ask() -> list[User | None]:
        header = {":method": "GET", "cookie": "sessionid=a"}
        return await asyncio.gather(*(users.user(header) for _ in range(100)))

    began = time.monotonic()
    assert asyncio.run(ask()) == [None] * 100
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nonsense", "module:function"), ("a b:c", "module:function"), ("tests.serve.nowhere:x", "cannot be imported"),
        ("tests.serve.centre:nothing", "no function"), ("tests.serve.centre:NO_FUNCTION", "no function"),
        ("tests.serve.centre:wrong_form", "name and the value"),
    ],
)  # fmt: skip
def test_a_wrong_callback_is_named(place: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_centre(place)


def test_the_settings_say_who_verifies(tmp_path: Path) -> None:
    house = cookie_users(Settings(callback="tests.serve.centre:by_thread"), tmp_path)  # type: ignore[call-arg]
    assert who(house, "sessionid=good-anna") == User(name="anna")
    ours = cookie_users(None, tmp_path)
    value = SignedCookies.load(tmp_path).sign(ANNA, time.time() + 9)
    assert who(ours, f"sessionid={value}") == ANNA
    assert who(house, f"sessionid={value}") is None


def test_no_page_of_another_site_changes_anything(signed: SignedCookies) -> None:
    users = CookieUsers(signed)
    cookie = f"sessionid={signed.sign(ANNA, time.time() + 60)}"
    for headers, is_let_in in (
        ({}, True),  # no browser
        ({"origin": "http://h:1"}, True),
        ({"origin": "http://evil.org"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://h:1.evil.org"}, False),
        ({"origin": "http://[::1"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://proxy"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://h:1"}, False),
    ):
        for method in ("POST", "PUT", "PATCH", "DELETE", "ODD"):
            found = asyncio.run(users.user({":method": method, "host": "h:1", "cookie": cookie, **headers}))
            assert (found == ANNA) is is_let_in, (method, headers)
    assert is_same_site({":method": "GET", "origin": "http://evil.org", "host": "h"})


def test_a_wrong_token_is_not_made_good_by_a_cookie(tmp_path: Path, signed: SignedCookies) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add("one")
    identify = identify_by(tokens, CookieUsers(signed))
    cookie = f"sessionid={signed.sign(ANNA, time.time() + 60)}"
    base = {":method": "GET", "cookie": cookie}
    assert asyncio.run(identify({**base, "authorization": f"Bearer {token}"})) == User(name="one")
    assert asyncio.run(identify({**base, "authorization": "Bearer nobody"})) is None
    assert asyncio.run(identify(base)) == ANNA
    assert asyncio.run(identify({":method": "GET"})) is None


def test_the_command_makes_cookies_and_tokens_with_roles(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path)]
    made = command(
        "token",
        "cookie",
        "anna",
        "--role",
        "member",
        "--run",
        "r1",
        "--run",
        "r2",
        "--tenant",
        "2",
        "--host",
        "web-1",
        *data,
    )
    assert made.returncode == 0, made.stderr
    assert who(CookieUsers(SignedCookies.load(tmp_path)), f"sessionid={made.stdout.decode().strip()}") == ANNA
    token = command(
        "token",
        "add",
        "anna",
        "--role",
        "member",
        "--run",
        "r1",
        "--run",
        "r2",
        "--tenant",
        "2",
        "--host",
        "web-1",
        *data,
    )
    assert Tokens(tmp_path).user(f"Bearer {token.stdout.decode().strip()}") == ANNA
    listed = command("token", "list", *data).stdout.decode()
    assert listed == "anna  member  tenant 2  2 runs  hosts web-1\n"
    for wrong, words in (
        (["--role", "member"], b"--run"),
        (["--run", "r1"], b"--role member"),
        (["--role", "owner"], b"owner"),
    ):
        refused = command("token", "add", "ben", *wrong, *data)
        assert refused.returncode == 2
        assert words in refused.stderr


def test_a_file_of_tokens_of_before_is_read(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add("one", role="admin")
    body = json.loads(tokens.path.read_text())
    for row in body["tokens"]:
        del row["run_ids"], row["hosts"]
    tokens.path.write_text(json.dumps(body))
    assert Tokens(tmp_path).user(f"Bearer {token}") == User(name="one", role="admin")
    body["tokens"][0]["role"] = "owner"
    tokens.path.write_text(json.dumps(body))
    with pytest.raises(IntactError, match="cannot be read"):
        Tokens(tmp_path).user(f"Bearer {token}")
