"""Takes what looks like a secret out of a command line or a line of a log before anybody keeps it."""

import re
from collections.abc import Sequence

MASK = "***"
_NAMES = (
    r"(?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?|authorization)"
    r"[\w-]{0,20}"
)
# in quotes to their end, else to the next space: what stands behind a comma may still be of the secret
_VALUE = r"(?:\\?\"[^\"\n]{1,500}\"?|\\?'[^'\n]{1,500}'?|[^\s\"'\\]{3,})"
_NAMED = re.compile(rf"({_NAMES}\\?[\"']?\s{{0,9}}[=:]\s{{0,9}}(?:bearer\s+|basic\s+)?){_VALUE}", re.IGNORECASE)
_OPTION = re.compile(rf"((?:^|\s)--?[\w-]{{0,20}}{_NAMES}\s+){_VALUE}", re.IGNORECASE)
_SHORT = re.compile(rf"(\w*pwd\s{{0,9}}[=:]\s{{0,9}})(?!/){_VALUE}", re.IGNORECASE)  # PWD=/home is a directory
_SAID = re.compile(
    rf"((?:with password|identified by|(?:密码|口令|密钥)\s?[是为:：=])\s{{0,9}}){_VALUE}", re.IGNORECASE
)
_COOKIE = re.compile(r"(\b(?:set-)?cookie[\"']?\s{0,9}:\s{0,9})[^\r\n]+", re.IGNORECASE)
_PEM = re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----).*", re.DOTALL)
_SHAPES = re.compile(
    r"\b(?:sk-[\w-]{8,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|xox[abprs]-[\w-]{8,}|AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}"
    r"|glpat-[\w-]{12,}|npm_\w{30,}|SG\.[\w-]{16,}\.[\w-]{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,}"
    r"|intact_[0-9a-f]{12}_[\w-]{43})"
)
_HOOK = re.compile(r"(hooks\.slack\.com/services/)[\w/]{6,}")
_LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s/:@]{0,100}):[^\s/]{1,200}@", re.IGNORECASE)
# options of one letter that programs take a password by
_PROGRAMS = tuple(
    re.compile(rf"((?:^|[\s/;|&(\"'])(?:{programs})\s(?:[^;|&\n]{{0,200}}?\s)?{options}){_VALUE}")
    for programs, options in (
        (r"mysql\w*|mariadb[\w-]*", "-p"),
        (r"sshpass|mongo\w*", r"-p\s*"),
        (r"redis-cli|valkey-cli", r"-a\s+"),
        (r"ldap\w+", r"-w\s+"),
        (r"curl|wget", r"(?:-u|--user|--proxy-user)[\s=]+[^\s:]{1,100}:"),
    )
)
_FLAG = re.compile(rf"--?[\w-]{{0,40}}{_NAMES}", re.IGNORECASE)


def masked(text: str) -> str:
    """The text without what is named like a secret, looks like a token, or is the password of an address."""
    text = _LOGIN.sub(rf"\1:{MASK}@", text)
    text = _HOOK.sub(rf"\1{MASK}", _PEM.sub(rf"\1{MASK}", _COOKIE.sub(rf"\1{MASK}", text)))
    text = _SHAPES.sub(MASK, text)
    for pattern in (_NAMED, _OPTION, _SHORT, _SAID, *_PROGRAMS):
        text = pattern.sub(rf"\1{MASK}", text)
    return text


def masked_command(words: Sequence[str]) -> str:
    """A command line; here it is known where a secret of several words ends."""
    shown: list[str] = []
    for word in words:
        name, equals, _ = word.partition("=")
        if shown and _FLAG.fullmatch(shown[-1]) and not word.startswith("-"):
            shown.append(MASK)
        elif equals and _FLAG.fullmatch(name):
            shown.append(f"{name}={MASK}")
        else:
            shown.append(word)
    return masked(" ".join(shown))
