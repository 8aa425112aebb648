"""Hits told to others, a webhook and syslog, from a thread of its own: whoever hands hits in never waits."""

import http.client
import json
import os
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from threading import Condition, Thread
from typing import Any
from urllib.parse import SplitResult, urlsplit

from intact.model.config import Outputs

MOST_AT_ONCE = 100  # hits in one post
MOST_SYSLOG_BYTES = 2048  # what RFC 5424 asks of every receiver, and a datagram carries
RETRY_S = 0.5  # doubled with each try
CLOSE_S = 2.0
ALERT = 10 * 8 + 4  # facility authpriv, severity warning
TOLD = (
    "at_ns", "rule_id", "target_type", "action", "mechanism", "guarantee", "outcome", "process_id", "pid", "uid", "gid",
    "comm", "path", "argv", "address", "port", "errno",
)  # fmt: skip
_IDS = ("process_id",)


class Notifier:
    """Tells hits as they are in `proc_block_event`: without secrets, since whoever hands them in has removed those."""

    def __init__(self, outputs: Outputs, host: str) -> None:
        self._lost = 0
        self._outputs = outputs
        self._host = host
        self._waiting: deque[dict[str, Any]] = deque()
        self._changed = Condition()
        self._closing = False
        self._ill: set[str] = set()
        self._thread: Thread | None = None

    def use(self, outputs: Outputs) -> None:
        """From now on tell these."""
        with self._changed:
            self._outputs = outputs

    def tell(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take hits over; returns at once."""
        with self._changed:
            if self._closing or not (self._outputs.webhook.url or self._outputs.syslog.address):
                return
            for row in rows:
                if len(self._waiting) >= self._outputs.queue:
                    self._lost += 1
                else:
                    self._waiting.append(_told(row))
            if self._thread is None:
                self._thread = Thread(target=self._run, name="notifier", daemon=True)
                self._thread.start()
            self._changed.notify()

    def take_lost(self) -> int:
        """Hits not told to everyone since the last call: the queue was full, or nobody answered after all tries."""
        with self._changed:
            lost, self._lost = self._lost, 0
        return lost

    def close(self) -> None:
        """Tell what waits, for a moment at most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                count = min(len(self._waiting), MOST_AT_ONCE)
                hits = [self._waiting.popleft() for _ in range(count)]
                outputs = self._outputs
            failed = self._to_syslog(outputs, hits) if outputs.syslog.address else False
            failed |= self._to_webhook(outputs, hits) if outputs.webhook.url else False
            if failed:
                with self._changed:
                    self._lost += len(hits)

    def _to_webhook(self, outputs: Outputs, hits: list[dict[str, Any]]) -> bool:
        body = json.dumps({"source": "intact", "host": self._host, "hits": hits}).encode()
        problem = ""
        for tried in range(outputs.webhook.retries + 1):
            if tried:
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, RETRY_S * 2 ** (tried - 1))
                    if self._closing and tried > 1:
                        break
            try:
                status = _post(urlsplit(outputs.webhook.url), body, outputs.webhook.timeout_seconds)
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem = type(error).__name__
                continue
            if status < 300:
                self._ill.discard("webhook")
                return False
            problem = f"status {status}"
            if status < 500 and status != 429:
                break  # asking again would be answered the same
        return self._failed("webhook", problem)

    def _to_syslog(self, outputs: Outputs, hits: list[dict[str, Any]]) -> bool:
        try:
            with _datagrams(outputs.syslog.address, outputs.webhook.timeout_seconds) as out:
                for hit in hits:
                    out.send(syslog_line(hit, self._host))
        except OSError as error:
            return self._failed("syslog", str(error.strerror or error))
        self._ill.discard("syslog")
        return False

    def _failed(self, name: str, problem: str) -> bool:
        if name not in self._ill:  # told once until it works again; the address may hold a secret
            print(f"hits are not told to the {name}: {problem}", file=sys.stderr, flush=True)
        self._ill.add(name)
        return True


def syslog_line(hit: Mapping[str, Any], host: str) -> bytes:
    """A hit as one message of RFC 5424; its text is JSON, in which no control character stands raw."""
    at = datetime.fromtimestamp(hit["at_ns"] / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    name = "".join(c for c in host if "!" <= c <= "~")[:255] or "-"
    head = f"<{ALERT}>1 {at} {name} intact {os.getpid()} {hit['outcome'] or '-'} - "
    room = MOST_SYSLOG_BYTES - len(head)
    shown = dict(hit)
    for left in (600, 200, 60, 0):
        text = json.dumps(shown, ensure_ascii=True)
        if len(text) <= room:
            break
        shown = {**shown, "path": hit["path"][:left], "argv": [word[:left] for word in hit["argv"][: left // 20]]}
        shown["clipped"] = True
    return (head + text[:room]).encode()


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: row[name] for name in TOLD if name in row}
    return {**found, **{name: str(found[name]) for name in _IDS if name in found}}


def _post(url: SplitResult, body: bytes, timeout_s: float) -> int:
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    assert url.hostname is not None
    connection = kind(url.hostname, url.port, timeout=timeout_s)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    try:
        connection.request("POST", target, body, {"content-type": "application/json", "user-agent": "intact"})
        return connection.getresponse().status
    finally:
        connection.close()


def _datagrams(address: str, timeout_s: float) -> socket.socket:
    if address.startswith("/"):
        family, place = socket.AF_UNIX, address
    else:
        parts = urlsplit(address)
        family, _, _, _, place = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)[0]  # type: ignore[assignment]
    out = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        out.settimeout(timeout_s)
        out.connect(place)
    except OSError:
        out.close()
        raise
    return out
