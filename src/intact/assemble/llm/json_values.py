"""Reading JSON that anybody may have written: what is not of the wanted type is as good as absent."""

import json
from typing import Any

# One JSON object of this many members takes about 100 MB in memory.
MAX_ITEMS = 1_000_000
MAX_JSON_BYTES = 32 * 1024 * 1024


def parsed(body: bytes | bytearray) -> Any:
    """The value of a JSON text; None where it is none, or larger than anybody means."""
    if len(body) > MAX_JSON_BYTES or sum(map(body.count, (b",", b"{", b"["))) > MAX_ITEMS:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def record(value: Any) -> dict[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def records(value: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """A string that is not empty."""
    return value if isinstance(value, str) and value else None


def number(value: Any) -> int | None:
    """A count."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else None


def arguments(value: str) -> dict[str, Any]:
    """The arguments a model wrote; empty where they are no JSON object."""
    return record(parsed(value.encode("utf-8", "replace")))


def base64_size(value: Any) -> int:
    """How many bytes a base64 text stands for."""
    return len(value.rstrip("=")) * 3 // 4 if isinstance(value, str) else 0
