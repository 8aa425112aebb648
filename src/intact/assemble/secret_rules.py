"""What a secret looks like: public formats of tokens, and the words that stand before a value nobody should read.

A rule has two forms. `candidate` is for the scan of a whole buffer: loose, short, without a look at what is around it.
`exact` is matched where a candidate begins and decides; its group `secret` is what is replaced.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass

# JSON inside JSON puts backslashes before quotes; a letter after one of its escapes is no part of the word before it.
_START = rb"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf]))"
_QUOTE = rb"[\"'\\]{0,6}"
_NAMES = rb"(?:api[_-]?key|token|secret|passw(?:or)?d|passphrase|private[_-]?key|access[_-]?key)"
_FIELDS = (
    rb"(?:password|passwd|passphrase|api[_-]?key|secret|client_?secret|secret_?key|access_?token|refresh_?token|id_?token"
    rb"|auth_?token|private_?key|session_?token|authorization)"
)
_PARAMETERS = (
    rb"(?:key|api[_-]?key|auth|sig|signature|password|passwd|code|assertion|code_verifier|x-amz-signature"
    rb"|x-amz-security-token|x-goog-signature|(?:access_|refresh_|id_|auth_|session_)?token|(?:client_)?secret)"
)
_HEADERS = (
    rb"(?:x-api-key|api-key|x-goog-api-key|x-amz-security-token|proxy-authorization|authorization|cookie|set-cookie)"
)
_NOT_DONE = rb"(?!\[REDACTED)"
_PEM_BYTES = 16 * 1024

MIN_ENTROPY = 3.0
"""Bits a character, above which a word after `token=` is taken for a token and not for code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One shape; `name` is told in the place of the secret, so it must not itself announce one."""

    name: str
    candidate: bytes
    exact: re.Pattern[bytes]
    random_only: bool = False
    any_case: bool = False
    in_paths: bool = True
    """Whether it is worth the cost to look for it in every path."""


def _token(name: str, prefix: bytes, letters: bytes, length: int) -> Rule:
    """A token of a fixed beginning and at least so many letters after it."""
    return Rule(
        name=name,
        candidate=prefix + letters + b"{%d}" % min(length, 8),
        exact=re.compile(_START + b"(?P<secret>" + prefix + letters + b"{%d,})" % length),
    )


def _named(name: str, before: bytes, value: bytes, *, candidate: bytes, random_only: bool = False) -> Rule:
    """A value that is secret by the word before it."""
    exact = re.compile(before + _NOT_DONE + b"(?P<secret>" + value + b")", re.IGNORECASE)
    return Rule(
        name=name, candidate=candidate, exact=exact, random_only=random_only, any_case=True, in_paths=name == "query"
    )


_WORD = rb"[A-Za-z0-9_-]"

RULES: tuple[Rule, ...] = (
    _token("provider", rb"sk-", _WORD, 16),
    _token("github", rb"gh[pousr]_", rb"[A-Za-z0-9]", 30),
    _token("github", rb"github_pat_", rb"[A-Za-z0-9_]", 22),
    _token("gitlab", rb"glpat-", rb"[A-Za-z0-9_.-]", 18),
    _token("slack", rb"xox[abeoprs]-", rb"[A-Za-z0-9-]", 10),
    _token("slack", rb"xapp-", rb"[A-Za-z0-9-]", 20),
    _token("aws", rb"(?:AKIA|ASIA)", rb"[A-Z0-9]", 16),
    _token("google", rb"AIza", _WORD, 30),
    _token("google", rb"ya29\.", _WORD, 20),
    _token("google", rb"GOCSPX-", _WORD, 20),
    _token("npm", rb"npm_", rb"[A-Za-z0-9]", 30),
    _token("pypi", rb"pypi-", _WORD, 50),
    _token("huggingface", rb"hf_", rb"[A-Za-z0-9]", 30),
    _token("stripe", rb"[rs]k_(?:live|test)_", rb"[A-Za-z0-9]", 16),
    _token("groq", rb"gsk_", rb"[A-Za-z0-9]", 40),
    _token("xai", rb"xai-", rb"[A-Za-z0-9]", 40),
    _token("perplexity", rb"pplx-", rb"[A-Za-z0-9]", 40),
    _token("digitalocean", rb"do[opr]_v1_", rb"[a-f0-9]", 40),
    Rule(
        name="jwt",
        candidate=rb"eyJ[A-Za-z0-9_-]{8}",
        exact=re.compile(_START + rb"(?P<secret>eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?)"),
    ),
    Rule(
        name="pem",
        candidate=rb"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY",
        exact=re.compile(
            rb"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----(?!\[REDACTED)(?P<secret>[^-]{1,%d})" % _PEM_BYTES
        ),
        in_paths=False,
    ),
    Rule(
        name="url",
        candidate=rb"://[^\s/@:\"'<>]{0,32}:[^\s/@\"'<>]{1,8}",
        exact=re.compile(rb"://[^\s/@:\"'<>\\]{0,64}:" + _NOT_DONE + rb"(?P<secret>[^\s/@\"'<>\\$]{3,256})@"),
    ),
    _named("bearer", rb"bearer\s{1,4}", rb"[A-Za-z0-9._~+/=-]{12,}", candidate=rb"bearer\s{1,4}[A-Za-z0-9._~+/=-]{12}"),
    _named(
        "header",
        _HEADERS + _QUOTE + rb"\s{0,4}:\s{0,4}" + _QUOTE + rb"(?:basic\s{1,4}|token\s{1,4}|bearer\s{1,4})?",
        rb"[^\s\"'\\,$\[]{8,}",
        candidate=_HEADERS + rb"[\"'\\]{0,6}\s{0,4}:",
    ),
    _named(
        "query",
        rb"(?:^(?=[^&\s\"']{1,4096}&[A-Za-z_]{1,64}=)|[?&])" + _PARAMETERS + rb"=",
        rb"[^&\s\"'#\\<>$\[{]{4,}",
        candidate=rb"(?:^|[?&])" + _PARAMETERS + rb"=",
    ),
    _named(
        "field",
        _FIELDS + rb"\\{0,6}[\"']\s{0,4}:\s{0,4}\\{0,6}[\"']",
        rb"[^\"'\\$\[{<]{4,4096}",
        candidate=_FIELDS + rb"\\{0,6}[\"']\s{0,4}:\s{0,4}\\{0,6}[\"']",
    ),
    _named(
        "flag",
        rb"[\s\"'\\]--?(?:[a-z0-9]{1,16}-){0,3}" + _NAMES + rb"(?:=|\s{1,4})" + _QUOTE,
        rb"[^\s\"'\\$\[{<-][^\s\"'\\$]{3,}",
        candidate=rb"[\s\"'\\]--?(?:[a-z0-9]{1,16}-){0,3}" + _NAMES + rb"[= ]",
    ),
    Rule(
        name="environment",
        candidate=rb"(?:TOKEN|SECRET|PASSWORD|PASSWD|_KEY|APIKEY|CREDENTIALS)=",
        exact=re.compile(
            rb"(?:TOKEN|SECRET|PASSWORD|PASSWD|_KEY|APIKEY|CREDENTIALS)=[\"'\\]{0,4}"
            + _NOT_DONE
            + rb"(?P<secret>[^\s\"'\\$;&|)(<>{\[]{6,})"
        ),
    ),
    _named(
        "assignment",
        _NAMES + _QUOTE + rb"\s{0,4}[:=]\s{0,4}" + _QUOTE,
        rb"[A-Za-z0-9_./+=~-]{12,}",
        candidate=_NAMES + rb"[\"'\\]{0,6}\s{0,4}[:=]",
        random_only=True,
    ),
)

SECRET_HEADER = re.compile(
    r"(?:.*-)?(?:authorization|cookie|set-cookie|api-?key|token|secret|password|credential|signature|auth|session-?id"
    r"|access-?key)\Z"
)
SECRET_PARAMETER = re.compile(_PARAMETERS.decode() + r"\Z", re.IGNORECASE)
SECRET_FIELD = re.compile(_FIELDS.decode() + r"\Z", re.IGNORECASE)
SECRET_FLAG = re.compile(
    r"--?(?:[a-z][a-z0-9_-]*[-_])?(?:api[-_]?key|token|secret|passw(?:or)?d|passphrase|credentials?|private[-_]?key"
    r"|access[-_]?key|secret[-_]?key|apikey|auth)\Z",
    re.IGNORECASE,
)
SECRET_VARIABLE = re.compile(
    r"(?:[A-Z0-9_]*_)?(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|CREDENTIALS?)\Z",
    re.IGNORECASE,
)


def looks_random(secret: bytes) -> bool:
    """Whether a word is likelier a token than code or prose."""
    if not (re.search(rb"[0-9]", secret) and re.search(rb"[A-Za-z]", secret)):
        return False
    counts, length = Counter(secret).values(), len(secret)
    return -sum(count / length * math.log2(count / length) for count in counts) >= MIN_ENTROPY
