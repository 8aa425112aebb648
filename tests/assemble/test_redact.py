"""Secrets in text, targets, headers and argument vectors; and what only looks like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.assemble.redact import Redactor
from intact.assemble.secret_rules import RULES

REDACTOR = Redactor(b"key")

SECRET = [
    ("sk-ant-api03-A1b2A1b2A1b2A1b2", "sk-ant-api03-A1b2A1b2A1b2A1b2"),
    ("x\\nsk-ant-oat01-A1b2A1b2A1b2", "sk-ant-oat01-A1b2A1b2A1b2"),
    ("sk-proj-abcdefghijklmnop", "sk-proj-abcdefghijklmnop"),
    ("(ghp_" + "a1B2" * 9 + ")", "ghp_" + "a1B2" * 9),
    ("github_pat_" + "a1B2" * 9, "a1B2" * 9),
    ("glpat-abcdefghij0123456789", "glpat-abcdefghij0123456789"),
    ("xoxb-123456789012-abcdef", "xoxb-123456789012-abcdef"),
    ("id=AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("AIza" + "aB3_" * 9, "AIza" + "aB3_" * 9),
    ("npm_" + "aB3d" * 9, "npm_" + "aB3d" * 9),
    ("hf_" + "aB3d" * 9, "hf_" + "aB3d" * 9),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----", "MIIEow=="),
    ("-----BEGIN PRIVATE KEY-----\\nMIIEow==\\n-----END PRIVATE KEY-----", "MIIEow=="),
    ("postgres://user:hunter2@host/db", "hunter2"),
    ("Authorization: Bearer abcdefghijkl", "abcdefghijkl"),
    ("curl -H 'x-api-key: hunter2hunter2' h", "hunter2hunter2"),
    ('{"password": "hunter2"}', "hunter2"),
    ('{\\"client_secret\\": \\"hunter2\\"}', "hunter2"),
    ("tool --db-password hunter2 x", "hunter2"),
    ("tool --token=hunter2", "hunter2"),
    ("GITHUB_TOKEN=hunter2 tool", "hunter2"),
    ("GET /?a=1&key=hunter2", "hunter2"),
    ("secret: 'a8f5f167f44f4964e6c998de'", "a8f5f167f44f4964e6c998de"),
]
PLAIN = [
    "risk-assessment-for-the-next-quarter",
    "token = self.tokens[index]",
    "max_tokens: 4096",
    "a 1M-token context window",
    "the password is required",
    "https://example.com:8080/a@b",
    "def secret(key: str) -> None: ...",
    "api_key=os.environ['KEY']",
    '{"password": {"type": "string"}}',
    "export TOKEN=$OTHER",
    "eyJ is how a token begins",
    "sk-learn",
    "",
]


@pytest.mark.parametrize(("text", "secret"), SECRET)
def test_secrets_are_replaced(text: str, secret: str) -> None:
    clean = REDACTOR.text(text)
    assert secret not in clean
    assert "[REDACTED:" in clean
    assert REDACTOR.text(clean) == clean


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert REDACTOR.text(text) is text


@pytest.mark.parametrize("rule", sorted({rule.name for rule in RULES} | {"header", "field"}))
@pytest.mark.parametrize(
    "frame", ["{}", "key={}", '"token": "{}"', "Authorization: Bearer {}", "x://u:{}@h", "--token {}"]
)
def test_a_label_is_no_secret(rule: str, frame: str) -> None:
    text = frame.format(REDACTOR.label(rule, b"x"))
    assert REDACTOR.text(text) == text


def test_forms() -> None:
    assert "hunter2" not in REDACTOR.text("client_secret=hunter2&grant_type=x")
    assert "hunter2" not in REDACTOR.text("grant_type=x&client_secret=hunter2")


@given(st.text(), st.sampled_from(SECRET), st.text())
def test_a_secret_among_anything_is_replaced(before: str, case: tuple[str, str], after: str) -> None:
    text, secret = case
    clean = REDACTOR.text(f"{before} {text} {after}")
    assert secret not in clean or secret in before + after


@given(st.text())
def test_text_can_be_written(text: str) -> None:
    REDACTOR.text(text).encode()


def test_half_characters_are_replaced() -> None:
    assert REDACTOR.json({"\ud800": ["a\udfff long enough"]}) == {"?": ["a? long enough"]}


def test_deep_values_are_cut() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert "too deeply" in str(REDACTOR.json(deep))


def test_headers_that_hold_secrets_are_replaced_whole() -> None:
    names = ["Authorization", "X-Api-Key", "x-goog-api-key", "api-key", "Cookie", "Set-Cookie", "Proxy-Authorization"]
    names += ["x-amz-security-token", "X-Auth-Token"]
    for _, value in REDACTOR.headers(tuple((name, "v") for name in names)):
        assert value.startswith("[REDACTED:header:")
    kept = (
        ("content-type", "text/plain"),
        ("anthropic-ratelimit-tokens-remaining", "10"),
        ("sec-websocket-key", "abc"),
    )
    assert REDACTOR.headers(kept) == kept


def test_targets() -> None:
    assert REDACTOR.target("/a/b?x=1&y") == "/a/b?x=1&y"
    clean = REDACTOR.target("/v1/models/m:g?alt=sse&key=abc&access_token=d")
    assert clean.startswith("/v1/models/m:g?alt=sse&key=[REDACTED:query:")
    assert "=abc" not in clean
    assert "=d" not in clean


def test_argument_vectors() -> None:
    argv = [
        "curl",
        "-u",
        "bob:hunter2",
        "-H",
        "Authorization: Basic Zm9v",
        "--api-key",
        "X",
        "--password=Y",
        "A_TOKEN=Z",
    ]
    clean = REDACTOR.argv(argv)
    assert len(clean) == len(argv)
    assert [a == b for a, b in zip(argv, clean, strict=True)] == [
        True,
        True,
        False,
        True,
        False,
        True,
        False,
        False,
        False,
    ]
    assert clean[2].startswith("bob:[REDACTED:")
    kept = ["tool", "--max-tokens", "100", "--token", "--verbose", "--author", "me", "TOKEN=$HOME", "--password="]
    assert REDACTOR.argv(kept) == kept
