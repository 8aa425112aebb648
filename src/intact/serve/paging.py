"""Pages: an opaque cursor that goes on where the last page ended."""

import base64
import binascii
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel

from intact.serve.errors import ApiError

MOST_ROWS = 1000
_TIME_MAX = (1 << 63) - 1

Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="At most so many rows.")]
Cursor = Annotated[
    str | None, Query(max_length=200, description="`next` of the page before; absent: from the beginning.")
]


class PageBody(BaseModel):
    """A page of a list."""

    rows: list[dict[str, Any]]
    next: str | None


def write_cursor(place: tuple[int, str] | None) -> str | None:
    """A place in a list as text; None stands for its end."""
    if place is None:
        return None
    return base64.urlsafe_b64encode(f"{place[0]}:{place[1]}".encode()).decode("ascii").rstrip("=")


def read_cursor(cursor: str | None) -> tuple[int, str] | None:
    """The place that `write_cursor` wrote.

    Raises:
        ApiError: it wrote no such thing.
    """
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        number, _, identity = text.partition(":")
        place = int(number)
    except (ValueError, binascii.Error):
        place, identity = -1, ""
    if not 0 <= place <= _TIME_MAX or not identity.isprintable():
        raise ApiError(400, "invalid", "cursor: it is not one we gave", "take `next` of the page before, unchanged")
    return place, identity
