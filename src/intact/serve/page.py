"""The chat page: static files of ours, which load nothing from elsewhere and hold no script or style in their text.

They are sent without asking who asks: they hold no data, and the page is where a token is typed in.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

_FILES = Path(__file__).with_name("page")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No text can become markup or script in it, whatever a later change forgets.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for again each time, and answered 304
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    body: bytes
    media_type: str
    etag: str


def _read() -> dict[str, _File]:
    files = {}
    for path in sorted(_FILES.iterdir()):
        media_type = _TYPES.get(path.suffix)
        if media_type is None:
            continue
        body = path.read_bytes()
        etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        place = "/" if path.name == "index.html" else f"/page/{path.name}"
        files[place] = _File(body=body, media_type=media_type, etag=etag)
    return files


_BY_PATH = _read()
PAGE_PATHS = frozenset(_BY_PATH)  # for the door: open to whoever comes


def page_routes() -> APIRouter:
    """`/` and the files that it names below `/page/`; nothing else is on disk for them to find."""
    routes = APIRouter(include_in_schema=False)
    for path, file in _BY_PATH.items():
        routes.add_api_route(path, _answering(file), methods=["GET", "HEAD"], name=f"page {path}")
    return routes


def _answering(file: _File) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        headers = {**_HEADERS, "ETag": file.etag}
        if _is_known(request.headers.get("if-none-match", ""), file.etag):
            return Response(status_code=304, headers=headers)
        return Response(file.body, media_type=file.media_type, headers=headers)

    return page


def _is_known(given: str, etag: str) -> bool:
    return any(each.strip().removeprefix("W/") in (etag, "*") for each in given.split(","))
