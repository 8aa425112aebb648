"""Takes what looks like a secret out of a command line or a line of a log before anybody keeps it."""

import re

MASK = "***"
_NAMES = (
    r"(?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?|authorization)"
    r"[\w-]{0,20}"
)
_VALUE = r"([^\s\"'&,;]{3,})"
_NAMED = re.compile(rf"({_NAMES}[\"']?\s*[=:]\s*(?:bearer\s+|basic\s+)?[\"']?){_VALUE}", re.IGNORECASE)
_OPTION = re.compile(rf"((?:^|\s)--?[\w-]{{0,20}}{_NAMES}\s+[\"']?){_VALUE}", re.IGNORECASE)
_SHAPES = re.compile(
    r"\b(?:sk-[\w-]{8,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|xox[abprs]-[\w-]{8,}|AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}"
    r"|glpat-[\w-]{12,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,})"
)
_LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]{0,100}):[^\s/@]{1,200}@", re.IGNORECASE)


def masked(text: str) -> str:
    """The text without what is named like a secret, looks like a token, or is the password of an address."""
    text = _LOGIN.sub(rf"\1:{MASK}@", text)
    text = _SHAPES.sub(MASK, text)
    return _OPTION.sub(rf"\1{MASK}", _NAMED.sub(rf"\1{MASK}", text))
