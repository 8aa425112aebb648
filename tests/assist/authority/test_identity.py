"""A token is worth one request to one server for a minute, and only if we signed it."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from intact.assist.asking import Asker
from intact.assist.identity import MAX_TOKEN, Forbidden, Signer, Verifier, load_public_key
from intact.model.errors import IntactError
from intact.query.row_limits import Role
from tests.assist.authority.made import ALICE, Used, mint, signer, verifier

KEY = Signer(Ed25519PrivateKey.generate())


def reason(verifier: Verifier, token: str) -> str:
    try:
        asyncio.run(verifier.verify(token))
    except Forbidden as error:
        return error.reason.value
    return "let in"


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": "intact", "sub": "alice", "aud": "host", "iat": now, "nbf": now, "exp": now + 30, "jti": "j" * 24, "tenant": 3,
        "role": "member", "runs": ["r1"], "hosts": None, **changes,
    }  # fmt: skip


def test_what_was_said_of_the_asker_comes_back(tmp_path: Path) -> None:
    made = signer(tmp_path)
    for asker in (ALICE, Asker(name="张伟"), Asker(name="x", role=Role.OWNER, hosts=())):
        assert asyncio.run(verifier(made).verify(mint(made, asker))) == asker


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    first, again = Signer.load(tmp_path), Signer.load(tmp_path)
    assert reason(verifier(again), mint(first)) == "let in"
    assert {path.name for path in tmp_path.iterdir()} == {"identity.key", "identity.pub"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())
    assert reason(Verifier(load_public_key(tmp_path), "host", Used().once), mint(first)) == "let in"
    (tmp_path / "identity.key").chmod(0o644)
    with pytest.raises(IntactError, match="others can read"):
        Signer.load(tmp_path)
    (tmp_path / "identity.key").chmod(0o600)
    (tmp_path / "identity.key").write_text("no key")
    with pytest.raises(IntactError, match="holds no key"):
        Signer.load(tmp_path)


def test_what_we_did_not_sign_is_forged(tmp_path: Path) -> None:
    ours, other = signer(tmp_path / "a"), signer(tmp_path / "b")
    public = ours.public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head, body, signature = mint(ours).split(".")
    told = {"alg": "HS256", "typ": "JWT"}
    mac = hmac.new(public, f"{part(told)}.{part(claims())}".encode(), hashlib.sha256).digest()
    signed = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    more = jwt.decode(f"{head}.{body}.{signature}", options={"verify_signature": False}) | {"tenant": 1}
    for token in (
        mint(other),
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}.",
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}.{signature}",
        f"{part(told)}.{part(claims())}.{signed}",
        f"{head}.{part(more)}.{signature}",
        f"{head}.{body}.{mint(ours).split('.')[2]}",
        f"{part({'alg': 'EdDSA', 'typ': 'JWT', 'jwk': {}})}.{body}.{signature}",
        f"{part({'alg': 'EdDSA', 'typ': 'JWT', 'kid': '../../x'})}.{body}.{signature}",
        f"{part({'alg': 'EdDSA', 'typ': 'JWT', 'crit': ['b64'], 'b64': False})}.{body}.{signature}",
    ):
        assert reason(verifier(ours), token) == "forged", token


def test_time_counts(tmp_path: Path) -> None:
    made = signer(tmp_path)
    assert reason(verifier(made), mint(made, ago_s=36)) == "expired"
    assert reason(verifier(made), mint(made, ago_s=33)) == "let in"  # clocks differ
    assert reason(verifier(made), mint(made, ago_s=-8)) == "early"
    assert reason(verifier(made), mint(made, ago_s=-3)) == "let in"
    long = jwt.encode(claims(exp=int(time.time()) + 3600), made._key, "EdDSA")
    assert reason(verifier(made), long) == "expired"  # whatever the token says
    assert jwt.decode(mint(made, ttl_s=9999), options={"verify_signature": False})["exp"] <= time.time() + 61


def test_a_token_is_for_one_server(tmp_path: Path) -> None:
    made = signer(tmp_path)
    assert reason(verifier(made, "agents"), mint(made)) == "wrong_audience"
    both = jwt.encode(claims(aud=["host", "agents"]), made._key, "EdDSA")
    assert reason(verifier(made), both) == "malformed"


def test_a_token_is_for_one_request(tmp_path: Path) -> None:
    made, used = signer(tmp_path), Used()
    token, check = mint(made), verifier(signer(tmp_path), used=used)
    assert [reason(check, token) for _ in range(3)] == ["let in", "replayed", "replayed"]
    refused = verifier(made, "agents", used)
    other = mint(made)
    assert reason(refused, other) == "wrong_audience"
    assert reason(check, other) == "let in"  # a refusal does not use it up
    assert len({jwt.decode(mint(made), options={"verify_signature": False})["jti"] for _ in range(200)}) == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"}, {"sub": ""}, {"sub": 5}, {"tenant": "1"}, {"tenant": True}, {"role": "god"}, {"runs": "r1"},
        {"runs": [1]}, {"hosts": "web-1"}, {"hosts": {}}, {"jti": "short"}, {"exp": "9" * 20}, {"exp": 1e20}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_signed_token_of_another_form_is_malformed(tmp_path: Path, changes: dict[str, Any]) -> None:
    made = signer(tmp_path)
    assert reason(verifier(made), jwt.encode(claims(**changes), made._key, "EdDSA")) == "malformed"


def test_what_is_missing_is_not_made_up(tmp_path: Path) -> None:
    made = signer(tmp_path)
    for name in claims():
        body = {key: value for key, value in claims().items() if key != name}
        assert reason(verifier(made), jwt.encode(body, made._key, "EdDSA")) == "malformed", name


def test_an_identity_has_a_size(tmp_path: Path) -> None:
    made = signer(tmp_path)
    with pytest.raises(IntactError, match="too many"):
        mint(made, Asker(name="x", run_ids=tuple("r" * 60 + str(n) for n in range(1000))))
    assert reason(verifier(made), "a" * (MAX_TOKEN + 1)) == "malformed"


@given(st.one_of(st.text(max_size=80), st.lists(st.text(max_size=30), min_size=3, max_size=3).map(".".join)))
def test_no_text_is_a_token(text: str) -> None:
    check = Verifier(KEY.public_key, "host", Used().once)
    assert reason(check, text) in {"malformed", "forged"}


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_token_is_refused(at: int, byte: int) -> None:
    token = mint(KEY).encode()
    at %= len(token)
    changed = (token[:at] + bytes([byte]) + token[at + 1 :]).decode("latin-1")
    found = reason(Verifier(KEY.public_key, "host", Used().once), changed)
    last = at == len(token) - 1  # the last character of a signature holds bits that mean nothing
    assert found in (
        {"malformed", "forged"}
        if changed.encode("latin-1") != token and not last
        else {"let in", "forged", "malformed"}
    )
