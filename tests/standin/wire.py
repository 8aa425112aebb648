"""What every wire API reads out of a request and is told to answer."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# Small enough that a short answer still comes in several events, as it does from a real model.
TEXT_PIECE = 24
ARGUMENTS_PIECE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """A tool of the client's list, with the JSON schema of its arguments."""

    name: str
    schema: dict[str, Any]
    kind: str = "function"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a request: who, the words (of a user: only what was typed), the tool results it carries."""

    role: str
    text: str = ""
    result_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A model request as the stand-in understands it."""

    model: str
    stream: bool
    messages: tuple[Message, ...]
    tools: tuple[OfferedTool, ...] = ()
    answer_schema: dict[str, Any] | None = None
    """The JSON the answer must be an instance of, where the client demands one."""
    caches: bool = False
    """The provider would have cached this prompt."""
    counts_cache_writes: bool = False
    """The provider says how many tokens it put into its cache."""
    usage_wanted: bool = True
    as_events: bool = True
    """A streamed answer is server-sent events (Gemini has another form)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts; input includes what was cached, output includes reasoning."""

    input_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    output_tokens: int
    reasoning_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedCall:
    """A tool call fitted to the client's tool list."""

    id: str
    name: str
    arguments: dict[str, Any]
    kind: str = "function"

    @property
    def arguments_json(self) -> str:
        """The arguments as the model would write them."""
        return json.dumps(self.arguments)


class Ids:
    """Ids in the providers' forms, the same for the same seed and order."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._drawn = 0

    def draw(self, prefix: str, length: int = 22) -> str:
        """The next id with this prefix."""
        self._drawn += 1
        number = int.from_bytes(hashlib.sha256(f"{self._seed} {self._drawn}".encode()).digest(), "big")
        letters = []
        for _ in range(length):
            number, letter = divmod(number, len(ALPHABET))
            letters.append(ALPHABET[letter])
        return prefix + "".join(letters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the stand-in has decided to say."""

    text: str
    thinking: str
    calls: tuple[PlacedCall, ...]
    usage: Usage
    ids: Ids
    created_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response body in the pieces a provider would send it in."""

    content_type: str
    pieces: list[bytes]
    response_id: str = ""
    finish_reason: str = ""


class WireApi(Protocol):
    """One module for each wire API fits this."""

    NAME: str
    CALL_ID_PREFIX: str

    def path_matches(self, path: str) -> bool:
        """Whether a POST to this path is a model request."""

    def read(self, target: str, body: dict[str, Any]) -> Asked:
        """The request, understood."""

    def answer(self, asked: Asked, reply: Reply) -> Answer:
        """The response, streamed or whole as the request wants it."""

    def error(self, status: int, message: str) -> bytes:
        """An error body in the provider's form."""


def dump(value: Any) -> bytes:
    """JSON as the providers write it: compact, not escaped to ASCII."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def event(name: str, value: Any) -> bytes:
    """One server-sent event; without a name the `event:` line is left out."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + (value if isinstance(value, bytes) else dump(value)) + b"\n\n"


def pieces_of(text: str, size: int) -> Iterable[str]:
    """A text cut into deltas; long texts come in longer deltas, so that an answer stays a few hundred events."""
    size = max(size, len(text) // 200)
    return (text[start : start + size] for start in range(0, len(text), size))


def typed_text(content: Any) -> str:
    """The words of a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))
