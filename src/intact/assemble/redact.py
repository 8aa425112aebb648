"""Secrets out of everything that leaves this room: text, bytes, headers, targets, JSON and argument vectors.

A secret becomes `[REDACTED:rule:mac]`, where `mac` is keyed: the same secret reads the same in one
installation and tells nothing.
"""

import hmac
import re
from typing import Any

from intact.assemble.http1 import Headers
from intact.assemble.scanner import MIN_TEXT_BYTES, Scanner
from intact.assemble.secret_rules import (
    SECRET_FIELD,
    SECRET_FLAG,
    SECRET_HEADER,
    SECRET_PARAMETER,
    SECRET_VARIABLE,
)
from intact.assemble.split_secrets import split_secrets
from intact.model.codec import MAX_DEPTH, TOO_DEEP

# For a recorder that was given no key: labels are then equal between installations.
DEFAULT_KEY = b"intact: no key was given"

_USER_PASSWORD = re.compile(r"([^:\s]{1,64}:)(.{3,})\Z", re.DOTALL)
_HEADER_LINE = re.compile(r"([A-Za-z0-9-]{1,64})(:\s*)(.+)\Z", re.DOTALL)


class Redactor:
    """Replaces secrets and counts them."""

    def __init__(self, key: bytes) -> None:
        self.count = 0
        """Secrets replaced so far."""
        self._key = key or DEFAULT_KEY
        self._scanner = Scanner()

    def label(self, rule: str, secret: bytes) -> str:
        """What stands in the place of a secret."""
        self.count += 1
        return f"[REDACTED:{rule}:{hmac.new(self._key, secret, 'sha256').hexdigest()[:12]}]"

    def holds_secret(self, data: bytes) -> bool:
        """Whether there is anything to replace."""
        return bool(self._scanner.spans(data))

    def data(self, data: bytes) -> bytes:
        """Bytes without secrets; the same object where there are none."""
        spans = self._scanner.spans(data)
        if not spans:
            return data
        pieces, at = [], 0
        for start, end, rule in spans:
            pieces += [data[at:start], self.label(rule, data[start:end]).encode()]
            at = end
        return b"".join([*pieces, data[at:]])

    def text(self, value: str) -> str:
        """Text without secrets, and without what UTF-8 cannot hold."""
        if len(value) < MIN_TEXT_BYTES and value.isascii():
            return value
        data = value.encode("utf-8", "replace")
        clean = self.data(data)
        return value if clean is data and (value.isascii() or data.decode() == value) else clean.decode()

    def json(self, value: Any, depth: int = MAX_DEPTH) -> Any:
        """A copy of a JSON value without secrets in its strings."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict | list) and depth == 0:
            return TOO_DEEP
        if isinstance(value, list):
            return [self.json(item, depth - 1) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self._field(key, item, depth - 1) for key, item in value.items()}
        return value

    def events(self, body: bytes) -> bytes:
        """The body of an event stream without secrets, those told over several events too."""
        secrets = split_secrets(body, self._scanner)
        edits: list[tuple[int, int, bytes]] = []
        for ranges, rule, secret in secrets:
            label = self.label(rule, secret).encode()
            edits += [(start, end, label if at == 0 else b"") for at, (start, end) in enumerate(ranges)]
        pieces, at = [], 0
        for start, end, label in sorted(edits):
            if start >= at:
                pieces += [body[at:start], label]
                at = end
        return self.data(b"".join([*pieces, body[at:]]))

    def headers(self, headers: Headers) -> Headers:
        """Headers without credentials."""
        return tuple((self.text(name), self._header(name, value)) for name, value in headers)

    def target(self, target: str) -> str:
        """A request target without secrets in its query."""
        path, mark, query = target.partition("?")
        if not mark:
            return self.text(target)
        pairs = []
        for pair in query.split("&"):
            name, equals, value = pair.partition("=")
            if value and SECRET_PARAMETER.match(name):
                value = self.label("query", value.encode("utf-8", "replace"))
            pairs.append(name + equals + value)
        return self.text(self.text(path) + "?" + "&".join(pairs))

    def argv(self, argv: list[str]) -> list[str]:
        """An argument vector without secrets, of the same length."""
        clean: list[str] = []
        for index, argument in enumerate(argv):
            clean.append(self._argument(argv[index - 1] if index else "", argument))
        return clean

    def _header(self, name: str, value: str) -> str:
        if value and SECRET_HEADER.match(name.lower()):
            return self.label("header", value.encode("utf-8", "replace"))
        return self.text(value)

    def _field(self, key: str, value: Any, depth: int) -> Any:
        if isinstance(value, str) and len(value) >= 4 and SECRET_FIELD.match(key) and "[REDACTED:" not in value:
            return self.label("field", value.encode("utf-8", "replace"))
        return self.json(value, depth)

    def _argument(self, before: str, argument: str) -> str:
        if SECRET_FLAG.match(before) and not argument.startswith("-"):
            return self._whole("flag", argument)
        name, equals, value = argument.partition("=")
        if equals and SECRET_FLAG.match(name):
            return name + equals + self._whole("flag", value)
        if equals and SECRET_VARIABLE.match(name):
            return name + equals + self._whole("environment", value)
        if before in ("-H", "--header") and (match := _HEADER_LINE.match(argument)):
            return match[1] + match[2] + self._header(match[1], match[3])
        if before in ("-u", "--user") and (match := _USER_PASSWORD.match(argument)):
            return match[1] + self._whole("flag", match[2])
        return self.text(argument)

    def _whole(self, rule: str, value: str) -> str:
        """A value that is a secret as a whole; a reference to a variable is none."""
        if not value or value.startswith(("$", "[REDACTED:")):
            return value
        return self.label(rule, value.encode("utf-8", "surrogateescape"))
